"""The same with Dask: row groups as partitions, threads of one process. Local files only: no store.

python dask_frame.py INPUT MODEL OUTPUT
"""

import sys

import dask
import dask.dataframe as dd
import joblib
import pandas as pd

source, model_file, target = sys.argv[1:]
model = joblib.load(model_file)


def score(part: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"prediction": model.predict(part.to_numpy("float32"))}, index=part.index)


with dask.config.set(scheduler="threads", num_workers=1):
    read = dd.read_parquet if source.endswith(".parquet") else dd.read_csv
    frame = read(source, **({"split_row_groups": True} if source.endswith(".parquet") else {}))
    frame.map_partitions(score, meta={"prediction": "int64"}).to_parquet(target)
