"""Minimizing an `Objective`, one epoch at a time, from a state that holds everything.

    gradient_descent   one step an epoch on all rows
    sgd                mini-batches with momentum 0.9
    adam               Kingma & Ba, ICLR 2015
    lbfgs              scipy's L-BFGS-B; an epoch is one iteration

Stopping after any `on_state` call and starting again from that state gives the very weights of an
uninterrupted run: shuffling depends on (seed, epoch) only, and L-BFGS, whose memory scipy does not give
away, always starts afresh every SEGMENT iterations, interrupted or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from shared.errors import InvalidInput
from worker.learning.losses import CURVATURE, Array
from worker.learning.objective import Objective, Weights

#: Iterations of L-BFGS between two states.
SEGMENT = 50
MOMENTUM = 0.9
_ADAM = (0.9, 0.999, 1e-8)
#: Epochs without progress after which an optimizer stops.
PATIENCE = 10
#: How often an automatic learning rate may be cut to a tenth when the loss grows without bound.
MAX_CUTS = 4

OnEpoch = Callable[[int, int, float], None]
OnState = Callable[["FitState"], None]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to minimize. `cut_on_divergence`: the rate was not the user's choice, so it may be lowered."""

    optimizer: str
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    tolerance: float
    cut_on_divergence: bool = False
    shuffler: np.random.RandomState = field(default_factory=lambda: np.random.RandomState(0), compare=False)
    """Seeded anew every epoch. It is kept because making one takes ten times as long as seeding it."""


@dataclass(slots=True)
class FitState:
    """A checkpoint: plain arrays and numbers. `moments` is Adam's (m, v) or the momentum, flat, as
    `weights` is."""

    weights: Weights
    learning_rate: float
    moments: Weights = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    initial: float = float("inf")
    loss: float = float("inf")
    best: float = float("inf")
    stalled: int = 0
    cuts: int = 0
    finished: bool = False

    def to_arrays(self) -> dict[str, Array]:
        """A copy that numpy.savez can write."""
        arrays = {f"weights_{i}": w.copy() for i, w in enumerate(self.weights)}
        arrays |= {f"moments_{i}": m.copy() for i, m in enumerate(self.moments)}
        counters = (self.epoch, self.step, self.stalled, self.cuts, int(self.finished))
        arrays["counters"] = np.array(counters, np.int64)
        arrays["numbers"] = np.array([self.learning_rate, self.initial, self.loss, self.best], np.float64)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> FitState:
        """The reverse of `to_arrays`."""
        epoch, step, stalled, cuts, finished = (int(n) for n in arrays["counters"])
        rate, initial, loss, best = (float(x) for x in arrays["numbers"])
        weights, moments = (_numbered(arrays, name) for name in ("weights_", "moments_"))
        return cls(
            weights, rate, moments, epoch, step, initial, loss, best, stalled, cuts, finished=bool(finished)
        )


def optimize(
    objective: Objective,
    start: Weights,
    settings: FitSettings,
    *,
    state: FitState | None = None,
    on_epoch: OnEpoch | None = None,
    on_state: OnState | None = None,
) -> FitState:
    """Minimize from `start`, or go on from `state` (which is consumed).

    `on_epoch(epoch, epochs, loss)` gets the loss on the training rows while it runs; `on_state` the live
    state whenever it is complete (copy it with `to_arrays`). Raises InvalidInput `diverged`.
    """
    if state is None:
        initial = objective.value_and_gradient(start)[0]
        state = FitState([w.copy() for w in start], settings.learning_rate, initial=initial)
    advance = _STEPS[settings.optimizer]
    while state.epoch < settings.epochs and not state.finished:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            advance(state, objective, settings, on_epoch)
        if _diverged(state):
            state = _cut(start, state, settings)
            continue
        if on_state is not None:
            on_state(state)
    return state


def automatic_rate(inputs: Array, loss: str, penalty: float) -> float:
    """1/L, the largest safe step of full-batch descent on a linear model over `inputs` (n, features).

    L is the loss's curvature times the largest eigenvalue of XᵀX/n, found by power iteration, plus the
    penalty's curvature (Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.1.5).
    """
    direction = np.full(inputs.shape[1] + 1, 1.0 / np.sqrt(inputs.shape[1] + 1))
    largest = 1.0
    for _ in range(30):
        image = inputs @ direction[:-1].astype(inputs.dtype) + direction[-1]
        pulled = np.append(inputs.T @ image, image.sum()).astype(np.float64) / len(inputs)
        largest = float(np.linalg.norm(pulled))
        direction = pulled / largest
    return 1.0 / (1.05 * (CURVATURE[loss] or 1.0) * largest + penalty)


def _diverged(state: FitState) -> bool:
    """Not finite, far above where it began, or given up above where it began."""
    if not np.isfinite(state.loss) or state.loss > 10 * max(state.initial, 1.0):
        return True
    if state.finished and state.loss > state.initial * (1 + 1e-6) + 1e-6:
        return True
    return not all(np.isfinite(w).all() for w in state.weights)


def _cut(start: Weights, state: FitState, settings: FitSettings) -> FitState:
    if settings.cut_on_divergence and state.cuts < MAX_CUTS:
        rate, cuts = state.learning_rate / 10, state.cuts + 1
        return FitState([w.copy() for w in start], rate, initial=state.initial, cuts=cuts)
    sentence = (
        f"the loss grew without bound after {state.epoch} epochs with {settings.optimizer} and "
        f"learning_rate {state.learning_rate:g}: lower the learning rate"
    )
    raise InvalidInput(sentence, code="diverged")


