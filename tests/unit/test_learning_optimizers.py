"""The engine: right gradients, exact resumption, clear refusal when it diverges."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest

from shared.errors import InvalidInput
from worker.learning.losses import LOSSES
from worker.learning.objective import Objective
from worker.learning.optimizers import SEGMENT, FitSettings, FitState, automatic_rate, optimize

REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")


def problem(
    loss: str, *, hidden: int | None = None, anchored: bool = False, alpha: float = 0.7, rows: int = 40
):
    random = np.random.RandomState(1)
    X = random.normal(size=(rows, 4))
    outputs = 1 if loss in REGRESSION else 3
    y = random.normal(size=rows) if loss in REGRESSION else np.arange(rows) % 3
    sizes = [4, outputs] if hidden is None else [4, hidden, hidden, outputs]
    weights = []
    for inputs, width in pairwise(sizes):
        weights += [random.normal(size=(inputs, width)), random.normal(size=width)]
    anchor = [random.normal(size=w.shape) for w in weights] if anchored else None
    return Objective(X, y, loss, alpha, anchor), weights


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_finite_differences(loss, hidden, anchored):
    objective, weights = problem(loss, hidden=hidden, anchored=anchored)
    _, gradient = objective.value_and_gradient(weights)
    step = 1e-6
    for w, g in zip(weights, gradient, strict=True):
        for place in np.ndindex(w.shape):
            kept = w[place]
            w[place] = kept + step
            above, _ = objective.value_and_gradient(weights)
            w[place] = kept - step
            below, _ = objective.value_and_gradient(weights)
            w[place] = kept
            assert g[place] == pytest.approx((above - below) / (2 * step), abs=2e-5)


def test_a_batch_of_all_rows_is_the_whole_objective():
    objective, weights = problem("log_loss", hidden=5)
    whole, batch = objective.value_and_gradient(weights), objective.on_batch(weights, np.arange(40))
    assert whole[0] == pytest.approx(batch[0])
    for a, b in zip(whole[1], batch[1], strict=True):
        np.testing.assert_allclose(a, b)


def test_the_penalty_leaves_biases_alone_unless_anchored():
    plain, weights = problem("squared_error", alpha=0.0)
    heavy, _ = problem("squared_error", alpha=1000.0)
    anchored, _ = problem("squared_error", alpha=1000.0, anchored=True)
    bias = [objective.value_and_gradient(weights)[1][1][0] for objective in (plain, heavy, anchored)]
    assert bias[0] == pytest.approx(bias[1])
    assert abs(bias[2] - bias[0]) > 1


def test_a_strong_anchor_holds_the_weights():
    objective, weights = problem("log_loss", anchored=True, alpha=1e6)
    ended = optimize(objective, weights, settings("lbfgs", 200))
    for w, a in zip(ended.weights, objective.anchor, strict=True):
        np.testing.assert_allclose(w, a, atol=1e-3)


def settings(optimizer: str, epochs: int, rate: float = 0.02, **other) -> FitSettings:
    return FitSettings(optimizer, epochs, rate, batch_size=8, seed=3, tolerance=0.0, **other)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("optimizer", ["gradient_descent", "sgd", "adam", "lbfgs"])
def test_an_interrupted_fit_goes_on_to_the_very_same_weights(optimizer, hidden):
    epochs, stop = (SEGMENT + 30, SEGMENT + 9) if optimizer == "lbfgs" else (10, 4)
    objective, weights = problem("log_loss", hidden=hidden, alpha=0.01)
    objective.X[:] *= [1, 3, 10, 30]  # slow to converge
    whole = optimize(objective, weights, settings(optimizer, epochs))
    saved = io.BytesIO()

    def save(state: FitState) -> None:
        saved.seek(0)
        saved.truncate()
        np.savez(saved, **state.to_arrays())

    def interrupt(epoch: int, epochs: int, loss: float) -> None:
        if epoch > stop:
            raise Stopped

    with pytest.raises(Stopped):
        optimize(objective, weights, settings(optimizer, epochs), on_epoch=interrupt, on_state=save)
    saved.seek(0)
    state = FitState.from_arrays(dict(np.load(saved)))
    assert 0 < state.epoch <= stop
    resumed = optimize(objective, weights, settings(optimizer, epochs), state=state)
    assert resumed.epoch == whole.epoch
    assert resumed.loss == whole.loss
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_epochs_are_shuffled_differently_and_by_the_seed_only():
    objective, weights = problem("log_loss")
    runs = [optimize(objective, weights, settings("sgd", 3)).weights[0] for _ in range(2)]
    np.testing.assert_array_equal(*runs)
    other = FitSettings("sgd", 3, 0.02, batch_size=8, seed=4, tolerance=0.0)
    assert not np.array_equal(runs[0], optimize(objective, weights, other).weights[0])


@pytest.mark.parametrize("optimizer", ["gradient_descent", "sgd", "adam"])
def test_a_rate_that_is_too_high_fails_with_a_sentence_about_the_rate(optimizer):
    objective, weights = problem("squared_error")
    with pytest.raises(InvalidInput, match="lower the learning rate") as caught:
        optimize(objective, weights, settings(optimizer, 200, rate=1e6))
    assert caught.value.code == "diverged"


def test_an_automatic_rate_that_is_too_high_is_cut():
    objective, weights = problem("squared_error")
    ended = optimize(objective, weights, settings("gradient_descent", 500, rate=5.0, cut_on_divergence=True))
    assert ended.cuts >= 1
    assert ended.learning_rate < 5.0
    assert ended.loss < ended.initial


def test_inputs_that_are_not_finite_diverge_instead_of_publishing_nothing():
    objective, weights = problem("squared_error")
    objective.X[0, 0] = np.nan
    with pytest.raises(InvalidInput) as caught:
        optimize(objective, weights, settings("lbfgs", 20))
    assert caught.value.code == "diverged"


def test_the_automatic_rate_is_the_inverse_of_the_largest_curvature():
    random = np.random.RandomState(0)
    X = random.normal(size=(300, 6)) * np.array([1, 2, 3, 4, 5, 6])
    extended = np.column_stack([X, np.ones(300)])
    largest = np.linalg.eigvalsh(extended.T @ extended / 300)[-1]
    assert 0.9 < automatic_rate(X, "squared_error", 0.0) * largest < 1.0


def test_epochs_are_told_with_a_falling_loss():
    objective, weights = problem("log_loss")
    told: list[tuple[int, int, float]] = []
    optimize(objective, weights, settings("adam", 12), on_epoch=lambda *step: told.append(step))
    assert [epoch for epoch, _, _ in told] == list(range(1, 13))
    assert {epochs for _, epochs, _ in told} == {12}
    assert told[-1][2] < told[0][2]


def test_a_fit_without_progress_stops_early():
    objective, weights = problem("log_loss")
    patient = FitSettings("gradient_descent", 100_000, 0.1, batch_size=8, seed=0, tolerance=1e-5)
    ended = optimize(objective, weights, patient)
    assert ended.finished
    assert ended.epoch < 5_000
