"""The four families: how Graft is asked for one, and the plain scikit-learn Pipeline that stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks._batch import tables
from shared.modeling import Model


@dataclass(frozen=True)
class Family:
    name: str
    ref: str
    """What its model is called."""
    estimator: dict[str, Any]
    """As the body of a train job has it."""
    bare: Callable[[Model], Pipeline]
    """The Pipeline, fitted; it may take parts of Graft's own model."""
    bare_rows: int | None = None
    """Rows that bare is timed on where all of them would take minutes; the rate is what counts."""


def _fitted(*steps: Any) -> Callable[[Model], Pipeline]:
    def fit(_: Model) -> Pipeline:
        X = tables.features(tables.TRAINING_ROWS, 0)
        return make_pipeline(*steps).fit(X, tables.labels(X))

    return fit


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "gradient boosting",
            "boosting",
            {"kind": "gradient_boosting", "n_estimators": 100},
            lambda model: make_pipeline(model.estimator),  # the very same trees
        ),
        Family(
            "MLP",
            "mlp",
            {"kind": "neural_network", "hidden_layers": [64]},
            _fitted(StandardScaler(), MLPClassifier((64,), max_iter=10, random_state=0)),
        ),
        Family(
            "scaler + linear",
            "linear",
            {"kind": "logistic_regression"},
            _fitted(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
        ),
        Family(
            "RBF SVM",
            "rbf-svm",
            {"kind": "svm", "kernel": "rbf"},
            _fitted(StandardScaler(), SVC()),
            bare_rows=5_000,
        ),
    )
}
