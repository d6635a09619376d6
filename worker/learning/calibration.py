"""Honest probabilities for hinge losses, whose decisions are no log-odds: one factor, from out-of-fold
decisions.

Temperature scaling (Guo et al., ICML 2017) multiplies all decisions by one positive number, so that no
predicted label changes, and needs few rows; the softmax of the one-against-the-rest decisions is the
probability.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from shared.modeling.model import softmax
from shared.modeling.network import Network
from worker.learning.defaults import Plan
from worker.learning.evaluation import log_loss
from worker.learning.losses import Array
from worker.learning.splitting import folds

#: More rows than this tell no more about one number.
MAX_ROWS = 20_000
FOLDS = 3
_RANGE = (1e-3, 1e3)


def needs_calibration(plan: Plan) -> bool:
    """Whether the loss is not a likelihood."""
    return plan.loss in ("hinge", "squared_hinge")


def calibrate(X: Array, y: Array, fit: Callable[[Array, Array], Network], seed: int) -> float:
    """The factor for a network that `fit` makes of these rows, from FOLDS refits that each leave a fold
    out."""
    if len(X) > MAX_ROWS:
        rows = np.sort(np.random.RandomState(seed % 2**32).permutation(len(X))[:MAX_ROWS])
        X, y = X[rows], y[rows]
    decisions: list[Array] = []
    labels: list[Array] = []
    fold = folds(y, FOLDS, seed, stratify=True)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        if not outside.any() or len(np.unique(y[inside])) < 2:
            continue
        decisions.append(fit(X[inside], y[inside]).decision(X[outside]))
        labels.append(y[outside])
    return sharpness(np.concatenate(decisions), np.concatenate(labels)) if labels else 1.0


def sharpness(decisions: Array, y: Array) -> float:
    """The positive factor that maximizes the likelihood of the labels."""

    def loss(log_factor: float) -> float:
        return log_loss(y, softmax(decisions, float(np.exp(log_factor))))

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))
