"""Metrics of predictions on rows that were held out, as plain JSON: no NaN, no infinity, no numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from shared.modeling.model import Label, Model, Prediction
from worker.learning.data import Labelled


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said of n rows, beside the truth.

    classes: the labels of whoever answered and of the rows together, so that a label which a model has never
    heard of counts as what it is: a miss. truth, predicted: (n,) codes into them, or amounts.
    probabilities: (n, classes); None in a regression.
    """

    classes: tuple[Label, ...]
    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None

    def metrics(self) -> dict[str, Any]:
        if self.probabilities is None:
            return regression_metrics(self.truth, self.predicted)
        return classification_metrics(self.truth, self.predicted, self.probabilities, self.classes)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n,): whether each row is right. Of a classification."""
        return np.asarray(self.predicted == self.truth)


def evaluate(model: Model, data: Labelled, prediction: Prediction | None = None) -> dict[str, Any]:
    """The model's metrics on these rows."""
    return answers_of(model, data, prediction).metrics()


def majority(train: Labelled, test: Labelled) -> dict[str, Any]:
    """The metrics of `majority_answers`."""
    return majority_answers(train, test).metrics()


def answers_of(model: Model, data: Labelled, prediction: Prediction | None = None) -> Answers:
    """What the model says of these rows."""
    found = prediction or model.predict(data.table)
    if found.codes is None or found.probabilities is None:
        return Answers((), data.y, found.values, None)
    classes = union(model.classes, data.classes)
    places = positions(model.classes, classes)
    truth = positions(data.classes, classes)[data.y]
    return Answers(classes, truth, places[found.codes], _spread(found.probabilities, places, len(classes)))


def majority_answers(train: Labelled, test: Labelled) -> Answers:
    """Always the training rows' commonest class (with the class shares), or their mean."""
    if train.task == "regression":
        return Answers((), test.y, np.full(test.rows, train.y.mean()), None)
    counts = np.bincount(train.y, minlength=len(train.classes))
    shares = np.tile(counts / counts.sum(), (test.rows, 1))
    return Answers(train.classes, test.y, np.full(test.rows, counts.argmax()), shares)


def pooled(parts: Sequence[Answers]) -> Answers:
    """The answers of several rounds, one after the other."""
    if parts[0].probabilities is None:
        classes: tuple[Label, ...] = ()
        probabilities = None
    else:
        classes = reduce(union, (part.classes for part in parts), ())
        parts = [_among(classes, part) for part in parts]
        probabilities = np.concatenate([part.probabilities for part in parts])
    truth = np.concatenate([part.truth for part in parts])
    return Answers(classes, truth, np.concatenate([part.predicted for part in parts]), probabilities)


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
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
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
        "confusion_matrix": confusion.tolist(),
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


def _among(classes: tuple[Label, ...], part: Answers) -> Answers:
    """The same answers, with codes and probabilities over a larger set of labels."""
    if part.probabilities is None or part.classes == classes:
        return part
    places = positions(part.classes, classes)
    probabilities = _spread(part.probabilities, places, len(classes))
    return Answers(classes, places[part.truth], places[part.predicted], probabilities)


def _spread(
    probabilities: npt.NDArray[np.float64], places: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """Columns put where their labels are among `count`; the others are 0."""
    wide = np.zeros((len(probabilities), count))
    wide[:, places] = probabilities
    return wide


def _roc_auc(truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float | None:
    count = probabilities.shape[1]
    if count < 2 or len(np.unique(truth)) < count:
        return None
    if count == 2:
        return _finite(metrics.roc_auc_score(truth, probabilities[:, 1]))
    return _finite(np.mean([metrics.roc_auc_score(truth == k, probabilities[:, k]) for k in range(count)]))


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
