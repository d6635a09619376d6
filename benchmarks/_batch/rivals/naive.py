"""What a user would write: pandas reads, a joblib file predicts, pandas writes. Local files only: no store.

python naive.py INPUT MODEL OUTPUT
"""

import sys

import joblib
import pandas as pd

source, model_file, target = sys.argv[1:]
model = joblib.load(model_file)
frame = pd.read_parquet(source) if source.endswith(".parquet") else pd.read_csv(source)
frame["prediction"] = model.predict(frame.to_numpy("float32"))
frame[["prediction"]].to_parquet(target)
