"""Ways to move a source model to a target table. Each is a function of labelled target rows, so that any of them
can be cross-validated, compared and blended like any other.

    source_only   the source as it is
    restandardize the source, its scaling moved to the target's (see `restandardizing`); a candidate of auto only
    linear        for networks: a fresh head on the inputs, without hidden layers; a candidate of auto only
    scratch       the source's estimator and preprocessing, fitted on the target alone
    continue      more epochs from the source's weights, with small steps
    l2_sp         a head whose penalty pulls to the source's instead of zero (Li et al., ICML 2018)
    new_head      a fresh head on the target's own label set
    class_means   a discriminant whose class means move to the target's; a candidate of auto only
    stack         a head on the source's logits or amounts, anchored at the identity (Wolpert, 1992)
    augment       source and target rows, each with a head of its own beside a shared one (Daumé, ACL 2007)
    reweight      source rows weighted by how much they look like the target's (Shimodaira, 2000)

All heads sit on fixed features φ (the identity, a Nyström map, hidden layers) and are fitted by `heads`: nothing here
knows the source's family. Trees have no weights to go on from, which leaves source_only, scratch, stack, augment and
reweight. Labels that the source does not know begin with zero weights; labels that only the source knows stay (but
not in new_head and scratch, whose label set is the target's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling.composite import Stack, composite, stock
from shared.modeling.model import Model
from shared.modeling.network import Layer, Network
from worker.learning.class_means import discriminant
from worker.learning.data import Labelled
from worker.learning.defaults import batch_rows, plan
from worker.learning.encoded import Encoded, retargeted
from worker.learning.estimators import Hooks, fit_model
from worker.learning.heads import fit_head, fit_path, head_loss
from worker.learning.losses import Array
from worker.learning.networks import refit_network
from worker.learning.restandardizing import rescales
from worker.learning.source_rows import SourceRows
from worker.learning.trees import standardized

#: How strongly l2_sp holds on to the source: the weight of the penalty beside the sum of the losses. Strong first,
#: since each fit begins where the one before ended.
ANCHOR_ALPHAS = (100.0, 10.0, 1.0)
#: Of the fresh head.
HEAD_ALPHAS = (10.0, 1.0)
#: Of a head without the hidden layers.
LINEAR_ALPHAS = (30.0, 10.0, 1.0)
#: How many target rows the source's mean of a class is worth.
MEAN_PRIORS = (0.0, 1.0, 5.0)
#: Of a stack, whose few inputs are logits of size 1 to 10.
STACK_ALPHAS = (10.0, 1.0)
#: Of heads that are fitted on source rows too.
BESIDE_ALPHA = 1.0
#: Adam's steps of `continue`, for networks and for linear families: about a third of the rate that a fit from
#: nothing uses, and at least so many epochs and steps.
CONTINUE_RATE = {True: 3e-4, False: 3e-3}
CONTINUE_EPOCHS = 50
CONTINUE_STEPS = 200

Fit = Callable[[Encoded, Hooks], Model]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One strategy with its parameters; `fit` makes a model from labelled target rows.

    fresh: what it makes knows only the labels of those rows. learns: it can come to know new ones.
    """

    strategy: str
    fit: Fit
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        return self.strategy in ("scratch", "new_head", "linear")

    @property
    def learns(self) -> bool:
        return self.strategy not in ("source_only", "restandardize")


