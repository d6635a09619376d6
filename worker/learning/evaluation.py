"""Metrics of predictions on rows that were held out, as plain JSON: no NaN, no infinity, no numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from shared.modeling.model import Label, Model, Prediction
from worker.learning.data import Labelled


def evaluate(model: Model, data: Labelled, prediction: Prediction | None = None) -> dict[str, Any]:
    """The model's metrics on these rows. The label set is the model's and the rows' together, so that a
    label which the model has never heard of counts as what it is: a miss."""
    found = prediction or model.predict(data.table)
    if data.task == "regression":
        return regression_metrics(data.y, found.values)
    classes = union(model.classes, data.classes)
    assert found.codes is not None and found.probabilities is not None  # noqa: S101, PT018  a classifier gives both
    places = positions(model.classes, classes)
    probabilities = np.zeros((data.rows, len(classes)))
    probabilities[:, places] = found.probabilities
    truth = positions(data.classes, classes)[data.y]
    return classification_metrics(truth, places[found.codes], probabilities, classes)


def classification_metrics(
    truth: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[Label],
) -> dict[str, Any]:
    """truth, predicted: (n,) codes into `classes`; probabilities (n, classes).

    With two classes, f1, precision and recall are those of the second one (in sorted order), else macro
    averages. roc_auc is null unless every class has a test row, as it is undefined then.
    """
    average = "binary" if len(classes) == 2 else "macro"
    labels = list(range(len(classes)))
    scores = {
        name: function(truth, predicted, average=average, zero_division=0)
        for name, function in (
            ("f1", metrics.f1_score),
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
        )
    }
    return {
        "accuracy": _finite(metrics.accuracy_score(truth, predicted)),
        **{name: _finite(value) for name, value in scores.items()},
        "roc_auc": _roc_auc(truth, probabilities),
        "log_loss": _finite(log_loss(truth, probabilities)),
        "confusion_matrix": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "classes": list(classes),
        "n_test": len(truth),
    }


def regression_metrics(truth: npt.NDArray[np.float64], predicted: npt.NDArray[Any]) -> dict[str, Any]:
    """mse, rmse, mae in the target's units; r2 is null for fewer than two rows or a constant target."""
    mse = float(metrics.mean_squared_error(truth, predicted))
    defined = len(truth) > 1 and float(np.ptp(truth)) > 0
    return {
        "mse": _finite(mse),
        "rmse": _finite(math.sqrt(mse)),
        "mae": _finite(metrics.mean_absolute_error(truth, predicted)),
        "r2": _finite(metrics.r2_score(truth, predicted)) if defined else None,
        "n_test": len(truth),
    }


def majority(train: Labelled, test: Labelled) -> dict[str, Any]:
    """What always answering the training rows' commonest class (with the class shares), or their mean,
    achieves."""
    if train.task == "regression":
        return regression_metrics(test.y, np.full(test.rows, train.y.mean()))
    counts = np.bincount(train.y, minlength=len(train.classes))
    shares = np.tile(counts / counts.sum(), (test.rows, 1))
    predicted = np.full(test.rows, counts.argmax())
    return classification_metrics(test.y, predicted, shares, train.classes)


def log_loss(truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    """Mean negative log-likelihood; a probability of 0 counts as 1e-15."""
    return float(row_losses(truth, probabilities).mean())


def row_losses(
    truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(n,): each row's negative log-likelihood."""
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, None)))


def union(first: Sequence[Label], second: Sequence[Label]) -> tuple[Label, ...]:
    """All labels of both, the first's in their order, then the new ones."""
    return (*first, *(label for label in second if label not in set(first)))


def positions(labels: Sequence[Label], within: Sequence[Label]) -> npt.NDArray[np.int64]:
    """Where each label stands in `within`."""
    place = {label: position for position, label in enumerate(within)}
    return np.array([place[label] for label in labels], np.int64)


def _roc_auc(truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float | None:
    count = probabilities.shape[1]
    if len(np.unique(truth)) < count:
        return None
    if count == 2:
        return _finite(metrics.roc_auc_score(truth, probabilities[:, 1]))
    return _finite(np.mean([metrics.roc_auc_score(truth == k, probabilities[:, k]) for k in range(count)]))


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
