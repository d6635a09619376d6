"""The discriminant that keeps the source's covariance and moves its class means."""

from __future__ import annotations

import numpy as np
import pytest

from worker.learning.class_means import class_statistics, discriminant

COVARIANCE = np.array([[4.0, 3.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 0.25]])


def drawn(rows: int, centres, seed: int):
    random = np.random.RandomState(seed)
    y = np.arange(rows) % len(centres)
    return np.asarray(centres)[y] + random.multivariate_normal(np.zeros(3), COVARIANCE, rows), y


def accuracy(head, X, y) -> float:
    return float(((X @ head.weights + head.bias).argmax(axis=1) == y).mean())


OURS = [[0, 0, 0], [2, 0, 0], [0, 0, 1]]
THEIRS = [[5, 5, 2], [7, 5, 2], [5, 5, 3]]


def test_three_rows_a_class_are_enough_when_only_the_means_have_moved():
    source = class_statistics(*drawn(600, OURS, 0), 3)
    train, test = drawn(9, THEIRS, 1), drawn(900, THEIRS, 2)
    apart = discriminant(source, *drawn(900, THEIRS, 3), prior=0.0)
    unmoved = discriminant(source, train[0][:0], train[1][:0], prior=1.0)
    moved = discriminant(source, *train, prior=0.0)
    assert accuracy(unmoved, *test) < 0.5
    assert accuracy(moved, *test) > accuracy(apart, *test) - 0.15


@pytest.mark.parametrize("prior", [0.0, 1.0, 1e6])
def test_the_prior_is_what_the_sources_mean_is_worth_in_rows(prior):
    source = class_statistics(*drawn(600, OURS, 0), 3)
    X, y = np.full((4, 3), 8.0), np.zeros(4, int)
    head = discriminant(source, X, y, prior=prior)
    mean = np.linalg.solve(source.precision, head.weights[:, 0].astype(float) / source.factor)
    expected = (prior * source.means[0] + 4 * 8.0) / (prior + 4)
    np.testing.assert_allclose(mean, expected, atol=1e-3)


def test_a_label_without_target_rows_keeps_the_sources_mean():
    apart = [*OURS[:2], [0, 0, 5]]
    source = class_statistics(*drawn(600, apart, 0), 3)
    X, y = drawn(30, apart, 1)
    head = discriminant(source, X[y < 2], y[y < 2], prior=0.0)
    test_X, test_y = drawn(300, apart, 2)
    assert accuracy(head, test_X[test_y == 2], test_y[test_y == 2]) > 0.9


def test_a_new_label_is_learned_and_one_without_any_row_is_never_predicted():
    source = class_statistics(*drawn(600, OURS, 0), 3)
    X, y = drawn(40, [*OURS, [20, 0, 0]], 1)
    assert accuracy(discriminant(source, X, y, prior=1.0), X[y == 3], y[y == 3]) == 1.0
    gap = np.where(y == 3, 4, y)  # code 3 has no row
    head = discriminant(source, X, gap, prior=1.0)
    assert head.weights.shape == (3, 5)
    assert 3 not in (X @ head.weights + head.bias).argmax(axis=1)


def test_decisions_are_calibrated_on_the_sources_rows():
    random = np.random.RandomState(0)
    X, y = random.normal(size=(2_000, 1)), random.randint(2, size=2_000)
    X = np.repeat(X + y[:, None], 10, axis=1) + random.normal(0, 0.01, (2_000, 10))  # one feature ten times
    X = np.sign(X) * X**2
    source = class_statistics(X, y, 2)
    head = discriminant(source, X, y, prior=1.0)
    decision = X @ head.weights + head.bias
    sure = 1 / (1 + np.exp(-np.abs(decision[:, 1] - decision[:, 0])))
    assert abs(sure.mean() - accuracy(head, X, y)) < 0.05
