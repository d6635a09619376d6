"""Fits a `Network`: its feature map, its first weights, and the engine's run over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.kernel_approximation import Nystroem

from shared.modeling.network import Layer, Network, NystroemMap
from worker.learning.defaults import Plan, default_rate
from worker.learning.losses import CURVATURE, Array
from worker.learning.objective import Objective, Weights
from worker.learning.optimizers import FitSettings, FitState, OnEpoch, OnState, automatic_rate, optimize

#: Landmarks of the Nyström map, and the most bytes that the mapped training rows may take (fewer landmarks
# then).
MAX_LANDMARKS = 1_000
MAX_MAPPED_BYTES = 1 << 30
#: Below this many numbers a fit without hidden layers is done in float64: it costs nothing and converges
# further.
_DOUBLE_SIZE = 1_000_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted network, the state its fit ended in, and the learning rate that was used (None for lbfgs)."""

    network: Network
    state: FitState
    learning_rate: float | None


def fit_network(
    X: Array,
    y: Array,
    outputs: int,
    plan: Plan,
    seed: int,
    *,
    state: FitState | None = None,
    on_epoch: OnEpoch | None = None,
    on_state: OnState | None = None,
) -> Fitted:
    """Fit from nothing. X (n, features) float32; y (n,): class codes, or standardized amounts; `outputs`
    columns."""
    start = initial_network(X, outputs, plan, seed)
    return refit_network(
        start, X, y, plan, seed, anchored=False, state=state, on_epoch=on_epoch, on_state=on_state
    )


def refit_network(
    network: Network,
    X: Array,
    y: Array,
    plan: Plan,
    seed: int,
    *,
    anchored: bool,
    head_only: bool = False,
    may_cut: bool = False,
    state: FitState | None = None,
    on_epoch: OnEpoch | None = None,
    on_state: OnState | None = None,
) -> Fitted:
    """Minimize from the network's weights. The feature map is fixed.

    anchored: the penalty pulls to these weights instead of zero (L2-SP). head_only: hidden layers are frozen.
    may_cut: a given rate is lowered on divergence too, as a default one always is.
    """
    trained = Network(None, () if head_only else network.layers, network.head)
    if head_only or not network.layers:
        inputs = network.hidden(X)
    else:
        inputs = X if network.feature_map is None else network.feature_map(X)
    if not trained.layers and inputs.size <= _DOUBLE_SIZE:
        inputs = inputs.astype(np.float64)
    start = [w.astype(inputs.dtype) for w in flattened(trained)]
    targets = y if plan.task == "classification" else y.astype(inputs.dtype)
    anchor = start if anchored else None
    objective = Objective(inputs, targets, plan.loss, float(plan.alpha or 0.0), anchor)
    settings = _settings(objective, start, plan, seed, deep=bool(trained.layers))
    settings = replace(settings, cut_on_divergence=settings.cut_on_divergence or may_cut)
    ended = optimize(objective, start, settings, state=state, on_epoch=on_epoch, on_state=on_state)
    layers, head = _unflattened(ended.weights)
    fitted = Network(network.feature_map, network.layers if head_only else layers, head)
    return Fitted(fitted, ended, None if plan.optimizer == "lbfgs" else ended.learning_rate)


def initial_network(X: Array, outputs: int, plan: Plan, seed: int) -> Network:
    """Before any epoch: He-initialized hidden layers (He et al., ICCV 2015), and a head of zeros.

    A zero head is harmless above random hidden layers, and makes the first decisions neutral.
    """
    feature_map = fit_nystroem(X, seed) if plan.kernel == "rbf" else None
    width = X.shape[1] if feature_map is None else feature_map.normalization.shape[1]
    random = np.random.RandomState(seed % 2**32)
    layers = []
    for size in plan.hidden_layers or ():
        weights = random.standard_normal((width, size)) * np.sqrt(2.0 / max(width, 1))
        layers.append(Layer(weights.astype(np.float32), np.zeros(size, np.float32)))
        width = size
    head = Layer(np.zeros((width, outputs), np.float32), np.zeros(outputs, np.float32))
    return Network(feature_map, tuple(layers), head)


def fit_nystroem(X: Array, seed: int) -> NystroemMap:
    """Landmarks drawn from the rows; gamma = 1 / (features · variance), which is scikit-learn's `scale`."""
    variance = float(X.var(dtype=np.float64)) or 1.0
    gamma = 1.0 / (X.shape[1] * variance)
    landmarks = max(1, min(MAX_LANDMARKS, len(X), MAX_MAPPED_BYTES // (4 * len(X))))
    fitted = Nystroem(gamma=gamma, n_components=landmarks, random_state=seed % 2**32)
    sample = np.sort(np.random.RandomState(seed % 2**32).permutation(len(X))[:landmarks])
    fitted.fit(X[sample])
    return NystroemMap(
        np.ascontiguousarray(fitted.components_, np.float32),
        np.ascontiguousarray(fitted.normalization_.T, np.float32),
        gamma,
    )


def flattened(network: Network) -> Weights:
    """[W₁, b₁, …, W_head, b_head]"""
    return [array for layer in (*network.layers, network.head) for array in (layer.weights, layer.bias)]


def _unflattened(weights: Sequence[Array]) -> tuple[tuple[Layer, ...], Layer]:
    arrays = [np.ascontiguousarray(w, np.float32) for w in weights]
    layers = [Layer(arrays[at], arrays[at + 1]) for at in range(0, len(arrays), 2)]
    return tuple(layers[:-1]), layers[-1]


def _settings(objective: Objective, start: Weights, plan: Plan, seed: int, *, deep: bool) -> FitSettings:
    optimizer = plan.optimizer or "lbfgs"
    rate = plan.learning_rate
    if rate is None:
        rate = default_rate(plan.kind if deep else "logistic_regression", optimizer)
    if rate is None:
        rate = _derived_rate(objective, start, plan)
    return FitSettings(
        optimizer=optimizer,
        epochs=plan.epochs or 1,
        learning_rate=rate,
        batch_size=plan.batch_size or 1,
        seed=seed,
        tolerance=plan.tolerance,
        cut_on_divergence=plan.learning_rate is None,
    )


def _derived_rate(objective: Objective, start: Weights, plan: Plan) -> float:
    """From the size of what the head sees, since that is what makes a step too long."""
    if plan.optimizer == "lbfgs":
        return 1.0
    inputs = objective.hidden(start)
    if plan.optimizer == "gradient_descent":
        return automatic_rate(inputs, plan.loss, objective.alpha / objective.rows)
    length = float(np.mean(np.einsum("ij,ij->i", inputs, inputs))) + 1.0
    return 0.2 / ((CURVATURE[plan.loss] or 1.0) * length)
