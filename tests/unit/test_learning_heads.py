"""The one convex fit of every strategy: against its own optimality condition and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from shared.modeling.network import Layer
from worker.learning.heads import fit_head, fit_path
from worker.learning.losses import LOSSES

RANDOM = np.random.RandomState(0)


def problem(loss: str, rows: int, width: int = 6):
    X = RANDOM.normal(size=(rows, width)) * np.logspace(0, 2, width)
    if loss == "log_loss":
        return X, RANDOM.randint(3, size=rows), 3
    return X, X @ RANDOM.normal(size=width) / 50 + RANDOM.normal(size=rows), 1


def anchor(width: int, outputs: int) -> Layer:
    weights = RANDOM.normal(size=(width, outputs)) / 50
    return Layer(weights.astype(np.float32), RANDOM.normal(size=outputs).astype(np.float32))


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("rows", [4, 60])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "huber", "squared_epsilon_insensitive"])
def test_the_gradient_of_what_is_minimized_is_zero_at_the_head(loss, rows, anchored):
    X, y, outputs = problem(loss, rows)
    start, weights, alpha = anchor(6, outputs), RANDOM.uniform(0.5, 2, rows), 3.0
    head = fit_head(X, y, loss, alpha, start=start, anchored=anchored, weights=weights)
    _, flow = LOSSES[loss](X @ head.weights + head.bias, y)
    flow *= weights[:, None]
    origin = start.weights if anchored else 0.0
    scale = np.sqrt(0.1 * (np.square(X).T @ weights) + alpha)[:, None]
    gradient = (X.T @ flow + alpha * (head.weights - origin)) / scale
    pulled = flow.sum(axis=0) + (alpha * (head.bias - start.bias) if anchored else 0.0)
    assert np.abs(gradient).max() / weights.sum() < 2e-3
    assert np.abs(pulled).max() / weights.sum() < 5e-3


def test_an_unanchored_head_is_scikit_learns_logistic_regression_and_ridge():
    X, y, _ = problem("log_loss", 200)
    blank = Layer(np.zeros((6, 3), np.float32), np.zeros(3, np.float32))
    head = fit_head(X, y, "log_loss", 1.0, start=blank, anchored=False)
    theirs = LogisticRegression(C=1.0, max_iter=10_000, tol=1e-8).fit(X, y)
    ours = X @ head.weights + head.bias
    assert np.abs((ours - ours.mean(1, keepdims=True)) - theirs.decision_function(X)).max() < 0.02
    X, y, _ = problem("squared_error", 50)
    blank = Layer(np.zeros((6, 1), np.float32), np.zeros(1, np.float32))
    head = fit_head(X, y, "squared_error", 2.0, start=blank, anchored=False)
    np.testing.assert_allclose(
        (X @ head.weights + head.bias)[:, 0], Ridge(alpha=2.0).fit(X, y).predict(X), atol=1e-3
    )


def test_without_rows_that_disagree_an_anchored_head_stays_where_it_is():
    X, _, _ = problem("squared_error", 30)
    start = anchor(6, 1)
    y = (X @ start.weights + start.bias)[:, 0]
    head = fit_head(X, y, "squared_error", 1.0, start=start, anchored=True)
    np.testing.assert_allclose(head.weights, start.weights, atol=1e-4)


def test_a_path_gives_what_single_fits_give():
    X, y, outputs = problem("log_loss", 80)
    start = anchor(6, outputs)
    path = fit_path(X, y, "log_loss", (100.0, 1.0), start=start, anchored=True)
    for alpha, head in zip((100.0, 1.0), path, strict=True):
        alone = fit_head(X, y, "log_loss", alpha, start=start, anchored=True)
        assert np.abs(X @ (head.weights - alone.weights) + head.bias - alone.bias).max() < 0.1


def test_a_weight_of_two_is_a_row_twice():
    X, y, outputs = problem("log_loss", 40)
    start, weights = anchor(6, outputs), np.ones(40)
    weights[:7] = 2.0
    once = fit_head(X, y, "log_loss", 1.0, start=start, anchored=True, weights=weights)
    rows = np.r_[np.arange(40), np.arange(7)]
    twice = fit_head(X[rows], y[rows], "log_loss", 1.0, start=start, anchored=True)
    assert np.abs(X @ (once.weights - twice.weights)).max() < 0.1
