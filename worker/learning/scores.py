"""How good a prediction is, row by row: what explanation, forgetting and the learning curve average."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.contracts.kinds import Task
from shared.modeling.model import Model, Prediction
from worker.learning.data import Labelled
from worker.learning.evaluation import positions, union


def headline_metric(task: Task) -> str:
    """The one number that models are compared by."""
    return "accuracy" if task == "classification" else "r2"


def row_hits(model: Model, data: Labelled, prediction: Prediction) -> npt.NDArray[np.bool_]:
    """(n,): whether each row's label is the right one. A label that the model does not know is a miss."""
    truth = positions(data.classes, union(model.classes, data.classes))[data.y]
    return np.asarray(prediction.codes == truth)


def row_confidence(
    model: Model, truth: npt.NDArray[np.int64], prediction: Prediction
) -> npt.NDArray[np.float64]:
    """(n,): the probability that the model gives to each row's right label; `truth` are codes into
    `model.classes`, with labels that the model does not know beyond its end (probability 0)."""
    assert prediction.probabilities is not None  # noqa: S101  a classifier gives them
    known = truth < len(model.classes)
    found = np.zeros(len(truth))
    found[known] = prediction.probabilities[np.flatnonzero(known), truth[known]]
    return found


def spread_of(y: npt.NDArray[Any]) -> float:
    """The target's mean squared deviation: what R² measures squared errors by. 1 for a constant target."""
    return float(np.square(y - y.mean()).mean()) or 1.0


def row_scores(model: Model, data: Labelled, prediction: Prediction | None = None) -> npt.NDArray[np.float64]:
    """(n,): numbers whose mean is the headline metric: 1 for a hit, or a row's part in R²."""
    found = prediction or model.predict(data.table)
    if data.task == "classification":
        return row_hits(model, data, found).astype(np.float64)
    return np.asarray(1.0 - np.square(found.values - data.y) / spread_of(data.y))