@dataclass(frozen=True)
class Transfer:
    """A source, and what is fixed for every fit from it.

    absent: source columns that the target has not. source_rows: the source's labelled training rows, or None where
    its dataset is gone. Rows are expected as `target.align_target` gives them.
    """

    source: Model
    seed: int
    threads: int = 1
    absent: frozenset[str] = frozenset()
    source_rows: Labelled | None = None

    @cached_property
    def stock(self) -> Model | None:
        """The network to go on from; None where the source is made of trees."""
        return stock(self.source)

    def encoded(self, data: Labelled) -> Encoded:
        return Encoded(data, self.source, self.stock)

    def candidates(self, strategy: str) -> tuple[Candidate, ...]:
        """What the strategy chooses from: `auto` from all that the source's family and rows allow.

        Raises InvalidInput `unsupported_strategy` for what a family cannot do, `source_rows_needed`.
        """
        known = self._known()
        if strategy == "auto":
            return tuple(item for name in known if name not in self._left_out for item in known[name])
        if strategy in ("augment", "reweight") and self.source_rows is None:
            sentence = f"{strategy} learns from the source's training rows, and its dataset is gone"
            raise InvalidInput.at("/strategy", sentence, code="source_rows_needed")
        if strategy not in known:
            kind = self.source.estimator_spec.get("kind", "this model")
            sentence = (
                f"{strategy} needs weights to start from, and {kind} is made of trees: trees grown on the target "
                "after the source's would be a mixture, not a fine-tuned model; choose auto, stack or scratch"
            )
            raise InvalidInput.at("/strategy", sentence, code="unsupported_strategy")
        return known[strategy]

    def source_only(self, data: Labelled, hooks: Hooks) -> Model:
        return retargeted(self.source, data)

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

    def go_on(self, rows: Encoded, hooks: Hooks, *, restandardize: bool) -> Model:
        """`continue`, which is a keyword in Python."""
        model = rows.model(restandardize=restandardize)
        count = rows.data.rows
        steps_an_epoch = -(-count // batch_rows(count))
        spec = EstimatorSpec.model_validate(dict(model.estimator_spec))
        steps = replace(
            plan(spec, model.task, count),
            loss=head_loss(model.task, plan(spec, model.task, count).loss),
            optimizer="adam",
            learning_rate=CONTINUE_RATE[bool(model.estimator.layers)],
            epochs=max(CONTINUE_EPOCHS, CONTINUE_STEPS // steps_an_epoch),
            batch_size=batch_rows(count),
            tolerance=0.0,
            alpha=0.0,
        )
        X = model.encoder.transform(rows.data.table)
        found = refit_network(
            model.estimator,
            X,
            rows.coded(rows.data),
            steps,
            self.seed,
            anchored=False,
            may_cut=True,
            on_epoch=hooks.epoch,
        )
        record = {"optimizer": "adam", "epochs": steps.epochs, "learning_rate": found.learning_rate}
        return self._finished(model, found.network, "continue", restandardize=restandardize, **record)

    def anchored(self, rows: Encoded, hooks: Hooks, *, alpha: float, restandardize: bool) -> Model:
        """`l2_sp`"""
        model = rows.model(restandardize=restandardize)
        if restandardize not in rows.heads:
            features = rows.features(restandardize=restandardize)
            start = model.estimator.head
            heads = fit_path(features, rows.y, self._loss, ANCHOR_ALPHAS, start=start, anchored=True)
            rows.heads[restandardize] = dict(zip(ANCHOR_ALPHAS, heads, strict=True))
        head = rows.heads[restandardize][alpha]
        return self._with_head(model, head, "l2_sp", alpha=alpha, restandardize=restandardize)

    def new_head(self, rows: Encoded, hooks: Hooks, *, alpha: float, restandardize: bool) -> Model:
        features = rows.features(restandardize=restandardize)
        model = rows.model(restandardize=restandardize)
        fresh = self._fresh(rows, features, model, alpha)
        return self._with_head(
            fresh, fresh.estimator.head, "new_head", alpha=alpha, restandardize=restandardize
        )

    def linear(self, rows: Encoded, hooks: Hooks, *, alpha: float, restandardize: bool) -> Model:
        """The hidden layers left out: with few rows, often all that the target's rows can support."""
        model = rows.model(restandardize=restandardize)
        shallow = replace(model, estimator=replace(model.estimator, layers=()))
        fresh = self._fresh(rows, rows.inputs(restandardize=restandardize), shallow, alpha)
        return self._with_head(
            fresh, fresh.estimator.head, "linear", alpha=alpha, restandardize=restandardize
        )

    def _fresh(self, rows: Encoded, features: Array, model: Model, alpha: float) -> Model:
        data = rows.sample
        y, mean, scale = (data.y, 0.0, 1.0) if data.task == "classification" else standardized(data.y)
        blank = _blank(features.shape[1], max(len(data.classes), 1))
        head = fit_head(features, y, self._loss, alpha, start=blank, anchored=False)
        network = replace(model.estimator, head=head)
        return replace(model, estimator=network, classes=data.classes, target_mean=mean, target_scale=scale)

    def stacked(self, rows: Encoded, hooks: Hooks, *, alpha: float) -> Model:
        """`stack`: for a network that is a linear map of its own head, for anything else a `Stack`."""
        inputs = rows.source_outputs
        outputs = max(len(rows.classes), 1)
        identity = Layer(np.eye(inputs.shape[1], outputs, dtype=np.float32), np.zeros(outputs, np.float32))
        head = fit_head(inputs, rows.y, self._loss, alpha, start=identity, anchored=True)
        if self.source is self.stock:
            model = replace(rows.model(restandardize=False), classes=rows.classes)
            joined = _joined(self.source, head)
            return self._with_head(model, joined, "stack", alpha=alpha)
        base = retargeted(self.source, rows.data)
        if self.source.task == "regression":  # from standardized amounts to amounts
            scale, mean = self.source.target_scale, self.source.target_mean
            head = Layer(head.weights * np.float32(scale), head.bias * np.float32(scale) + np.float32(mean))
        made = composite(base, Stack(base, head, len(rows.classes)), rows.classes)
        return replace(made, fitted_as=dict(made.fitted_as) | {"strategy": "stack", "alpha": alpha})

    def augmented(self, rows: Encoded, hooks: Hooks) -> Model:
        """`augment`: for trees, simply both tables."""
        if self.stock is None:
            return self._regrown(rows, "augment", hooks)
        model = rows.model(restandardize=False)
        return self._with_head(model, self._beside.augmented(rows, self._loss, BESIDE_ALPHA), "augment")

    def reweighted(self, rows: Encoded, hooks: Hooks) -> Model:
        """`reweight`: for trees, which take no weights, source rows drawn by theirs."""
        if self.stock is None:
            return self._regrown(rows, "reweight", hooks)
        model = rows.model(restandardize=False)
        return self._with_head(model, self._beside.reweighted(rows, self._loss, BESIDE_ALPHA), "reweight")

    def class_means(
        self, rows: Encoded, hooks: Hooks, *, prior: float, restandardize: bool, hidden: bool = True
    ) -> Model:
        """On the hidden layers, or on the inputs."""
        model = rows.model(restandardize=restandardize)
        features = rows.features if hidden else rows.inputs
        statistics = self._beside.statistics(rows, hidden=hidden)
        head = discriminant(statistics, features(restandardize=restandardize), rows.y, prior=prior)
        missing = len(rows.classes) - head.weights.shape[1]
        head = Layer(np.pad(head.weights, ((0, 0), (0, missing))), np.pad(head.bias, (0, missing)))
        if not hidden:
            model = replace(model, estimator=replace(model.estimator, layers=()))
        return self._with_head(
            model, head, "class_means", prior=prior, restandardize=restandardize, hidden=hidden
        )

    def _regrown(self, rows: Encoded, strategy: str, hooks: Hooks) -> Model:
        model = self.scratch(self._beside.pooled(rows, reweight=strategy == "reweight"), hooks)
        return replace(model, fitted_as=dict(model.fitted_as) | {"strategy": strategy})

    @cached_property
    def _beside(self) -> SourceRows:
        assert self.source_rows is not None  # noqa: S101  augment and reweight are not offered without
        return SourceRows(self.source_rows, self.seed)

    @property
    def _left_out(self) -> frozenset[str]:
        """Strategies that auto does not compare, because with them it was no better (docs/transfer.md): what augment
        finds l2_sp does too, and without layers to keep, new_head is scratch and continue is l2_sp. Boosting again on
        the source's rows in every fold of every round took a hundred times as long as all the rest."""
        if self.stock is None:
            boosting = self.source.estimator_spec.get("kind") == "gradient_boosting"
            return frozenset({"augment", "reweight"} if boosting else ())
        return frozenset({"augment"} if self.stock.estimator.layers else {"augment", "continue", "new_head"})

    def _known(self) -> dict[str, tuple[Candidate, ...]]:
        known: dict[str, tuple[Candidate, ...]] = {
            "source_only": (
                Candidate("source_only", lambda rows, hooks: self.source_only(rows.data, hooks)),
            ),
            "scratch": (Candidate("scratch", lambda rows, hooks: self.scratch(rows.data, hooks)),),
            "stack": _each("stack", self.stacked, alpha=STACK_ALPHAS),
        }
        if self.stock is not None:
            known |= self._with_weights(self.stock)
        if self.source_rows is not None:
            known["augment"] = (Candidate("augment", self.augmented),)
            known["reweight"] = (Candidate("reweight", self.reweighted),)
        if self.source_rows is not None and self.stock is not None and self.source.task == "classification":
            known["class_means"] = self._discriminants(self.stock)
        return known

    def _discriminants(self, stock: Model) -> tuple[Candidate, ...]:
        scalings = (False, True) if rescales(stock.encoder) else (False,)
        found = _each("class_means", self.class_means, prior=MEAN_PRIORS, restandardize=scalings)
        if stock.estimator.layers:
            priors = (MEAN_PRIORS[0], MEAN_PRIORS[-1])
            found += _each(
                "class_means", self.class_means, prior=priors, restandardize=scalings[-1:], hidden=(False,)
            )
        return found

    def _with_weights(self, stock: Model) -> dict[str, tuple[Candidate, ...]]:
        scalings = (False, True) if rescales(stock.encoder) else (False,)
        known: dict[str, tuple[Candidate, ...]] = {
            "continue": _each(
                "continue", self.go_on, restandardize=scalings if stock.estimator.layers else (False,)
            ),
            "l2_sp": _each("l2_sp", self.anchored, alpha=ANCHOR_ALPHAS, restandardize=scalings),
            "new_head": _each("new_head", self.new_head, alpha=HEAD_ALPHAS, restandardize=scalings),
        }
        if stock.estimator.layers:
            known["linear"] = _each("linear", self.linear, alpha=LINEAR_ALPHAS, restandardize=scalings[-1:])
        if True in scalings:
            known["restandardize"] = (
                Candidate("restandardize", lambda rows, hooks: rows.model(restandardize=True)),
            )
        return known

    @property
    def _loss(self) -> Any:
        spec = EstimatorSpec.model_validate(dict(self.source.estimator_spec))
        return head_loss(self.source.task, plan(spec, self.source.task, 1).loss)

    def _with_head(self, model: Model, head: Layer, strategy: str, **parameters: Any) -> Model:
        network = replace(model.estimator, head=head)
        return self._finished(model, network, strategy, optimizer="lbfgs", **parameters)

    def _finished(self, model: Model, network: Network, strategy: str, **parameters: Any) -> Model:
        record = dict(model.fitted_as) | {"loss": self._loss, "strategy": strategy} | parameters
        return replace(model, estimator=network, fitted_as=record)


def _each(strategy: str, fit: Callable[..., Model], **choices: Any) -> tuple[Candidate, ...]:
    """A candidate for every combination of the parameters."""
    combinations = (dict(zip(choices, values, strict=True)) for values in product(*choices.values()))
    return tuple(Candidate(strategy, partial(fit, **chosen), chosen) for chosen in combinations)


def _blank(inputs: int, outputs: int) -> Layer:
    return Layer(np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32))


def _joined(source: Model, head: Layer) -> Layer:
    """The source's head, centred where it gives logits, and then `head`, as one linear map."""
    inner: Network = source.estimator
    weights, bias = inner.head.weights.astype(np.float64), inner.head.bias.astype(np.float64)
    if source.task == "classification":
        weights = (weights - weights.mean(axis=1, keepdims=True)) * source.sharpness
        bias = (bias - bias.mean()) * source.sharpness
    outer = head.weights.astype(np.float64)
    return Layer((weights @ outer).astype(np.float32), (bias @ outer + head.bias).astype(np.float32))
