"""What `null` parameters stand for, by family and optimizer. docs/learning.md shows the measurements
behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shared.contracts.kinds import Kind, Loss, Optimizer, Task
from shared.contracts.specs import EstimatorSpec, kind_for, resolve
from shared.errors import InvalidInput

LINEAR: tuple[Kind, ...] = ("logistic_regression", "svm", "linear_regression")
TREES: tuple[Kind, ...] = ("random_forest", "gradient_boosting")


@dataclass(frozen=True, slots=True)
class Defaults:
    """epochs; learning_rate (None: derived from the data, see `networks`); tolerance of early stopping."""

    epochs: int
    learning_rate: float | None
    tolerance: float


#: (network?, optimizer) → defaults.
_OPTIMIZERS: dict[tuple[bool, Optimizer], Defaults] = {
    (False, "lbfgs"): Defaults(500, None, 1e-5),
    (False, "gradient_descent"): Defaults(500, None, 1e-6),
    (False, "sgd"): Defaults(100, None, 1e-4),
    (False, "adam"): Defaults(100, 0.01, 1e-4),
    (True, "lbfgs"): Defaults(200, None, 1e-5),
    (True, "gradient_descent"): Defaults(1000, None, 1e-6),
    (True, "sgd"): Defaults(100, None, 1e-4),
    (True, "adam"): Defaults(100, 0.001, 1e-4),
}
#: Of linear models and support vector machines; for regression with the latter SVM_REGRESSION_ALPHA.
ALPHA = 1.0
SVM_REGRESSION_ALPHA = 3.0
#: Of networks: NETWORK_ALPHA, but at most this share of the rows, or few rows would be shrunk to nothing.
NETWORK_ALPHA = 10.0
NETWORK_ALPHA_PER_ROW = 0.05
HIDDEN_LAYERS = (100,)
FOREST_TREES = 100
BOOSTING_TREES = 100
BOOSTING_RATE = 0.1
#: Rows in a mini-batch for up to 10,000 rows; beyond, it grows with the rows up to the maximum.
BATCH_ROWS = 32
MAX_BATCH_ROWS = 256
#: Steps that a mini-batch optimizer may take at least, however few the rows.
MIN_STEPS = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """An `EstimatorSpec` with nothing left open but an automatic learning rate. Fields as in the spec."""

    kind: Kind
    task: Task
    loss: Loss
    optimizer: Optimizer | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    alpha: float | None = None
    hidden_layers: tuple[int, ...] | None = None
    kernel: str | None = None
    n_estimators: int | None = None
    max_depth: int | None = None
    batch_size: int | None = None
    tolerance: float = 0.0

    def record(self, **found: Any) -> dict[str, Any]:
        """As JSON, with what fitting has found out (e.g. the learning rate) filled in."""
        described = asdict(self) | found
        described.pop("tolerance")
        described.pop("task")
        if described["hidden_layers"] is not None:
            described["hidden_layers"] = list(described["hidden_layers"])
        return described


def plan(spec: EstimatorSpec, task: Task, rows: int) -> Plan:
    """Fill in the defaults for a fit on `rows` rows. Raises InvalidInput where the kind cannot do the
    task."""
    try:
        loss, optimizer = resolve(spec, task)
    except ValueError as error:
        raise InvalidInput(str(error), code="unsupported_estimator") from error
    kind = kind_for(spec, task)
    if kind in TREES:
        return _tree_plan(spec, kind, task, loss)
    assert optimizer is not None  # noqa: S101  every kind but trees has optimizers
    deep = kind == "neural_network"
    defaults = _OPTIMIZERS[deep, optimizer]
    return Plan(
        kind=kind,
        task=task,
        loss=loss,
        optimizer=optimizer,
        epochs=spec.epochs or _epochs(defaults.epochs, optimizer, rows),
        learning_rate=spec.learning_rate,
        alpha=_alpha(kind, task, rows) if spec.alpha is None else spec.alpha,
        hidden_layers=tuple(spec.hidden_layers or HIDDEN_LAYERS) if deep else (),
        kernel=(spec.kernel or "rbf") if kind == "svm" else None,
        batch_size=batch_rows(rows) if optimizer in ("sgd", "adam") else None,
        tolerance=defaults.tolerance,
    )


def default_rate(kind: Kind, optimizer: Optimizer) -> float | None:
    """The learning rate that is tried first; None: derived from the data."""
    return _OPTIMIZERS[kind == "neural_network", optimizer].learning_rate


def batch_rows(rows: int) -> int:
    """32 up to 10,000 rows, then in proportion, at most 256."""
    return min(max(BATCH_ROWS, BATCH_ROWS * rows // 10_000), MAX_BATCH_ROWS)


def _alpha(kind: Kind, task: Task, rows: int) -> float:
    if kind == "neural_network":
        return min(NETWORK_ALPHA, NETWORK_ALPHA_PER_ROW * rows)
    return SVM_REGRESSION_ALPHA if kind == "svm" and task == "regression" else ALPHA


def _epochs(least: int, optimizer: Optimizer, rows: int) -> int:
    """Mini-batch optimizers need a number of steps; few rows make few steps an epoch."""
    if optimizer not in ("sgd", "adam"):
        return least
    steps_an_epoch = -(-rows // batch_rows(rows))
    return max(least, MIN_STEPS // steps_an_epoch)


def _tree_plan(spec: EstimatorSpec, kind: Kind, task: Task, loss: Loss) -> Plan:
    boosting = kind == "gradient_boosting"
    return Plan(
        kind=kind,
        task=task,
        loss=loss,
        learning_rate=(spec.learning_rate or BOOSTING_RATE) if boosting else None,
        n_estimators=spec.n_estimators or (BOOSTING_TREES if boosting else FOREST_TREES),
        max_depth=spec.max_depth,
    )
