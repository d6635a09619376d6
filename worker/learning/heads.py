"""Fits one linear head on fixed features: the convex problem that every strategy but `continue` and `scratch`
solves.

    minimize over W, b   Σᵢ weightᵢ · loss(φᵢ W + b, yᵢ)  +  alpha/2 · ‖W - W_anchor‖²

Where there is an anchor the biases count among W (L2-SP: Li, Grandvalet & Davoine, ICML 2018); where there is none
they are free. The unknown is the step away from the start, in the features' principal directions: there are no more
of those than rows, squared error is solved by a division, and for the other losses the curvature is nearly the same
in all of them, which takes L-BFGS to the end in tens of iterations instead of hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shared.contracts.kinds import Loss, Task
from shared.modeling.network import Layer
from worker.learning.losses import LOSSES, Array

Vector = npt.NDArray[np.float64]

#: Of L-BFGS, in units of the mean loss: beyond it, no probability moves by as much as a hundredth.
GRADIENT_TOLERANCE = 1e-4
MAX_ITERATIONS = 200
#: A loss's second derivative in a decision, as it is typically: it shapes the steps, not the solution.
_TYPICAL_CURVATURE = 0.1
_SMOOTH: dict[str, Loss] = {"epsilon_insensitive": "squared_epsilon_insensitive", "absolute_error": "huber"}


def head_loss(task: Task, loss: Loss) -> Loss:
    """What a head is fitted by: labels by likelihood, so that strategies can be compared and blended by it (hinge
    decisions become logits with their calibrated factor); amounts by the source's loss, smoothed if it has a kink."""
    return "log_loss" if task == "classification" else _SMOOTH.get(loss, loss)


def fit_head(
    features: Array,
    y: Array,
    loss: Loss,
    alpha: float,
    *,
    start: Layer,
    anchored: bool,
    weights: Array | None = None,
) -> Layer:
    """features (n, width); y (n,) codes or standardized amounts; weights (n,), None: 1 each.

    `start` (width, outputs) is where the search begins, and if `anchored` what the penalty pulls to.
    """
    return fit_path(features, y, loss, (alpha,), start=start, anchored=anchored, weights=weights)[0]


def fit_path(
    features: Array,
    y: Array,
    loss: Loss,
    alphas: Sequence[float],
    *,
    start: Layer,
    anchored: bool,
    weights: Array | None = None,
) -> list[Layer]:
    """One head for each alpha, each begun where the one before ended: strong penalties first is fastest."""
    problem = _Problem.of(features, y, loss, start, weights, anchored=anchored)
    step = np.zeros((problem.directions.shape[1] + 1, start.weights.shape[1]))
    found = []
    for alpha in alphas:
        solve = problem.divided if loss == "squared_error" else problem.searched
        step = solve(max(float(alpha), 1e-6), step)
        found.append(problem.layer(step))
    return found


@dataclass(frozen=True, slots=True)
class _Problem:
    """X (n, width, or with an anchor width + 1) less its mean where the bias is free. directions (width, r): the
    principal ones, with their squared lengths (r,). base (n, outputs): decisions before any step."""

    X: Array
    y: Array
    loss: Loss
    weights: Array
    mean: Array
    directions: Array
    lengths: Array
    base: Array
    origin: Array
    bias: Array
    anchored: bool

    @classmethod
    def of(
        cls, features: Array, y: Array, loss: Loss, start: Layer, weights: Array | None, *, anchored: bool
    ) -> _Problem:
        w = np.ones(len(features)) if weights is None else np.asarray(weights, np.float64)
        origin = start.weights.astype(np.float64) if anchored else np.zeros(start.weights.shape)
        bias = start.bias.astype(np.float64)
        X = features.astype(np.float64)
        base = X @ origin + bias
        if anchored:
            X, mean = np.column_stack([X, np.ones(len(X))]), np.zeros(X.shape[1] + 1)
        else:
            mean = (w @ X) / w.sum()
            X -= mean
            base = np.tile(bias, (len(X), 1))
        directions, lengths = _principal(X * np.sqrt(w)[:, None])
        return cls(X, y, loss, w, mean, directions, lengths, base, origin, bias, anchored)

    def divided(self, alpha: float, step: Array) -> Array:
        """Ridge (Hoerl & Kennard, 1970) in principal directions."""
        residual = self.y - self.base[:, 0]
        shift = 0.0 if self.anchored else float(self.weights @ residual / self.weights.sum())
        pull = self.directions.T @ (self.X.T @ (self.weights * (residual - shift)))
        return np.append(pull / (self.lengths + alpha), shift)[:, None]

    def searched(self, alpha: float, step: Array) -> Array:
        """L-BFGS from `step`; the last row of a step is the free bias."""
        total = float(self.weights.sum())
        scale = np.sqrt(_TYPICAL_CURVATURE * self.lengths + alpha)
        scale = np.append(scale, np.sqrt(_TYPICAL_CURVATURE * total))[:, None]
        Z = np.empty((len(self.X), len(scale)))
        Z[:, :-1] = self.X @ (self.directions / scale[:-1, 0])
        Z[:, -1] = 0.0 if self.anchored else 1.0 / scale[-1, 0]
        penalty = alpha / np.square(scale)
        penalty[-1] = 0.0
        loss_of, w = LOSSES[self.loss], self.weights[:, None]

        def value_and_gradient(flat: Vector) -> tuple[float, Vector]:
            scaled = flat.reshape(step.shape)
            losses, flow = loss_of(self.base + Z @ scaled, self.y)
            pull = penalty * scaled
            gradient = Z.T @ (flow * w)
            gradient += pull
            value = float(self.weights @ losses) + 0.5 * float(np.vdot(pull, scaled))
            return value / total, gradient.ravel() / total

        found = minimize(
            value_and_gradient,
            (step * scale).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "gtol": GRADIENT_TOLERANCE, "ftol": 1e-9, "maxls": 40},
        )
        return np.asarray(found.x.reshape(step.shape) / scale)

    def layer(self, step: Array) -> Layer:
        moved = self.directions @ step[:-1]
        if self.anchored:
            weights, bias = self.origin + moved[:-1], self.bias + moved[-1]
        else:
            weights, bias = moved, self.bias + step[-1] - self.mean @ moved
        return Layer(weights.astype(np.float32), bias.astype(np.float32))


def _principal(X: Array) -> tuple[Array, Array]:
    """Orthonormal directions (width, r) that the rows of X span, and the squared length of X along each (r,)."""
    if len(X) < X.shape[1]:
        lengths, left = np.linalg.eigh(X @ X.T)
        kept = lengths > 1e-10 * max(lengths[-1], 1e-300)
        return X.T @ (left[:, kept] / np.sqrt(lengths[kept])), lengths[kept]
    lengths, directions = np.linalg.eigh(X.T @ X)
    kept = lengths > 1e-10 * max(lengths[-1], 1e-300)
    return directions[:, kept], lengths[kept]
