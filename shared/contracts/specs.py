"""What a user may ask of learning: estimators, preprocessing, evaluation.

`SUPPORTED` is the only copy of what each kind of estimator can do. The API refuses what is not in it,
and the docs and error messages are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.base import Body

Kind = Literal[
    "logistic_regression",
    "svm",
    "neural_network",
    "random_forest",
    "gradient_boosting",
    "linear_regression",
]
Task = Literal["classification", "regression"]
Loss = Literal[
    "log_loss",
    "hinge",
    "squared_hinge",
    "gini",
    "squared_error",
    "absolute_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
]
Optimizer = Literal["gradient_descent", "sgd", "adam", "lbfgs"]

ITERATIVE: tuple[Optimizer, ...] = ("lbfgs", "gradient_descent", "sgd", "adam")
NON_SMOOTH: tuple[Optimizer, ...] = ("gradient_descent", "sgd", "adam")


@dataclass(frozen=True, slots=True)
class Support:
    """For one kind: per task and loss the optimizers (the first is the default), and the parameters it takes.

    The first loss of a task is that task's default. Trees have no optimizer to choose.
    """

    losses: dict[Task, dict[Loss, tuple[Optimizer, ...]]]
    parameters: frozenset[str]


_GRADIENT = frozenset({"optimizer", "epochs", "learning_rate", "alpha"})

SUPPORTED: dict[Kind, Support] = {
    "logistic_regression": Support({"classification": {"log_loss": ITERATIVE}}, _GRADIENT),
    "svm": Support(
        {
            "classification": {"squared_hinge": ITERATIVE, "hinge": NON_SMOOTH},
            "regression": {"squared_epsilon_insensitive": ITERATIVE, "epsilon_insensitive": NON_SMOOTH},
        },
        _GRADIENT | {"kernel"},
    ),
    "linear_regression": Support({"regression": {"squared_error": ITERATIVE, "huber": ITERATIVE}}, _GRADIENT),
    "neural_network": Support(
        {
            "classification": {"log_loss": ("adam", "sgd", "lbfgs", "gradient_descent")},
            "regression": {
                "squared_error": ("adam", "sgd", "lbfgs", "gradient_descent"),
                "huber": ("adam", "sgd", "lbfgs", "gradient_descent"),
            },
        },
        _GRADIENT | {"hidden_layers"},
    ),
    "random_forest": Support(
        {
            "classification": {"gini": (), "log_loss": ()},
            "regression": {"squared_error": (), "absolute_error": ()},
        },
        frozenset({"n_estimators", "max_depth"}),
    ),
    "gradient_boosting": Support(
        {
            "classification": {"log_loss": ()},
            "regression": {"squared_error": (), "absolute_error": ()},
        },
        frozenset({"n_estimators", "max_depth", "learning_rate"}),
    ),
}

TREES: frozenset[Kind] = frozenset({"random_forest", "gradient_boosting"})

LayerWidth = Annotated[int, Field(ge=1, le=4096)]


class EstimatorSpec(Body):
    """Which estimator, and how it is fitted. `null` means the kind's measured default (docs/learning.md)."""

    kind: Kind
    loss: Literal["auto"] | Loss = "auto"
    optimizer: Literal["auto"] | Optimizer = "auto"
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = None
    alpha: Annotated[float, Field(ge=0, le=1e6)] | None = None
    hidden_layers: Annotated[list[LayerWidth], Field(min_length=1, max_length=8)] | None = None
    kernel: Literal["linear", "rbf"] | None = None
    n_estimators: Annotated[int, Field(ge=1, le=5_000)] | None = None
    max_depth: Annotated[int, Field(ge=1, le=64)] | None = None

    @model_validator(mode="after")
    def _supported(self) -> Self:
        support = SUPPORTED[self.kind]
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
                raise refusal(name, f"{self.kind} takes no {name}; it takes {_listed(support.parameters)}")
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


def resolve(spec: EstimatorSpec, task: Task) -> tuple[Loss, Optimizer | None]:
    """The loss and optimizer that `auto` stands for, once the task is known.

    Raises ValueError with a sentence that lists what is supported, if the kind cannot do the task.
    """
    support = SUPPORTED[spec.kind]
    losses = support.losses.get(task)
    if losses is None:
        kinds = _listed(kind for kind, other in SUPPORTED.items() if task in other.losses)
        raise ValueError(f"{spec.kind} does not do {task}; these do: {kinds}")
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
        raise ValueError(f"{spec.kind} supports these losses for {task}: {_listed(losses)}")
    optimizers = losses[loss]
    if not optimizers:
        return loss, None
    if spec.optimizer == "auto":
        return loss, optimizers[0]
    if spec.optimizer not in optimizers:
        allowed = _listed(optimizers, keep_order=True)
        raise ValueError(f"{spec.kind} with loss {loss} supports the optimizers {allowed}")
    return loss, spec.optimizer


def refusal(field: str, sentence: str, *, entry: str = "") -> PydanticCustomError:
    """An error that names a field of the model it is raised in, or one entry of a field that is an object;
    `shared.contracts.refusals` appends it to the pointer."""
    return PydanticCustomError(
        "refused", "{sentence}", {"field": field, "entry": entry, "sentence": sentence}
    )


def _listed(words: object, *, keep_order: bool = False) -> str:
    found = [str(word) for word in words]  # type: ignore[attr-defined]
    return ", ".join(found if keep_order else sorted(found))


KINDS: tuple[Kind, ...] = get_args(Kind)
