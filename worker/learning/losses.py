"""The losses of the engine: for a block of decisions D, the loss of each row and its gradient in D.

D is (rows, outputs). For classification the outputs are the classes, always one each (also for two
classes, so that a label set can grow), and y holds their codes. For regression there is one output and y
holds standardized amounts.

    log_loss                       softmax cross-entropy
    hinge, squared_hinge           one against the rest, summed over classes
    squared_error                  ½ r²
    huber                          ½ r² up to HUBER_DELTA, linear beyond
    epsilon_insensitive            max(0, |r| - EPSILON); squared_epsilon_insensitive: its square
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LossFunction = Callable[[Array, Array], tuple[Array, Array]]

#: In standard deviations of the target; scikit-learn's SVR default.
EPSILON = 0.1
#: In standard deviations of the target; 95 % efficient under normal noise (Huber, 1964).
HUBER_DELTA = 1.35


def log_loss(D: Array, y: Array) -> tuple[Array, Array]:
    shifted = D - D.max(axis=1, keepdims=True)
    gradient = np.exp(shifted)
    total = gradient.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = np.log(total[:, 0]) - shifted[rows, y]
    gradient /= total
    gradient[rows, y] -= 1.0
    return loss, gradient


def hinge(D: Array, y: Array) -> tuple[Array, Array]:
    signs = _signs(D, y)
    slack = np.maximum(1.0 - signs * D, 0.0)
    return slack.sum(axis=1), -signs * (slack > 0)


def squared_hinge(D: Array, y: Array) -> tuple[Array, Array]:
    signs = _signs(D, y)
    slack = np.maximum(1.0 - signs * D, 0.0)
    return np.square(slack).sum(axis=1), -2.0 * signs * slack


def squared_error(D: Array, y: Array) -> tuple[Array, Array]:
    residual = D - y[:, None]
    return 0.5 * np.square(residual).sum(axis=1), residual


def huber(D: Array, y: Array) -> tuple[Array, Array]:
    residual = D - y[:, None]
    clipped = np.clip(residual, -HUBER_DELTA, HUBER_DELTA)
    return (clipped * (residual - 0.5 * clipped)).sum(axis=1), clipped


def epsilon_insensitive(D: Array, y: Array) -> tuple[Array, Array]:
    residual = D - y[:, None]
    slack = np.maximum(np.abs(residual) - EPSILON, 0.0)
    return slack.sum(axis=1), np.sign(residual) * (slack > 0)


def squared_epsilon_insensitive(D: Array, y: Array) -> tuple[Array, Array]:
    residual = D - y[:, None]
    slack = np.maximum(np.abs(residual) - EPSILON, 0.0)
    return np.square(slack).sum(axis=1), 2.0 * np.sign(residual) * slack


def _signs(D: Array, y: Array) -> Array:
    signs = np.full(D.shape, -1.0, D.dtype)
    signs[np.arange(len(y)), y] = 1.0
    return signs


LOSSES: dict[str, LossFunction] = {
    "log_loss": log_loss,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "squared_error": squared_error,
    "huber": huber,
    "epsilon_insensitive": epsilon_insensitive,
    "squared_epsilon_insensitive": squared_epsilon_insensitive,
}

#: An upper bound of each loss's second derivative in one decision; None where there is none (a kink).
CURVATURE: dict[str, float | None] = {
    "log_loss": 0.5,
    "hinge": None,
    "squared_hinge": 2.0,
    "squared_error": 1.0,
    "huber": 1.0,
    "epsilon_insensitive": None,
    "squared_epsilon_insensitive": 2.0,
}
