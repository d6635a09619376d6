"""Fourteen ways in which a target differs from its source, on data bundled with scikit-learn and on synthetic data.

    digits_rot25, digits_rot60     images turned               hyper30, hyper120   a boundary turned: concept drift
    digits_noise, digits_invert    images damaged              covshift            the same concept, moved inputs
    digits_newlabels               two new classes             blobs               class means moved on their own
    bc_scale                       units changed               diabetes_age, _sex  regression on other people
    bc_split                       other range of a column     lin_drift           coefficients and intercept moved

Each draws everything from one `RandomState`, in a fixed order: see `grids.make`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.ndimage import rotate
from sklearn import datasets

Array = Any
Random = np.random.RandomState


@dataclass(frozen=True)
class Shift:
    """Source rows, a pool of labelled target rows to draw a training set from, and the target's test rows."""

    task: str
    source: tuple[Array, Array]
    pool: tuple[Array, Array]
    test: tuple[Array, Array]

    def sample(self, rows: int, seed: int) -> tuple[Array, Array] | None:
        """That many rows of the pool, in a seeded order, which is changed until two classes are among them; None if
        the pool is smaller."""
        X, y = self.pool
        if rows > len(X):
            return None
        for attempt in range(100):
            drawn = Random(1000003 + 101 * seed + 7 * attempt).permutation(len(X))[:rows]
            if self.task == "regression" or len(set(y[drawn])) > 1:
                return X[drawn], y[drawn]
        return None


def _digits(r: Random, change: Callable[[Array], Array], classes: range | None = None) -> Shift:
    X, y = shuffled("digits", r)
    Xs, ys = X[:800], y[:800]
    if classes is not None:
        known = np.isin(ys, classes)
        Xs, ys = Xs[known], ys[known]
    return split("classification", (Xs, ys), (change(X[800:]), y[800:]), r, test=497)


def digits_rot25(r: Random) -> Shift:
    return _digits(r, lambda X: _turned(X, 25))


def digits_rot60(r: Random) -> Shift:
    return _digits(r, lambda X: _turned(X, 60))


def digits_noise(r: Random) -> Shift:
    return _digits(r, lambda X: np.clip(X + r.normal(0, 4, X.shape), 0, 16))


def digits_invert(r: Random) -> Shift:
    return _digits(r, lambda X: 16 - X)


def digits_newlabels(r: Random) -> Shift:
    """Classes 8 and 9 are in the target only."""
    return _digits(r, lambda X: X, range(8))


def bc_scale(r: Random) -> Shift:
    X, y = shuffled("breast_cancer", r)
    spread = X.std(0)
    factor, offset = np.exp(r.normal(0, 0.5, X.shape[1])), r.normal(0, 0.7, X.shape[1]) * spread
    return split("classification", (X[:250], y[:250]), (X[250:] * factor + offset, y[250:]), r, test=119)


def bc_split(r: Random) -> Shift:
    X, y = bundled("breast_cancer")
    smooth = X[:, 1] < np.median(X[:, 1])
    return split("classification", (X[smooth], y[smooth]), (X[~smooth], y[~smooth]), r, test=180)


def hyper30(r: Random) -> Shift:
    return _hyperplane(r, 30)


def hyper120(r: Random) -> Shift:
    """The source is wrong more often than right."""
    return _hyperplane(r, 120)


def _hyperplane(r: Random, degrees: float, width: int = 20, rows: int = 3500, ours: int = 1000) -> Shift:
    w = r.normal(size=width)
    w /= np.linalg.norm(w)
    v = r.normal(size=width)
    v -= v @ w * w
    v /= np.linalg.norm(v)
    X = r.normal(size=(rows, width))
    angle = np.deg2rad(degrees)
    turned = np.cos(angle) * w + np.sin(angle) * v
    y = np.r_[X[:ours] @ w > 0, X[ours:] @ turned > 0].astype(int)
    y[r.rand(rows) < 0.05] ^= 1
    return split("classification", (X[:ours], y[:ours]), (X[ours:], y[ours:]), r, test=2000)


def covshift(r: Random, rows: int = 4500, ours: int = 1500) -> Shift:
    X = r.normal(size=(rows, 8))
    X[ours:, :4] = X[ours:, :4] * 0.7 + 1.2
    f = X[:, 0] + X[:, 1] ** 2 - 1.5 * X[:, 2] * X[:, 3] + 0.5 * X[:, 4] - 0.5
    y = (f + r.normal(0, 0.5, rows) > 0).astype(int)
    return split("classification", (X[:ours], y[:ours]), (X[ours:], y[ours:]), r, test=2000)


def blobs(r: Random, classes: int = 4, width: int = 10, rows: int = 3500, ours: int = 1000) -> Shift:
    means = r.normal(0, 1.2, (classes, width))
    moved = means + r.normal(0, 0.8, (classes, width))
    y = r.randint(classes, size=rows)
    X = np.where(np.arange(rows)[:, None] < ours, means[y], moved[y]) + r.normal(size=(rows, width))
    return split("classification", (X[:ours], y[:ours]), (X[ours:], y[ours:]), r, test=2000)


def diabetes_age(r: Random) -> Shift:
    X, y = bundled("diabetes")
    young = X[:, 0] < np.median(X[:, 0])
    return split("regression", (X[young], y[young]), (X[~young], y[~young]), r, test=115)


def diabetes_sex(r: Random) -> Shift:
    X, y = bundled("diabetes")
    first = X[:, 1] < 0
    return split("regression", (X[first], y[first]), (X[~first], y[~first]), r, test=105)


def lin_drift(r: Random, width: int = 20, rows: int = 3500, ours: int = 1000) -> Shift:
    w = r.normal(size=width)
    moved = w + r.normal(0, 0.5, width) * (r.rand(width) < 0.4)
    X = r.normal(size=(rows, width))
    y = np.r_[X[:ours] @ w, X[ours:] @ moved + 1.0] + r.normal(0, 1.5, rows)
    return split("regression", (X[:ours], y[:ours]), (X[ours:], y[ours:]), r, test=2000)


SHIFTS: dict[str, Callable[[Random], Shift]] = {
    made.__name__: made
    for made in (
        digits_rot25,
        digits_rot60,
        digits_noise,
        digits_invert,
        digits_newlabels,
        bc_scale,
        bc_split,
        hyper30,
        hyper120,
        covshift,
        blobs,
        diabetes_age,
        diabetes_sex,
        lin_drift,
    )
}


@cache
def bundled(name: str) -> tuple[Array, Array]:
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, y


def shuffled(name: str, r: Random) -> tuple[Array, Array]:
    X, y = bundled(name)
    order = r.permutation(len(X))
    return X[order], y[order]


def _turned(X: Array, degrees: float) -> Array:
    images = rotate(X.reshape(-1, 8, 8), degrees, axes=(1, 2), reshape=False, order=1)
    return np.clip(images, 0, 16).reshape(len(X), 64)


def split(
    task: str, source: tuple[Array, Array], target: tuple[Array, Array], r: Random, *, test: int
) -> Shift:
    order = r.permutation(len(target[0]))
    X, y = target[0][order], target[1][order]
    return Shift(task, source, (X[test:], y[test:]), (X[:test], y[:test]))
