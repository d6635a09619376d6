"""Shifts that `auto` was not developed on, to see whether what it promises holds elsewhere: `--grid other`.

wine_units      other units                          same           no shift at all
iris_noise      a few rows, noisier and moved        many           15 classes in rotated inputs
label_shift     half of the classes become rare      nonlinear      a bent amount, doubled and moved
permuted        ten columns in another order         unrelated      the source has learned noise
renamed         every class bears another's name     dead_pixels    a third of the columns are lost
parity          another question on the same images
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.transfer.shifts import Random, Shift, bundled, shuffled, split


def wine_units(r: Random) -> Shift:
    X, y = shuffled("wine", r)
    factors = np.exp(r.normal(0, 0.6, X.shape[1]))
    return split("classification", (X[:70], y[:70]), (X[70:] * factors, y[70:]), r, test=58)


def iris_noise(r: Random) -> Shift:
    X, y = shuffled("iris", r)
    moved = X[50:] + r.normal(0, 0.5, X[50:].shape) + [0.5, 0.0, -0.5, 0.2]
    return split("classification", (X[:50], y[:50]), (moved, y[50:]), r, test=50)


def label_shift(r: Random) -> Shift:
    X, y = shuffled("digits", r)
    kept = r.rand(len(y)) < np.where(y < 5, 1.0, 0.15)
    ours = np.arange(len(y)) < 700
    return split("classification", (X[ours], y[ours]), (X[~ours & kept], y[~ours & kept]), r, test=350)


def permuted(r: Random) -> Shift:
    X, y = shuffled("breast_cancer", r)
    order = np.r_[r.permutation(10), 10:30]
    return split("classification", (X[:250], y[:250]), (X[250:][:, order], y[250:]), r, test=119)


def renamed(r: Random) -> Shift:
    X, y = shuffled("digits", r)
    return split("classification", (X[:800], y[:800]), (X[800:], (y[800:] + 1) % 10), r, test=497)


def parity(r: Random) -> Shift:
    X, y = shuffled("digits", r)
    return split("classification", (X[:800], y[:800]), (X[800:], 100 + y[800:] % 2), r, test=497)


def dead_pixels(r: Random) -> Shift:
    X, y = shuffled("digits", r)
    return split("classification", (X[:800], y[:800]), (X[800:] * (r.rand(64) >= 0.3), y[800:]), r, test=497)


def same(r: Random) -> Shift:
    X, y = shuffled("breast_cancer", r)
    return split("classification", (X[:250], y[:250]), (X[250:], y[250:]), r, test=119)


def many(r: Random, classes: int = 15, width: int = 12) -> Shift:
    means = r.normal(0, 1.5, (classes, width))
    turned = np.linalg.qr(np.eye(width) + 0.4 * r.normal(size=(width, width)))[0]
    y = r.randint(classes, size=3000)
    X = means[y] + r.normal(size=(3000, width))
    return split("classification", (X[:1000], y[:1000]), (X[1000:] @ turned, y[1000:]), r, test=1000)


def nonlinear(r: Random) -> Shift:
    X = r.normal(size=(3000, 6))
    amount = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + X[:, 3]
    y = np.where(np.arange(3000) < 1000, amount, 2 * amount - 1 + 0.5 * X[:, 4]) + r.normal(0, 0.3, 3000)
    return split("regression", (X[:1000], y[:1000]), (X[1000:], y[1000:]), r, test=1000)


def unrelated(r: Random) -> Shift:
    X, y = bundled("diabetes")
    return split("regression", (X[:200], r.permutation(y[:200])), (X[200:], y[200:]), r, test=100)


OTHER_SHIFTS: dict[str, Callable[[Random], Shift]] = {
    made.__name__: made
    for made in (
        wine_units,
        iris_noise,
        label_shift,
        permuted,
        renamed,
        parity,
        dead_pixels,
        same,
        many,
        nonlinear,
        unrelated,
    )
}
