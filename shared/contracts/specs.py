"""What a user may ask of learning: estimators, preprocessing, evaluation. What each kind can do is in `kinds`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.base import Body
from shared.contracts.kinds import (
    CHOICES,
    LINEAR,
    SUPPORTED,
    ChosenKind,
    Kind,
    Loss,
    Optimizer,
    Task,
    supported,
)

_LONGEST_GUESSED = 40

LayerWidth = Annotated[int, Field(ge=1, le=4096)]


class EstimatorSpec(Body):
    """Which estimator, and how it is fitted. `null` means the kind's measured default (docs/learning.md).

    kind: `auto` is logistic_regression for classes and linear_regression for numbers.
    """

    kind: ChosenKind
    loss: Literal["auto"] | Loss = "auto"
    optimizer: Literal["auto"] | Optimizer = "auto"
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = None
    alpha: Annotated[float, Field(ge=0, le=1e6)] | None = None
    hidden_layers: Annotated[list[LayerWidth], Field(min_length=1, max_length=8)] | None = None
    kernel: Literal["linear", "rbf"] | None = None
    n_estimators: Annotated[int, Field(ge=1, le=5_000)] | None = None
    max_depth: Annotated[int, Field(ge=1, le=64)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        """pydantic would say that a setting is extra, and not which there are."""
        if not isinstance(given, dict):
            return given
        kind = next((kind for kind in CHOICES if kind == given.get("kind")), None)
        strange = next((name for name in given if name not in cls.model_fields), None)
        if kind is not None and strange is not None:
            settings = {"loss"} | supported(kind).parameters
            guess = _meant(str(strange), settings)
            raise refusal(str(strange), f"no such setting{guess} {kind} takes {_listed(settings)}")
        return given

    @model_validator(mode="after")
    def _supported(self) -> Self:
        support = supported(self.kind)
        for name in (
            "epochs",
            "learning_rate",
            "alpha",
            "hidden_layers",
            "kernel",
            "n_estimators",
            "max_depth",
        ):
            if getattr(self, name) is not None and name not in support.parameters:
                takes = _listed({"loss"} | support.parameters)
                raise refusal(name, f"{self.kind} takes no {name}; it takes {takes}{_taken(name, self.kind)}")
        losses = {loss: found for task in support.losses.values() for loss, found in task.items()}
        if self.loss != "auto" and self.loss not in losses:
            raise refusal("loss", f"{self.kind} supports the losses {_listed(losses)}")
        if self.optimizer != "auto":
            if "optimizer" not in support.parameters:
                raise refusal("optimizer", f"{self.kind} has no optimizer to choose; leave it at auto")
            if self.loss != "auto" and self.optimizer not in losses[self.loss]:
                allowed = _listed(losses[self.loss], keep_order=True)
                raise refusal(
                    "optimizer", f"{self.kind} with loss {self.loss} supports the optimizers {allowed}"
                )
        return self


class PreprocessingSpec(Body):
    """How columns become numbers."""

    numeric: Literal["standardize", "normalize", "minmax", "none"] = "standardize"
    categorical: Literal["one_hot"] = "one_hot"
    missing: Literal["impute", "fail"] = "impute"


class EvaluationSpec(Body):
    """How many rows are held out, and how they are drawn."""

    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    stratify: bool = True


CROSS_VALIDATED_BELOW = 200
"""Target rows from which a fifth of them says enough."""


class TransferEvaluation(EvaluationSpec):
    """How a fine-tune is measured. `test_fraction` and `stratify` are those of `holdout`."""

    method: Literal["auto", "holdout", "cross_validation"] = "auto"

    def resolved(self, rows: int, *, refit: bool) -> Literal["holdout", "cross_validation"]:
        """What `auto` stands for: nested cross-validation of few rows, as long as the model that is published
        need not be the one that was measured."""
        if self.method != "auto":
            return self.method
        return "cross_validation" if refit and rows < CROSS_VALIDATED_BELOW else "holdout"


def kind_for(spec: EstimatorSpec, task: Task) -> Kind:
    """The kind that `auto` stands for, once the task is known."""
    return LINEAR[task] if spec.kind == "auto" else spec.kind


def resolve(spec: EstimatorSpec, task: Task) -> tuple[Loss, Optimizer | None]:
    """The loss and optimizer that `auto` stands for, once the task is known.

    Raises ValueError with a sentence that lists what is supported, if the kind cannot do the task.
    """
    kind = kind_for(spec, task)
    losses = SUPPORTED[kind].losses.get(task)
    if losses is None:
        kinds = _listed(other for other, support in SUPPORTED.items() if task in support.losses)
        raise ValueError(f"{kind} does not do {task}; these do: {kinds}")
    loss: Loss
    if spec.loss != "auto":
        loss = spec.loss
    elif spec.optimizer == "auto":
        loss = next(iter(losses))
    else:
        loss = next(
            (name for name, optimizers in losses.items() if spec.optimizer in optimizers), next(iter(losses))
        )
    if loss not in losses:
        raise ValueError(f"{kind} supports these losses for {task}: {_listed(losses)}")
    optimizers = losses[loss]
    if not optimizers:
        return loss, None
    if spec.optimizer == "auto":
        return loss, optimizers[0]
    if spec.optimizer not in optimizers:
        allowed = _listed(optimizers, keep_order=True)
        raise ValueError(f"{kind} with loss {loss} supports the optimizers {allowed}")
    return loss, spec.optimizer


def refusal(field: str, sentence: str, *, entry: str = "") -> PydanticCustomError:
    """An error that names a field of the model it is raised in, or one entry of a field that is an object;
    `shared.contracts.refusals` appends it to the pointer."""
    return PydanticCustomError(
        "refused", "{sentence}", {"field": field, "entry": entry, "sentence": sentence}
    )


def _meant(name: str, settings: Iterable[str]) -> str:
    """Only words of ours are told; the name that was given is not repeated."""
    close = get_close_matches(name.lower(), settings, n=1) if len(name) <= _LONGEST_GUESSED else []
    return f"; did you mean {close[0]}?" if close else ";"


def _taken(name: str, kind: str) -> str:
    """Of `auto`, which nobody has chosen who left the kind out: which kinds take it."""
    kinds = [other for other, support in SUPPORTED.items() if name in support.parameters]
    return f". A kind that takes it: {_listed(kinds)}" if kind == "auto" else ""


def _listed(words: object, *, keep_order: bool = False) -> str:
    found = [str(word) for word in words]  # type: ignore[attr-defined]
    return ", ".join(found if keep_order else sorted(found))
