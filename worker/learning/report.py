"""Did the transfer help? Every model on the same held-out target rows, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling.model import Model, Prediction
from worker.learning.data import Labelled
from worker.learning.evaluation import evaluate, majority, positions, union
from worker.learning.selection import Scored
from worker.learning.significance import CONFIDENCE, Gain, accuracy_gain, r2_gain


def transfer_report(
    models: dict[str, Model],
    train: Labelled,
    test: Labelled,
    *,
    chosen: str,
    parameters: dict[str, Any],
    candidates: Sequence[Scored],
    columns: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """models: source_only, scratch and fine_tuned. `gain` is measured over the better of the first two, as
    the test rows show it, which is the harder of the two comparisons."""
    predictions = {name: model.predict(test.table) for name, model in models.items()}
    metrics = {name: evaluate(model, test, predictions[name]) for name, model in models.items()}
    metric = "accuracy" if test.task == "classification" else "r2"
    scores = {name: _score(found, metric) for name, found in metrics.items()}
    over = "source_only" if scores["source_only"] >= scores["scratch"] else "scratch"
    gain = _gain(models, predictions, over, test, seed)
    return {
        **metrics,
        "majority": majority(train, test),
        "strategy": chosen,
        "parameters": parameters,
        "candidates": [item.as_json() for item in candidates],
        "metric": metric,
        "gain": {
            "value": gain.value,
            "over": over,
            "low": gain.low,
            "high": gain.high,
            "confidence": CONFIDENCE,
        },
        "verdict": gain.verdict(test.rows),
        "columns": columns,
        "labels": _labels(models["source_only"], test),
        "forgetting": None,
        "n_train": train.rows,
        "n_test": test.rows,
    }


def _score(metrics: dict[str, Any], metric: str) -> float:
    value = metrics[metric]
    return -np.inf if value is None else float(value)


def _gain(
    models: dict[str, Model], predictions: dict[str, Prediction], over: str, test: Labelled, seed: int
) -> Gain:
    ours, baseline = predictions["fine_tuned"], predictions[over]
    if test.task == "regression":
        return r2_gain(test.y, ours.values, baseline.values, seed)
    right = [_correct(models[name], predictions[name], test) for name in ("fine_tuned", over)]
    return accuracy_gain(right[0], right[1], seed)


def _correct(model: Model, prediction: Prediction, test: Labelled) -> npt.NDArray[np.bool_]:
    truth = positions(test.classes, union(model.classes, test.classes))[test.y]
    return np.asarray(prediction.codes == truth)


def _labels(source: Model, test: Labelled) -> dict[str, Any] | None:
    """Labels that only one side knows; None for regression."""
    if test.task == "regression":
        return None
    return {
        "new": [label for label in test.classes if label not in source.classes],
        "absent": [label for label in source.classes if label not in test.classes],
    }
