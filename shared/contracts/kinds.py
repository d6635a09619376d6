"""What each kind of estimator can do.

`SUPPORTED` is the only copy of it. The API refuses what is not in it, and the docs and error messages are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

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

ChosenKind = Literal["auto", Kind]

LINEAR: dict[Task, Kind] = {"classification": "logistic_regression", "regression": "linear_regression"}
"""What the kind `auto` stands for: the family that is quick and hard to beat on few rows, whatever the target is."""

KINDS: tuple[Kind, ...] = get_args(Kind)
CHOICES: tuple[ChosenKind, ...] = get_args(ChosenKind)


def supported(kind: ChosenKind) -> Support:
    """What a kind can do; of `auto` what its members can."""
    if kind != "auto":
        return SUPPORTED[kind]
    return Support({task: SUPPORTED[member].losses[task] for task, member in LINEAR.items()}, _GRADIENT)