def _gradient_descent(
    state: FitState, objective: Objective, settings: FitSettings, on_epoch: OnEpoch | None
) -> None:
    loss, gradient = objective.value_and_gradient(state.weights)
    smooth = CURVATURE[objective.loss] is not None
    rate = state.learning_rate * (1.0 if smooth else _decay(state, settings))
    for w, g in zip(state.weights, gradient, strict=True):
        w -= rate * g
    _ended(state, settings, loss, on_epoch, may_stop=smooth)


def _sgd(state: FitState, objective: Objective, settings: FitSettings, on_epoch: OnEpoch | None) -> None:
    if not state.moments:
        state.moments = [np.zeros_like(w) for w in state.weights]
    rate = state.learning_rate * _decay(state, settings)
    total = 0.0
    for rows in _batches(objective.rows, state.epoch, settings):
        loss, gradient = objective.on_batch(state.weights, rows)
        total += loss * len(rows)
        for w, g, velocity in zip(state.weights, gradient, state.moments, strict=True):
            velocity *= MOMENTUM
            velocity -= rate * g
            w += velocity
    _ended(state, settings, total / objective.rows, on_epoch)


def _adam(state: FitState, objective: Objective, settings: FitSettings, on_epoch: OnEpoch | None) -> None:
    """The steps work on all weights as one flat vector, in place: with few rows, calls cost more than sums."""
    shapes = [w.shape for w in state.weights]
    if not state.moments:
        state.moments = [np.zeros_like(w) for w in state.weights + state.weights]
    flat = _flat(state.weights)
    first, second = (_flat(part) for part in (state.moments[: len(shapes)], state.moments[len(shapes) :]))
    weights, step = _unflat(flat, shapes), np.empty_like(flat)
    beta1, beta2, tiny = _ADAM
    rate = state.learning_rate * _decay(state, settings)
    total = 0.0
    for rows in _batches(objective.rows, state.epoch, settings):
        loss, gradient = objective.on_batch(weights, rows)
        total += loss * len(rows)
        state.step += 1
        slope = _flat(gradient)
        np.subtract(slope, first, out=step)
        step *= 1 - beta1
        first += step
        slope *= slope
        slope -= second
        slope *= 1 - beta2
        second += slope
        np.sqrt(second, out=slope)
        slope += tiny
        np.divide(first, slope, out=step)
        step *= rate * float(np.sqrt(1 - beta2**state.step)) / (1 - beta1**state.step)
        flat -= step
    state.weights = weights
    state.moments = _unflat(first, shapes) + _unflat(second, shapes)
    _ended(state, settings, total / objective.rows, on_epoch)


def _lbfgs(state: FitState, objective: Objective, settings: FitSettings, on_epoch: OnEpoch | None) -> None:
    shapes = [w.shape for w in state.weights]
    start = state.epoch
    done = 0

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        weights = _unflat(flat.astype(objective.X.dtype, copy=False), shapes)
        value, gradient = objective.value_and_gradient(weights)
        return value, _flat(gradient).astype(np.float64)

    def count(intermediate_result: OptimizeResult) -> None:
        nonlocal done
        done += 1
        if on_epoch is not None:
            on_epoch(start + done, settings.epochs, float(intermediate_result.fun))

    found = minimize(
        value_and_gradient,
        _flat(state.weights).astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        callback=count,
        options={
            "maxiter": min(SEGMENT, settings.epochs - start),
            "gtol": settings.tolerance,
            "ftol": 1e-12,
            "maxls": 40,
        },
    )
    state.weights = [w.copy() for w in _unflat(found.x.astype(objective.X.dtype), shapes)]
    state.loss = float(found.fun)
    state.epoch = start + max(done, 1)
    state.finished = done < min(SEGMENT, settings.epochs - start)


_STEPS = {"gradient_descent": _gradient_descent, "sgd": _sgd, "adam": _adam, "lbfgs": _lbfgs}


def _batches(rows: int, epoch: int, settings: FitSettings) -> list[Array]:
    if rows <= settings.batch_size:
        return [np.arange(rows)]
    settings.shuffler.seed([settings.seed % 2**32, epoch])
    order = settings.shuffler.permutation(rows)
    return [order[at : at + settings.batch_size] for at in range(0, rows, settings.batch_size)]


def _decay(state: FitState, settings: FitSettings) -> float:
    """Linear to zero over the epochs asked for: the last steps average the noise of mini-batches away."""
    return 1.0 - state.epoch / settings.epochs


def _ended(
    state: FitState, settings: FitSettings, loss: float, on_epoch: OnEpoch | None, *, may_stop: bool = True
) -> None:
    """Count the epoch. A loss with kinks swings until its rate has decayed, which is no reason to stop."""
    state.epoch += 1
    state.loss = loss
    if state.best - loss < settings.tolerance * max(abs(state.best), 1.0):
        state.stalled += 1
    else:
        state.stalled = 0
    state.best = min(state.best, loss)
    state.finished = may_stop and state.stalled >= PATIENCE
    if on_epoch is not None:
        on_epoch(state.epoch, settings.epochs, loss)


def _flat(weights: Weights) -> Array:
    return np.concatenate([w.ravel() for w in weights])


def _unflat(flat: Array, shapes: list[tuple[int, ...]]) -> Weights:
    weights, at = [], 0
    for shape in shapes:
        size = math.prod(shape)
        weights.append(flat[at : at + size].reshape(shape))
        at += size
    return weights


def _numbered(arrays: dict[str, Array], prefix: str) -> Weights:
    count = sum(name.startswith(prefix) for name in arrays)
    return [arrays[f"{prefix}{i}"].copy() for i in range(count)]
