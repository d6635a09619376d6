"""Test accuracy of Graft's three families beside scikit-learn's own, on the same splits of its bundled data.

    python -m benchmarks.accuracy [--seeds 10]

Defaults on both sides, inputs standardized with the training rows, 20 % held out by class. Shown is the mean over the
seeds, in percent; the last line of a data set compares the best of ours with the best of theirs (promise: within one
point). Regression is R² of diabetes, beside Ridge, SVR and MLPRegressor with a standardized target.
The command fails if the promise is broken.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from threadpoolctl import threadpool_limits

from shared.contracts.kinds import Task
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.contracts.tables import Column
from worker.learning.data import labelled
from worker.learning.estimators import fit_model

SETS = ("iris", "wine", "digits", "breast_cancer")
PROMISE_POINTS = 1.0

Make = Callable[[int], Any]

CLASSIFIERS: dict[str, Make] = {
    "logistic_regression": lambda seed: LogisticRegression(max_iter=1_000),
    "svm": lambda seed: SVC(),
    "neural_network": lambda seed: MLPClassifier(max_iter=500, random_state=seed),
}
REGRESSORS: dict[str, Make] = {
    "linear_regression": lambda seed: Ridge(),
    "svm": lambda seed: SVR(),
    "neural_network": lambda seed: MLPRegressor(max_iter=500, random_state=seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(
        f"{'data set':<14} {'family':<20} {'Graft':>8} {'sklearn':>8} {'points':>7} {'Graft s':>8} {'sklearn s':>9}"
    )
    worst = min(compare(name, CLASSIFIERS, "classification", seeds) for name in SETS)
    compare("diabetes", REGRESSORS, "regression", seeds)
    print(
        f"\nbest of ours - best of theirs, worst data set: {worst:+.2f} points (promise: {-PROMISE_POINTS:+.2f})"
    )
    if worst < -PROMISE_POINTS:
        raise SystemExit("the promise is broken")


def compare(name: str, families: dict[str, Make], task: Task, seeds: range) -> float:
    """Print one data set; return best of ours minus best of theirs, in points."""
    ours, theirs = {}, {}
    for kind, make in families.items():
        runs = np.array([measure(name, kind, make, task, seed) for seed in seeds])
        ours[kind], theirs[kind] = runs[:, 0].mean(), runs[:, 1].mean()
        own, other = np.median(runs[:, 2:], axis=0)
        print(
            f"{name:<14} {kind:<20} {ours[kind]:8.2f} {theirs[kind]:8.2f} {ours[kind] - theirs[kind]:+7.2f} "
            f"{own:8.3f} {other:9.3f}",
            flush=True,
        )
    best, other = max(ours.values()), max(theirs.values())
    print(f"{name:<14} {'best':<20} {best:8.2f} {other:8.2f} {best - other:+7.2f}")
    return float(best - other)


def measure(name: str, kind: str, make: Make, task: Task, seed: int) -> tuple[float, float, float, float]:
    """(our score, theirs, our seconds to fit, theirs) on one split; accuracy or R² in percent."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    stratify = y if task == "classification" else None
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=stratify)
    data = labelled(as_table(train, y_train), as_columns(train, task), "label", None, task, print)
    held = as_table(test, y_test)
    started = time.perf_counter()
    model = fit_model(data, EstimatorSpec.model_validate({"kind": kind}), PreprocessingSpec(), seed)
    own = time.perf_counter() - started
    started = time.perf_counter()
    other_model = make_pipeline(StandardScaler(), make(seed))
    if task == "regression":
        other_model = TransformedTargetRegressor(other_model, transformer=StandardScaler())
    other_model.fit(train, y_train)
    other = time.perf_counter() - started
    return (
        _score(model.predict(held).values, y_test, task),
        _score(other_model.predict(test), y_test, task),
        own,
        other,
    )


def _score(found: Any, truth: Any, task: Task) -> float:
    if task == "classification":
        return 100 * float((found == truth).mean())
    return 100 * (1 - float(((found - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()))


def as_table(X: Any, y: Any) -> Any:
    columns = {f"x{number}": np.ascontiguousarray(X[:, number]) for number in range(X.shape[1])}
    return pa.table({**columns, "label": y})


def as_columns(X: Any, task: Task) -> list[Column]:
    kinds = ["number"] * X.shape[1] + ["integer" if task == "classification" else "number"]
    names = [*(f"x{number}" for number in range(X.shape[1])), "label"]
    return [
        Column.model_validate({"name": n, "type": k, "nulls": 0}) for n, k in zip(names, kinds, strict=True)
    ]


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
