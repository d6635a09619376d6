"""Learning curves that fit a few noisy points, each as likely as it fits them.

    error(n) = a + b · n^(-c)      (Hestness et al., 2017; Viering & Loog, TPAMI 2022)

Four points do not determine three numbers, so no single curve is chosen. Every curve of a grid counts by its likelihood
under the points' covariance, and what they say together is told as a mean and the interval of the middle 80 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

INTERVAL = 0.8
#: Exponents reported range from 0.1 for hard problems to 1 for parametric rates, and a little above on few rows.
_EXPONENTS = np.linspace(0.1, 1.3, 25)
#: The error that remains with any number of rows, as a share of that measured on most.
_FLOORS = np.linspace(0.0, 1.0, 41)
#: Standard deviations around the best b, and how dense the normal distribution is there.
_STEPS = np.linspace(-2.5, 2.5, 11)
_DENSITY = np.exp(-np.square(_STEPS) / 2)
#: Deviation of a power law from the truth, in score: no curve is believed to be exact.
_MISFIT = 0.007


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and the interval that holds the middle INTERVAL of what the curves say."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Many a + b · (n / unit)^(-c) side by side, and the weight of each; weights sum to 1.

    The unit is the smallest number of rows measured, so that b is what the error there can still lose, whatever c: as
    likely to be large as small. Taken at n = 1, steep curves would count for more than others, for no reason.
    """

    a: Array
    b: Array
    c: Array
    weights: Array
    unit: float

    @property
    def exponent(self) -> float:
        """The mean c."""
        return float(self.weights @ self.c)

    def score(self, rows: int) -> Estimate:
        """1 - error on so many rows."""
        return self._estimate(1.0 - self.a - self.b * (rows / self.unit) ** -self.c)

    def gain(self, rows: int, more: int) -> Estimate:
        """What `more` rows in all bring over `rows`."""
        return self._estimate(self.b * ((rows / self.unit) ** -self.c - (more / self.unit) ** -self.c))

    def _estimate(self, values: Array) -> Estimate:
        order = np.argsort(values)
        reached = np.cumsum(self.weights[order])
        tail = (1 - INTERVAL) / 2
        places = np.minimum(np.searchsorted(reached, [tail, 1 - tail]), len(order) - 1)
        low, high = values[order[places]]
        return Estimate(float(self.weights @ values), float(low), float(high))


def fitted(rows: Array, errors: Array, covariance: Array) -> Curves:
    """rows, errors (points,); covariance (points, points) of the errors."""
    precision = np.linalg.inv(covariance + _MISFIT**2 * np.eye(len(rows)))
    floors = _FLOORS * max(float(errors[-1]), 1e-3)
    a, c = (grid.ravel() for grid in np.meshgrid(floors, _EXPONENTS, indexing="ij"))
    unit = float(rows.min())
    shape = (rows[None, :] / unit) ** -c[:, None]
    above = errors[None, :] - a[:, None]
    curvature = np.einsum("gi,ij,gj->g", shape, precision, shape)
    best = np.einsum("gi,ij,gj->g", shape, precision, above) / curvature
    b = best[:, None] + _STEPS[None, :] / np.sqrt(curvature)[:, None]
    missed = above - best[:, None] * shape
    misfit = np.einsum("gi,ij,gj->g", missed, precision, missed)
    likely = np.exp(-(misfit - misfit.min()) / 2) / np.sqrt(curvature)
    weights = likely[:, None] * _DENSITY[None, :] * (b >= 0)
    if not weights.sum() > 0:  # the score falls with every row: the nearest curve is flat
        b, weights = np.zeros_like(b), likely[:, None] * _DENSITY[None, :]
    spread = np.ones_like(b)
    return Curves(
        (a[:, None] * spread).ravel(),
        b.ravel(),
        (c[:, None] * spread).ravel(),
        (weights / weights.sum()).ravel(),
        unit,
    )
