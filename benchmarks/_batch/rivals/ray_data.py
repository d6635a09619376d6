"""The same with Ray Data, one CPU, the model loaded once by one actor. Local files only: no store.

python ray_data.py INPUT MODEL OUTPUT
"""

import sys

import joblib
import numpy as np
import ray

source, model_file, target = sys.argv[1:]


class Score:
    def __init__(self):
        self.model = joblib.load(model_file)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        X = np.column_stack(list(batch.values())).astype(np.float32, copy=False)
        return {"prediction": self.model.predict(X)}


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
ray.data.DataContext.get_current().enable_progress_bars = False
data = ray.data.read_parquet(source) if source.endswith(".parquet") else ray.data.read_csv(source)
scored = data.map_batches(Score, batch_size=65_536, compute=ray.data.ActorPoolStrategy(size=1))
scored.write_parquet(target)
