"""Estimators that are made of whole models, each with an encoder of its own, and so predict tables, not matrices.

    Blend   members' probabilities or amounts, averaged with fixed weights
    Stack   a linear head on the outputs of a model of any kind

They stand where a `Network` or a forest would in `Model.estimator`, so that a blend is published, signed, loaded,
scored and fine-tuned like any other model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.modeling.columns import Table
from shared.modeling.encoder import Matrix
from shared.modeling.model import Label, Model, Prediction, softmax
from shared.modeling.network import Layer, Network

Outputs = npt.NDArray[np.float64]

#: A probability below this counts as this when a stack takes its logarithm: forests are sure of too much.
SMALLEST_PROBABILITY = 1e-4


@dataclass(frozen=True, slots=True)
class Member:
    """A model of a blend, its share, and where its classes stand among the blend's.

    sharpness: its probabilities are raised to this power first, which makes them surer (above 1) or more modest.
    """

    model: Model
    weight: float
    places: tuple[int, ...]
    sharpness: float = 1.0


@dataclass(frozen=True, slots=True)
class Blend:
    """A weighted mean of predictions (linear opinion pool: Stone, 1961). Weights are positive and sum to 1."""

    members: tuple[Member, ...]
    classes: int
    """How many the blend has; 0 for regression."""

    def outputs(self, table: Table) -> Outputs:
        """(n, classes) probabilities, or (n,) amounts. Members that share an encoder share its matrix."""
        matrices: dict[int, Matrix] = {}
        return self.combined([_predicted(member.model, table, matrices) for member in self.members])

    def combined(self, predictions: Sequence[Prediction]) -> Outputs:
        """The same of what the members have predicted, in their order."""
        rows = len(predictions[0].values)
        total = np.zeros((rows, self.classes) if self.classes else rows)
        for member, found in zip(self.members, predictions, strict=True):
            if found.probabilities is not None:
                said = sharpened(found.probabilities, member.sharpness)
                total[:, list(member.places)] += member.weight * said
            else:
                total += member.weight * found.values
        return total


@dataclass(frozen=True, slots=True)
class Stack:
    """`head` on the base's centred logits (n, its classes), or on its amounts (n, 1)."""

    base: Model
    head: Layer
    classes: int

    def outputs(self, table: Table) -> Outputs:
        """(n, classes) probabilities, or (n,) amounts."""
        return self.combined(self.base.predict(table))

    def combined(self, prediction: Prediction) -> Outputs:
        """The same of what the base has predicted."""
        inputs = stack_inputs(self.base, prediction)
        decision = inputs @ self.head.weights.astype(np.float64) + self.head.bias
        return softmax(decision) if self.classes else np.asarray(decision[:, 0], np.float64)


def stack_inputs(base: Model, prediction: Prediction) -> Outputs:
    """What a stack's head sees: logits that sum to 0 in each row, or standardized amounts in one column."""
    if base.task == "regression":
        return np.asarray((prediction.values[:, None] - base.target_mean) / base.target_scale, np.float64)
    if prediction.decision is not None:
        logits = prediction.decision.astype(np.float64) * base.sharpness
    else:
        assert prediction.probabilities is not None  # noqa: S101  a classifier gives them
        logits = np.log(np.maximum(prediction.probabilities, SMALLEST_PROBABILITY))
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def sharpened(probabilities: Outputs, factor: float) -> Outputs:
    """(n, classes): each to the power of `factor`, and again of sum 1; softmax outputs at temperature 1 / factor."""
    if factor == 1.0:
        return probabilities
    powers = np.power(probabilities, factor)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def blended(like: Model, members: Sequence[tuple[Model, float, float]], classes: tuple[Label, ...]) -> Model:
    """A model that averages (model, weight, sharpness), for tables of `like`'s columns. Weights are brought to sum
    to 1."""
    total = sum(weight for _, weight, _ in members)
    place = {label: position for position, label in enumerate(classes)}
    parts = tuple(
        Member(model, weight / total, tuple(place[label] for label in model.classes), sharpness)
        for model, weight, sharpness in members
    )
    return composite(like, Blend(parts, len(classes)), classes)


def composite(like: Model, estimator: Blend | Stack, classes: tuple[Label, ...]) -> Model:
    """A model around a composite that keeps `like`'s columns, target and specs."""
    return Model(
        encoder=like.encoder,
        estimator=estimator,
        task=like.task,
        target=like.target,
        target_type=like.target_type,
        classes=classes,
        target_mean=like.target_mean,
        target_scale=like.target_scale,
        estimator_spec=like.estimator_spec,
        fitted_as=like.fitted_as,
        preprocessing_spec=like.preprocessing_spec,
        format=2,
    )


def stock(model: Model) -> Model | None:
    """The model whose weights a fine-tune goes on from: this one, or the heaviest member of a blend that has
    weights; None where there are only trees."""
    if isinstance(model.estimator, Network):
        return model
    if isinstance(model.estimator, Stack):
        return stock(model.estimator.base)
    if isinstance(model.estimator, Blend):
        ranked = sorted(model.estimator.members, key=lambda member: -member.weight)
        found = [inner for member in ranked if (inner := stock(member.model)) is not None]
        return found[0] if found else None
    return None


def _predicted(model: Model, table: Table, matrices: dict[int, Matrix]) -> Prediction:
    if isinstance(model.estimator, (Blend, Stack)):
        return model.predict(table)
    key = id(model.encoder)
    if key not in matrices:
        matrices[key] = model.encoder.transform(table)
    return model.predict_encoded(matrices[key])


__all__ = ["Blend", "Member", "Stack", "blended", "composite", "sharpened", "stack_inputs", "stock"]
