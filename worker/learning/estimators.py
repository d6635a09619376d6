"""An estimator spec and labelled rows → a fitted `Model`: the one way to train from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling.model import Model
from worker.learning.calibration import calibrate, needs_calibration
from worker.learning.data import Labelled
from worker.learning.defaults import TREES, Plan, plan
from worker.learning.losses import Array
from worker.learning.networks import fit_network
from worker.learning.optimizers import FitState, OnState
from worker.learning.preprocessing import fit_encoder
from worker.learning.trees import fit_trees, standardized


def _silent(message: str) -> None:
    """No warnings."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a fit tells while it runs. `on_step(completed, total, unit, loss)` counts epochs or trees."""

    on_step: Callable[[int, int, str, float | None], None] | None = None
    on_phase: Callable[[str], None] | None = None
    warn: Callable[[str], None] = field(default=_silent)
    on_state: OnState | None = None

    def epoch(self, epoch: int, epochs: int, loss: float) -> None:
        if self.on_step is not None:
            self.on_step(epoch, epochs, "epochs", loss)

    def trees(self, grown: int, total: int) -> None:
        if self.on_step is not None:
            self.on_step(grown, total, "trees", None)

    def phase(self, name: str) -> None:
        if self.on_phase is not None:
            self.on_phase(name)


def fit_model(
    data: Labelled,
    estimator: EstimatorSpec,
    preprocessing: PreprocessingSpec,
    seed: int,
    *,
    threads: int = 1,
    hooks: Hooks | None = None,
    state: FitState | None = None,
) -> Model:
    """Fit preprocessing and estimator on all rows of `data`. The same rows, specs and seed give the same
    model.

    `state` resumes a network's fit (see `optimizers`). Raises InvalidInput: unsupported_estimator, diverged,
    missing_values.
    """
    hooks = hooks or Hooks()
    planned = plan(estimator, data.task, data.rows)
    hooks.phase("preparing")
    trees = planned.kind in TREES
    encoder = fit_encoder(data.table, data.features, preprocessing, hooks.warn, for_trees=trees)
    X = encoder.transform(data.table)
    y, mean, scale = (data.y, 0.0, 1.0) if data.task == "classification" else standardized(data.y)
    model = Model(
        encoder=encoder,
        estimator=None,
        task=data.task,
        target=data.target.name,
        target_type=data.target.type,
        classes=data.classes,
        target_mean=mean,
        target_scale=scale,
        estimator_spec=estimator.model_dump() | {"kind": planned.kind},
        preprocessing_spec=preprocessing.model_dump(),
    )
    hooks.phase("fitting")
    if trees:
        fitted = fit_trees(X, y, planned, seed, threads, hooks.trees)
        return replace(model, estimator=fitted, fitted_as=planned.record())
    return _with_network(model, X, y, planned, seed, hooks, state)


def _with_network(
    model: Model, X: Array, y: Array, planned: Plan, seed: int, hooks: Hooks, state: FitState | None
) -> Model:
    outputs = max(len(model.classes), 1)
    found = fit_network(
        X, y, outputs, planned, seed, state=state, on_epoch=hooks.epoch, on_state=hooks.on_state
    )
    sharpness = 1.0
    if needs_calibration(planned):
        hooks.phase("calibrating")
        sharpness = calibrate(X, y, lambda X, y: fit_network(X, y, outputs, planned, seed).network, seed)
    record = planned.record(learning_rate=found.learning_rate, epochs_run=found.state.epoch)
    return replace(model, estimator=found.network, sharpness=sharpness, fitted_as=record)
