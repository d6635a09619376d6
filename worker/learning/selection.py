"""Compares candidates by cross-validation on the target's training rows. No test row is ever seen here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling.model import Label
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.evaluation import positions, row_losses, union
from worker.learning.splitting import folds
from worker.learning.strategies import Candidate, Transfer

OnFit = Callable[[int, int], None]

#: Up to this many rows every row is a fold of its own.
LEAVE_ONE_OUT_ROWS = 10
FOLDS = 5
#: More rows tell candidates apart no better (a standard error of at most 0.7 points) and take longer.
MAX_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's out-of-fold score: accuracy or R² over all rows, and its standard deviation over folds.

    `loss` (mean log-loss or squared error) decides between equal scores. `weight` is its share in the model that
    was made of the comparison, `sharpness` the power its probabilities are raised to there.
    """

    candidate: Candidate
    score: float
    std: float
    loss: float
    weight: float = 0.0
    sharpness: float = 1.0

    def as_json(self) -> dict[str, Any]:
        return {
            "strategy": self.candidate.strategy,
            "parameters": dict(self.candidate.parameters),
            "cv_score": self.score,
            "cv_std": self.std,
            "cv_loss": self.loss,
            "weight": self.weight,
        }


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What every candidate said about every row when it was fitted without that row's fold.

    truth: (n,) codes into `classes`, or amounts. outputs: (candidates, n, classes) probabilities, or (candidates, n)
    amounts. fold: (n,). unseen: (n,) the row's label has no other row outside its fold, so that nothing
    fitted on the target alone can know it. foreign: (n,) the source does not know the row's label.
    """

    candidates: tuple[Candidate, ...]
    classes: tuple[Label, ...]
    truth: npt.NDArray[Any]
    outputs: npt.NDArray[np.float64]
    fold: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.bool_]
    foreign: npt.NDArray[np.bool_]


def out_of_fold(
    transfer: Transfer, candidates: Sequence[Candidate], data: Labelled, on_fit: OnFit
) -> OutOfFold:
    """Fit every candidate on the same folds of at most MAX_ROWS rows. `on_fit(completed, total)` counts fits."""
    if data.rows > MAX_ROWS:
        data = data.take(np.random.RandomState(transfer.seed % 2**32).permutation(data.rows)[:MAX_ROWS])
    classification = data.task == "classification"
    count = data.rows if data.rows <= LEAVE_ONE_OUT_ROWS else FOLDS
    fold = folds(data.y, count, transfer.seed, stratify=classification)
    classes = union(transfer.source.classes, data.classes)
    outputs = np.zeros(
        (len(candidates), data.rows, len(classes)) if classification else (len(candidates), data.rows)
    )
    unseen = np.zeros(data.rows, np.bool_)
    for part in range(count):
        outside, inside = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        held, encoded = data.take(outside), transfer.encoded(data.take(inside))
        if classification:
            unseen[outside] = ~np.isin(data.y[outside], data.y[inside])
        for number, candidate in enumerate(candidates):
            model = candidate.fit(encoded, Hooks())
            found = model.predict(held.table)
            if classification:
                outputs[number][np.ix_(outside, positions(model.classes, classes))] = found.probabilities
            else:
                outputs[number][outside] = found.values
            on_fit(part * len(candidates) + number + 1, count * len(candidates))
    truth = positions(data.classes, classes)[data.y] if classification else data.y
    foreign = truth >= len(transfer.source.classes) if classification else np.zeros(data.rows, np.bool_)
    return OutOfFold(tuple(candidates), classes, truth, outputs, fold, unseen, foreign)


def scores(found: OutOfFold) -> list[Scored]:
    """Each candidate's accuracy or R² over all rows, its spread over folds, and its mean loss."""
    losses = _losses(found)
    by_row = _row_scores(found)
    parts = np.unique(found.fold)
    return [
        Scored(
            candidate,
            float(by_row[number].mean()),
            float(np.std([by_row[number][found.fold == part].mean() for part in parts])),
            float(losses[number].mean()),
        )
        for number, candidate in enumerate(found.candidates)
    ]


def _losses(found: OutOfFold) -> npt.NDArray[np.float64]:
    """(candidates, n): negative log-likelihoods, or squared errors."""
    if not found.classes:
        return np.asarray(np.square(found.outputs - found.truth))
    return np.stack([row_losses(found.truth, outputs) for outputs in found.outputs])


def best(scored: Sequence[Scored]) -> Scored:
    """The highest score; of equals the smaller loss; of equals still, the first."""
    return max(scored, key=lambda item: (round(item.score, 9), -item.loss))


def _row_scores(found: OutOfFold) -> npt.NDArray[np.float64]:
    """Per candidate and row a score whose mean over all rows is accuracy or R²."""
    if found.classes:
        return np.asarray(found.outputs.argmax(axis=2) == found.truth, np.float64)
    spread = float(np.square(found.truth - found.truth.mean()).mean()) or 1.0
    return np.asarray(1.0 - _losses(found) / spread)
