"""A fitted model: encoder, estimator and what turns its outputs into labels, probabilities or amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from shared.contracts.kinds import Task
from shared.contracts.tables import ColumnType
from shared.modeling.columns import Table
from shared.modeling.encoder import CategoryColumn, Encoder, Matrix
from shared.modeling.network import Network

Label = str | bool | int

#: Raised by one whenever an older reader could misread a newer model. 2: composites.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about n rows.

    values: (n,) labels of the model's own kind (text, bool or int64), or float64 amounts for regression.
    codes: (n,) positions of the labels in `Model.classes`; None for regression.
    probabilities: (n, classes) float64, rows sum to 1; None for regression.
    decision: (n, outputs) the estimator's raw outputs; None for trees.
    """

    values: npt.NDArray[Any]
    codes: npt.NDArray[np.int64] | None = None
    probabilities: npt.NDArray[np.float64] | None = None
    decision: npt.NDArray[Any] | None = None


@runtime_checkable
class Composite(Protocol):
    """An estimator that is made of models: see `composite`."""

    def outputs(self, table: Table) -> npt.NDArray[np.float64]:
        """(n, classes) probabilities, or (n,) amounts."""


@dataclass(frozen=True, slots=True)
class Model:
    """The artifact. `estimator` is a `Network`, a scikit-learn forest or boosting that was fitted on label
    codes, or a `Composite` of other models, whose own encoders then do the work (`encoder` names the columns).

    Networks: probabilities are softmax(sharpness · decision); the factor is 1 for a likelihood loss and
    calibrated for hinge losses. It is positive, so that calibration cannot change a label (Guo et al.,
    ICML 2017). Regression: amounts are decision · target_scale + target_mean.
    """

    encoder: Encoder
    estimator: Any
    task: Task
    target: str
    target_type: ColumnType
    classes: tuple[Label, ...] = ()
    sharpness: float = 1.0
    target_mean: float = 0.0
    target_scale: float = 1.0
    estimator_spec: Mapping[str, Any] = field(default_factory=dict)
    """As it was asked for, so that a fit from scratch can be asked for again on other rows."""
    fitted_as: Mapping[str, Any] = field(default_factory=dict)
    """As it was done: kind, loss, optimizer, epochs, learning_rate, … with nothing left open."""
    preprocessing_spec: Mapping[str, Any] = field(default_factory=dict)
    format: int = 1

    def predict(self, table: Table) -> Prediction:
        """Predict rows whose columns `align` or `rows_to_batch` has prepared. Raises what
        `Encoder.transform` does."""
        if not isinstance(self.estimator, Composite):
            return self.predict_encoded(self.encoder.transform(table))
        return self.from_composite(self.estimator.outputs(table))

    def from_composite(self, outputs: npt.NDArray[np.float64]) -> Prediction:
        """What a composite's outputs mean."""
        return Prediction(outputs) if self.task == "regression" else self._likeliest(outputs)

    def predict_encoded(self, X: Matrix) -> Prediction:
        """The same for rows that the encoder has already turned into features; not for composites."""
        if self.task == "regression":
            outputs = self._outputs(X)
            return Prediction(outputs.astype(np.float64) * self.target_scale + self.target_mean)
        if isinstance(self.estimator, Network):
            decision = self.estimator.decision(X)
            codes = decision.argmax(axis=1)
            return Prediction(self.labels(codes), codes, softmax(decision, self.sharpness), decision)
        return self.from_trees(self.estimator.predict_proba(X))

    def from_trees(self, probabilities: npt.NDArray[Any]) -> Prediction:
        """What a classifier of scikit-learn's makes of `predict_proba`, (n, its classes)."""
        found = np.asarray(probabilities, np.float64)
        known = np.asarray(self.estimator.classes_, np.int64)
        if len(known) < len(self.classes):
            spread = np.zeros(
                (len(found), len(self.classes))
            )  # a class without training rows has probability 0
            spread[:, known] = found
            found = spread
        return self._likeliest(found)

    @property
    def has_decision(self) -> bool:
        """Whether predictions come with a score for each label by which it was chosen."""
        return self.task == "classification" and isinstance(self.estimator, Network)

    def labels(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Positions in `classes` as the labels themselves."""
        return np.array(self.classes)[codes]

    def schema(self) -> dict[str, Any]:
        """What goes in and what comes out, as JSON: {inputs: [{name, type, required, nullable,
        categories?}], output}."""
        inputs = []
        for item in self.encoder.columns:
            described: dict[str, Any] = {
                "name": item.name,
                "type": item.type,
                "required": True,
                "nullable": self.encoder.missing == "impute",
            }
            if isinstance(item, CategoryColumn):
                described["categories"] = list(item.categories)
            inputs.append(described)
        output = {
            "name": self.target,
            "type": self.target_type,
            "task": self.task,
            "classes": list(self.classes) if self.task == "classification" else None,
        }
        return {"inputs": inputs, "output": output}

    def _likeliest(self, probabilities: npt.NDArray[np.float64]) -> Prediction:
        codes = probabilities.argmax(axis=1)
        return Prediction(self.labels(codes), codes, probabilities)

    def _outputs(self, X: Matrix) -> npt.NDArray[Any]:
        if isinstance(self.estimator, Network):
            return self.estimator.decision(X)[:, 0]
        return np.asarray(self.estimator.predict(X))


def softmax(decision: npt.NDArray[Any], sharpness: float = 1.0) -> npt.NDArray[np.float64]:
    """Row-wise softmax of sharpness · decision, in float64, safe against overflow."""
    scaled = decision.astype(np.float64) * sharpness
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled
