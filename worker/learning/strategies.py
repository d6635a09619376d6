"""Ways to move a source model to a target table. Each is a function of labelled target rows, so that any
of them can be cross-validated, compared or (later) blended like any other.

    source_only   the source as it is
    scratch       the source's estimator and preprocessing, fitted on the target alone
    continue      more epochs from the source's weights, with small steps
    l2_sp         a fit whose penalty pulls to the source's weights instead of zero (Li et al., ICML 2018)
    new_head      hidden layers (or the Nyström map) frozen, a new head on the target's own label set;
                  for linear families, which have no layers to keep, that is: source scaling, head fitted
                  afresh

All but scratch keep the source's encoder. Labels that the source does not know begin with zero weights;
labels that only the source knows stay (but not in new_head and scratch, whose label set is the target's).
Every fit expects rows that `target.align_target` has aligned to the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling.model import Label, Model
from shared.modeling.network import Layer, Network
from worker.learning.calibration import calibrate, needs_calibration
from worker.learning.data import Labelled
from worker.learning.defaults import Plan, batch_rows, plan
from worker.learning.estimators import Hooks, fit_model
from worker.learning.evaluation import positions, union
from worker.learning.losses import CURVATURE, Array
from worker.learning.networks import Fitted, refit_network
from worker.learning.trees import standardized

#: How strongly l2_sp holds on to the source: the weight of the penalty beside the sum of the losses.
ANCHOR_ALPHAS = (1.0, 10.0, 100.0)
#: Adam's steps of `continue`, for networks and for linear families: about a third of the rate that a fit from
#: nothing uses, and at least so many epochs and steps.
CONTINUE_RATE = {True: 3e-4, False: 3e-3}
CONTINUE_EPOCHS = 50
CONTINUE_STEPS = 200

Fit = Callable[[Labelled, Hooks], Model]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One strategy with its parameters; `fit` makes a model from labelled target rows."""

    strategy: str
    fit: Fit
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A source, and what is fixed for every fit from it.

    absent: source columns that the target has not. source_rows: the source's labelled training rows, or None where
    its dataset is gone.
    """

    source: Model
    seed: int
    threads: int = 1
    absent: frozenset[str] = frozenset()
    source_rows: Labelled | None = None

    def candidates(self, strategy: str) -> tuple[Candidate, ...]:
        """What the strategy chooses from: `auto` from all that the source's family can do.

        Raises InvalidInput `unsupported_strategy` for what a family cannot do.
        """
        known: dict[str, tuple[Candidate, ...]] = {
            "source_only": (Candidate("source_only", self.source_only),),
            "scratch": (Candidate("scratch", self.scratch),),
        }
        if isinstance(self.source.estimator, Network):
            known["continue"] = (Candidate("continue", self.go_on),)
            known["l2_sp"] = tuple(self._anchored(alpha) for alpha in ANCHOR_ALPHAS)
            known["new_head"] = (Candidate("new_head", self.new_head),)
        if strategy == "auto":
            return tuple(candidate for found in known.values() for candidate in found)
        if strategy not in known:
            kind = self.source.estimator_spec.get("kind", "this model")
            sentence = (
                f"{strategy} needs weights to start from, and {kind} is made of trees: trees grown on the "
                "target after the source's would be a mixture, not a fine-tuned model; choose auto or scratch"
            )
            raise InvalidInput.at("/strategy", sentence, code="unsupported_strategy")
        return known[strategy]

    def source_only(self, data: Labelled, hooks: Hooks) -> Model:
        return replace(self.source, target=data.target.name, target_type=data.target.type)

    def scratch(self, data: Labelled, hooks: Hooks) -> Model:
        kept = tuple(item for item in data.features if item.name not in self.absent)
        return fit_model(
            replace(data, features=kept),
            EstimatorSpec.model_validate(dict(self.source.estimator_spec)),
            PreprocessingSpec.model_validate(dict(self.source.preprocessing_spec)),
            self.seed,
            threads=self.threads,
            hooks=hooks,
        )

    def go_on(self, data: Labelled, hooks: Hooks) -> Model:
        """`continue`, which is a keyword in Python."""
        model = widened(self.source, data)
        steps_an_epoch = -(-data.rows // batch_rows(data.rows))
        steps = replace(
            self._plan(data.rows),
            optimizer="adam",
            learning_rate=CONTINUE_RATE[bool(model.estimator.layers)],
            epochs=max(CONTINUE_EPOCHS, CONTINUE_STEPS // steps_an_epoch),
            batch_size=batch_rows(data.rows),
            tolerance=0.0,
            alpha=0.0,
        )
        return self._refitted(model, data, steps, hooks, anchored=False)

    def l2_sp(self, data: Labelled, hooks: Hooks, *, alpha: float) -> Model:
        model = widened(self.source, data)
        return self._refitted(model, data, self._smooth(data.rows, alpha), hooks, anchored=True)

    def new_head(self, data: Labelled, hooks: Hooks) -> Model:
        network: Network = self.source.estimator
        outputs = max(len(data.classes), 1)
        y, mean, scale = (data.y, 0.0, 1.0) if data.task == "classification" else standardized(data.y)
        blank = Layer(np.zeros((network.hidden_width, outputs), np.float32), np.zeros(outputs, np.float32))
        start = replace(network, head=blank)
        model = replace(
            self.source_only(data, hooks), classes=data.classes, target_mean=mean, target_scale=scale
        )
        X = model.encoder.transform(data.table)
        steps = self._smooth(data.rows, None)

        def fit(X: Array, y: Array) -> Fitted:
            return refit_network(start, X, y, steps, self.seed, anchored=False, head_only=True)

        found = refit_network(
            start, X, y, steps, self.seed, anchored=False, head_only=True, on_epoch=hooks.epoch
        )
        sharpness = 1.0
        if needs_calibration(steps):
            sharpness = calibrate(X, y, lambda X, y: fit(X, y).network, self.seed)
        return _as_fitted(model, found, steps, "new_head", sharpness)

    def _anchored(self, alpha: float) -> Candidate:
        return Candidate("l2_sp", lambda data, hooks: self.l2_sp(data, hooks, alpha=alpha), {"alpha": alpha})

    def _plan(self, rows: int) -> Plan:
        spec = EstimatorSpec.model_validate(dict(self.source.estimator_spec))
        return plan(spec, self.source.task, rows)

    def _smooth(self, rows: int, alpha: float | None) -> Plan:
        """The source's loss minimized to convergence: by L-BFGS, or where the loss has kinks by adam."""
        spec = EstimatorSpec.model_validate(dict(self.source.estimator_spec))
        loss = plan(spec, self.source.task, rows).loss
        optimizer = "adam" if CURVATURE[loss] is None else "lbfgs"
        free = {"loss": loss, "optimizer": optimizer, "epochs": None, "learning_rate": None, "alpha": alpha}
        linear = "logistic_regression" if loss == "log_loss" else "linear_regression"
        if alpha is None and spec.kind == "neural_network":
            free |= {
                "kind": linear,
                "hidden_layers": None,
            }  # a head alone is a linear model
        return plan(spec.model_copy(update=free), self.source.task, rows)

    def _refitted(self, model: Model, data: Labelled, steps: Plan, hooks: Hooks, *, anchored: bool) -> Model:
        X = model.encoder.transform(data.table)
        if model.task == "classification":
            y = positions(data.classes, model.classes)[data.y]
        else:
            y = (data.y - model.target_mean) / model.target_scale
        found = refit_network(
            model.estimator, X, y, steps, self.seed, anchored=anchored, on_epoch=hooks.epoch
        )
        return _as_fitted(model, found, steps, "l2_sp" if anchored else "continue", model.sharpness)


def widened(source: Model, data: Labelled) -> Model:
    """The source with the target's name and every label of both; a new label's weights are zero."""
    classes: tuple[Label, ...] = union(source.classes, data.classes)
    added = len(classes) - len(source.classes)
    network: Network = source.estimator
    weights = np.pad(network.head.weights, ((0, 0), (0, added)))
    head = Layer(weights, np.pad(network.head.bias, (0, added)))
    return replace(
        source,
        estimator=replace(network, head=head),
        classes=classes,
        target=data.target.name,
        target_type=data.target.type,
    )


def _as_fitted(model: Model, found: Fitted, steps: Plan, strategy: str, sharpness: float) -> Model:
    record = dict(model.fitted_as) | {
        "loss": steps.loss,
        "optimizer": steps.optimizer,
        "epochs": steps.epochs,
        "epochs_run": found.state.epoch,
        "learning_rate": found.learning_rate,
        "alpha": steps.alpha,
        "batch_size": steps.batch_size,
        "strategy": strategy,
    }
    return replace(model, estimator=found.network, sharpness=sharpness, fitted_as=record)
