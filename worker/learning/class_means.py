"""A linear discriminant whose class means move to the target while its covariance stays the source's.

Where classes lie takes a few rows to learn, how they spread takes hundreds, and the spread is what a shift is likelier
to leave alone. Each mean is the maximum a posteriori one, as if some rows of the source counted (Gauvain & Lee, IEEE
TSAP 1994); a label without target rows keeps the source's mean. The covariance is the source's within its classes, on
the inputs or on hidden layers, shrunk to a multiple of the identity (Friedman, JASA 1989). One factor, fitted on the
source's own rows, takes out the overconfidence that comes of features that are not normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.modeling.network import Layer
from worker.learning.calibration import sharpness
from worker.learning.losses import Array

#: The share of the mean variance that is added to every direction.
RIDGE = 0.1
#: What the bias of a label without any row is below the smallest of the others: it is never predicted.
_NEVER = 50.0


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Of the source's rows: means (classes, width), counts (classes,), the inverse of the shrunk covariance within
    classes (width, width), and the factor that calibrates decisions."""

    means: Array
    counts: Array
    precision: Array
    factor: float


def class_statistics(features: Array, y: Array, classes: int) -> ClassStatistics:
    """features (n, width), y (n,) codes below `classes`."""
    X = features.astype(np.float64)
    counts = np.bincount(y, minlength=classes)
    means = np.zeros((classes, X.shape[1]))
    np.add.at(means, y, X)
    means /= np.maximum(counts, 1)[:, None]
    within = X - means[y]
    covariance = within.T @ within / len(X)
    covariance.flat[:: len(covariance) + 1] += RIDGE * np.trace(covariance) / len(covariance) + 1e-9
    found = ClassStatistics(means, counts, np.linalg.inv(covariance), 1.0)
    head = discriminant(found, X[:0], y[:0], prior=1.0)
    decisions = X @ head.weights + head.bias
    return ClassStatistics(means, counts, found.precision, sharpness(decisions, y))


def discriminant(source: ClassStatistics, features: Array, y: Array, *, prior: float) -> Layer:
    """A head over the source's and any further classes: features (n, width), y (n,) codes into them.

    prior: how many target rows the source's mean of a class is worth.
    """
    known, classes = len(source.counts), max(len(source.counts), int(y.max(initial=-1)) + 1)
    means = np.zeros((classes, source.means.shape[1]))
    means[:known] = source.means
    counts = np.bincount(y, minlength=classes)
    pseudo = np.zeros(classes)
    pseudo[:known] = np.where(source.counts > 0, prior, 0.0)
    sums = np.zeros_like(means)
    np.add.at(sums, y, features.astype(np.float64))
    moved = counts > 0
    means[moved] = (pseudo[:, None] * means + sums)[moved] / (pseudo + counts)[moved, None]
    weights = source.precision @ means.T
    shares = (counts + 1.0) / (counts + 1.0).sum()
    bias = np.log(shares) - 0.5 * np.einsum("cw,wc->c", means, weights)
    weights, bias = source.factor * weights, source.factor * bias
    never = ~moved
    never[:known] &= source.counts == 0
    if never.any():
        weights[:, never] = 0.0
        bias[never] = min(float(bias.min()), 0.0) - _NEVER
    return Layer(weights.astype(np.float32), bias.astype(np.float32))
