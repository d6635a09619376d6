"""What a user would write instead of an online prediction: a Flask view around a model that joblib has loaded.

`BARE_MODEL` is the file. It checks nothing, asks nobody who is there, and knows no other model.
"""

from __future__ import annotations

import os
from typing import Any

import joblib
import pyarrow as pa
from flask import Flask, jsonify, request


def create_app() -> Flask:
    app = Flask(__name__)
    model = joblib.load(os.environ["BARE_MODEL"])

    @app.post("/predict")
    def predict() -> Any:
        table = pa.RecordBatch.from_pylist(request.get_json()["rows"])
        return jsonify(predictions=model.predict(table).values.tolist())

    @app.get("/predict")
    def ready() -> str:
        return "ready"

    return app
