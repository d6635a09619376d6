"""Compares candidates by cross-validation on the target's training rows. No test row is ever seen here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.evaluation import positions, row_losses, union
from worker.learning.splitting import folds
from worker.learning.strategies import Candidate

#: Up to this many rows every row is a fold of its own.
LEAVE_ONE_OUT_ROWS = 10
FOLDS = 5
#: More rows tell candidates apart no better (a standard error of at most 0.7 points) and take longer.
MAX_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's out-of-fold score: accuracy or R² over all rows, and its standard deviation over folds.

    `loss` (mean log-loss or squared error) decides between equal scores. `weight` is its share in the model that
    was made of the comparison.
    """

    candidate: Candidate
    score: float
    std: float
    loss: float
    weight: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "strategy": self.candidate.strategy,
            "parameters": dict(self.candidate.parameters),
            "cv_score": self.score,
            "cv_std": self.std,
            "cv_loss": self.loss,
            "weight": self.weight,
        }


def cross_validate(
    candidates: Sequence[Candidate], data: Labelled, seed: int, on_fit: Callable[[int, int], None]
) -> list[Scored]:
    """Score every candidate on the same folds of at most MAX_ROWS rows. `on_fit(completed, total)` counts fits."""
    if data.rows > MAX_ROWS:
        data = data.take(np.random.RandomState(seed % 2**32).permutation(data.rows)[:MAX_ROWS])
    count = data.rows if data.rows <= LEAVE_ONE_OUT_ROWS else FOLDS
    fold = folds(data.y, count, seed, stratify=data.task == "classification")
    total = len(candidates) * count
    scored = []
    for number, candidate in enumerate(candidates):
        losses = np.zeros(data.rows)
        scores = np.zeros(data.rows)
        for part in range(count):
            outside = np.flatnonzero(fold == part)
            inside = np.flatnonzero(fold != part)
            held = data.take(outside)
            model = candidate.fit(data.take(inside), Hooks())
            scores[outside], losses[outside] = _row_scores(model, held, data)
            on_fit(number * count + part + 1, total)
        by_fold = [scores[fold == part].mean() for part in range(count)]
        scored.append(Scored(candidate, float(scores.mean()), float(np.std(by_fold)), float(losses.mean())))
    return scored


def best(scored: Sequence[Scored]) -> Scored:
    """The highest score; of equals the smaller loss; of equals still, the first."""
    return max(scored, key=lambda item: (round(item.score, 9), -item.loss))


def _row_scores(
    model: Any, held: Labelled, data: Labelled
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Per row a score whose mean over all rows is accuracy or R², and a loss."""
    found = model.predict(held.table)
    if data.task == "regression":
        errors = np.square(found.values - held.y)
        spread = float(np.square(data.y - data.y.mean()).mean()) or 1.0
        return 1.0 - errors / spread, errors
    classes = union(model.classes, data.classes)
    truth = positions(data.classes, classes)[held.y]
    probabilities = np.zeros((held.rows, len(classes)))
    probabilities[:, : len(model.classes)] = found.probabilities
    losses = row_losses(truth, probabilities)
    return (found.codes == truth).astype(np.float64), losses
