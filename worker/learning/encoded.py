"""Labelled target rows as a source model sees them, made once and shared by every strategy that is fitted on them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from shared.modeling.composite import stack_inputs
from shared.modeling.model import Label, Model
from shared.modeling.network import Layer, Network
from worker.learning.data import Labelled
from worker.learning.evaluation import positions, union
from worker.learning.losses import Array
from worker.learning.restandardizing import restandardized

#: A head is fitted on at most so many numbers (160 MB): beyond, on a sample of the rows, since a head has few weights.
MAX_NUMBERS = 20_000_000


class Encoded:
    """source: the whole source model. stock: the part of it whose weights can be gone on from, or None.
    sample: the rows that heads are fitted on; all of `data` unless that would take too much memory.

    `restandardize` chooses, everywhere below, between the stock's own scaling and the one that these rows have moved.
    """

    def __init__(self, data: Labelled, source: Model, stock: Model | None) -> None:
        self.data = data
        self.source = source
        self._stock = stock
        width = max(len(self.classes), stock.estimator.hidden_width if stock is not None else 1)
        most = max(MAX_NUMBERS // width, 1)
        spread = np.linspace(0, data.rows - 1, min(data.rows, most)).astype(np.int64)
        self.sample = data if data.rows <= most else data.take(spread)
        self._models: dict[bool, Model] = {}
        self._inputs: dict[bool, Array] = {}
        self._features: dict[bool, Array] = {}
        self.heads: dict[bool, dict[float, Layer]] = {}
        """Anchored heads by scaling and strength, where a strategy has fitted them all at once."""

    @cached_property
    def classes(self) -> tuple[Label, ...]:
        """Every label of both sides: the source's in their order, then the target's new ones."""
        return union(self.source.classes, self.data.classes)

    @cached_property
    def y(self) -> Array:
        """(n,) of the sample: codes into `classes`, or amounts standardized as the source's."""
        return self.coded(self.sample)

    def coded(self, data: Labelled) -> Array:
        """The targets of other rows in the same form."""
        if data.task == "classification":
            return np.asarray(positions(data.classes, self.classes)[data.y])
        return np.asarray((data.y - self.source.target_mean) / self.source.target_scale)

    def model(self, *, restandardize: bool) -> Model:
        """The stock, ready to predict the target: its name, every label (a new one with zero weights), and decisions
        that are logits."""
        if restandardize not in self._models:
            assert self._stock is not None  # noqa: S101  strategies that need weights are not offered without
            model = retargeted(self._stock, self.data)
            if restandardize:
                model = replace(model, encoder=restandardized(model.encoder, self.data.table))
            self._models[restandardize] = widened(model, self.classes)
        return self._models[restandardize]

    def inputs(self, *, restandardize: bool) -> Array:
        """The sample under the stock's encoder: (n, width of the encoder)."""
        if restandardize not in self._inputs:
            encoder = self.model(restandardize=restandardize).encoder
            self._inputs[restandardize] = encoder.transform(self.sample.table)
        return self._inputs[restandardize]

    def features(self, *, restandardize: bool) -> Array:
        """φ of the sample: (n, width of the head)."""
        if restandardize not in self._features:
            network: Network = self.model(restandardize=restandardize).estimator
            self._features[restandardize] = network.hidden(self.inputs(restandardize=restandardize))
        return self._features[restandardize]

    @cached_property
    def source_outputs(self) -> Array:
        """(n, source classes) centred logits, or (n, 1) standardized amounts, of the source on the sample."""
        return stack_inputs(self.source, self.source.predict(self.sample.table))


def retargeted(model: Model, data: Labelled) -> Model:
    """The model under the name that the target has in these rows' table."""
    return replace(model, target=data.target.name, target_type=data.target.type)


def widened(model: Model, classes: tuple[Label, ...]) -> Model:
    """The network over these classes, which hold its own: zero weights for those it does not know, and the factor
    that calibrates its decisions multiplied into its head."""
    network: Network = model.estimator
    if model.task == "regression":
        return model
    places = positions(model.classes, classes)
    weights = np.zeros((network.hidden_width, len(classes)), np.float32)
    bias = np.zeros(len(classes), np.float32)
    weights[:, places] = network.head.weights * np.float32(model.sharpness)
    bias[places] = network.head.bias * np.float32(model.sharpness)
    head = Layer(weights, bias)
    return replace(model, estimator=replace(network, head=head), classes=classes, sharpness=1.0)
