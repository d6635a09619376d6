"""Fits scikit-learn's forests and histogram boosting in chunks of trees, so that progress moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.dummy import DummyClassifier
from threadpoolctl import threadpool_limits

from worker.learning.defaults import Plan
from worker.learning.losses import Array

_CHUNKS = 10


def fit_trees(
    X: Array,
    y: Array,
    plan: Plan,
    seed: int,
    threads: int,
    on_trees: Callable[[int, int], None] | None = None,
) -> Any:
    """A fitted scikit-learn estimator on unscaled features; y are class codes or amounts.

    The trees depend neither on `threads` nor on the chunks: each tree of a forest has its own seed, and boosting,
    whose sums would be added in another order by more threads, is given one.
    """
    if plan.task == "classification" and (y == y[0]).all():
        return DummyClassifier(strategy="prior").fit(X, y)  # a fold may hold one class; boosting refuses that
    estimator = _forest(plan, seed) if plan.kind == "random_forest" else _boosting(plan, seed)
    total = plan.n_estimators or 1
    grown = "n_estimators" if plan.kind == "random_forest" else "max_iter"
    for size in _chunk_ends(total):
        estimator.set_params(**{grown: size})
        if plan.kind == "random_forest":
            estimator.set_params(n_jobs=threads)
        with threadpool_limits(1, user_api="openmp"):
            estimator.fit(X, y)
        if on_trees is not None:
            on_trees(size, total)
    estimator.set_params(warm_start=False)
    if plan.kind == "random_forest":
        estimator.set_params(n_jobs=None)  # predicting must not start threads inside the API
    return estimator


def _chunk_ends(total: int) -> list[int]:
    return sorted({max(1, round(total * part / _CHUNKS)) for part in range(1, _CHUNKS + 1)})


def _forest(plan: Plan, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    made = RandomForestClassifier if plan.task == "classification" else RandomForestRegressor
    return made(criterion=plan.loss, max_depth=plan.max_depth, random_state=seed % 2**32, warm_start=True)


def _boosting(plan: Plan, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingClassifier if plan.task == "classification" else HistGradientBoostingRegressor
    return made(
        loss=plan.loss,
        learning_rate=plan.learning_rate,
        max_depth=plan.max_depth,
        early_stopping=False,
        random_state=seed % 2**32,
        warm_start=True,
    )


def standardized(y: Array) -> tuple[Array, float, float]:
    """Amounts with mean 0 and variance 1, and that mean and spread (1 for a constant target)."""
    mean, scale = float(y.mean()), float(y.std())
    scale = scale if scale > 1e-12 * max(abs(mean), 1.0) else 1.0
    return (y - mean) / scale, mean, scale
