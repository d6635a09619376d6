"""What the engine minimizes: mean loss plus an L2 penalty around an anchor.

    J(W) = 1/n · ( Σ loss(decision(xᵢ; W), yᵢ)  +  alpha/2 · ‖W - W_anchor‖² )

With no anchor the penalty pulls to zero and leaves biases alone: alpha = 1 is scikit-learn's C = 1. With
the anchor at a source model's weights it is L2-SP (Li, Grandvalet & Davoine, ICML 2018), and biases are
penalized too. Weights are a flat list [W₁, b₁, …, W_head, b_head]; hidden layers are ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.modeling.network import BLOCK_ROWS, blocks
from worker.learning.losses import LOSSES, Array

Weights = list[Array]


@dataclass(frozen=True, slots=True)
class Objective:
    """X (n, inputs) float32 or float64, which is also the precision of the sums; y (n,): see `losses`."""

    X: Array
    y: Array
    loss: str
    alpha: float
    anchor: Sequence[Array] | None = None

    @property
    def rows(self) -> int:
        return len(self.X)

    def hidden(self, weights: Weights) -> Array:
        """What the head sees, of the first rows at most: (min(n, BLOCK_ROWS), head inputs)."""
        return self._activations(weights, self.X[:BLOCK_ROWS])[-1]

    def value_and_gradient(self, weights: Weights) -> tuple[float, Weights]:
        """J and its gradient over all rows, block by block, so that memory does not grow with n."""
        total = 0.0
        gradient = [np.zeros_like(w) for w in weights]
        for rows in blocks(self.rows, BLOCK_ROWS):
            value, parts = self._sums(weights, self.X[rows], self.y[rows])
            total += value
            for whole, part in zip(gradient, parts, strict=True):
                whole += part
        return self._mean(weights, total, gradient, self.rows)

    def on_batch(self, weights: Weights, rows: Array) -> tuple[float, Weights]:
        """The same over some rows: an unbiased estimate of J and its gradient."""
        total, gradient = self._sums(weights, self.X[rows], self.y[rows])
        return self._mean(weights, total, gradient, len(rows))

    def _sums(self, weights: Weights, X: Array, y: Array) -> tuple[float, Weights]:
        inputs = self._activations(weights, X)
        value, flow = LOSSES[self.loss](inputs[-1] @ weights[-2] + weights[-1], y)
        gradient: Weights = []
        for position in range(len(inputs) - 1, -1, -1):
            gradient[:0] = [inputs[position].T @ flow, flow.sum(axis=0)]
            if position:
                flow = flow @ weights[2 * position].T
                flow *= inputs[position] > 0
        return float(value.sum(dtype=np.float64)), gradient

    def _activations(self, weights: Weights, X: Array) -> list[Array]:
        inputs = [X]
        for layer in range(0, len(weights) - 2, 2):
            hidden = inputs[-1] @ weights[layer]
            hidden += weights[layer + 1]
            inputs.append(np.maximum(hidden, 0.0, out=hidden))
        return inputs

    def _mean(self, weights: Weights, total: float, gradient: Weights, rows: int) -> tuple[float, Weights]:
        penalty = 0.0
        for position, (w, g) in enumerate(zip(weights, gradient, strict=True)):
            g /= rows
            if self.anchor is None and position % 2:
                continue
            pull = w - self.anchor[position] if self.anchor is not None else w
            g += (self.alpha / self.rows) * pull
            penalty += float(np.vdot(pull, pull))
        return total / rows + 0.5 * self.alpha / self.rows * penalty, gradient
