"""The fast paths beside `Model.predict`: equal labels and amounts, probabilities within 1e-5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.modeling import Model, Prediction, predictor
from shared.modeling.boosting import _below, boosting
from shared.modeling.columns import column_type
from shared.modeling.composite import Stack, blended, composite
from shared.modeling.network import Layer
from worker.learning.data import Labelled, labelled
from worker.learning.estimators import fit_model

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"kind": "logistic_regression"},
    "hinge": {"kind": "svm", "epochs": 5},
    "network": {"kind": "neural_network", "hidden_layers": [16, 8], "epochs": 5},
    "kernel": {"kind": "svm", "kernel": "rbf", "epochs": 5},
    "boosting": {"kind": "gradient_boosting", "n_estimators": 20},
    "forest": {"kind": "random_forest", "n_estimators": 5},
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "linear": {"kind": "linear_regression"},
    "network": {"kind": "neural_network", "hidden_layers": [16], "epochs": 5},
    "boosting": {"kind": "gradient_boosting", "n_estimators": 20},
}
ROWS = 3_000


def table(
    seed: int, rows: int = ROWS, *, offset: float = 0.0, spread: float = 1.0, gaps: float = 0.0
) -> pa.Table:
    """Every column type; `offset` and `spread` move the numbers, `gaps` is the share of missing ones."""
    random = np.random.default_rng(seed)
    base = random.standard_normal((4, rows))
    values = base * spread + offset
    absent = random.random((4, rows)) < gaps
    columns: dict[str, Any] = {
        "a": pa.array(values[0], mask=absent[0]),
        "b": pa.array(values[1].astype(np.float32), mask=absent[1]),
        "c": pa.array(np.where(absent[2], np.nan, values[2])),
        "n": pa.array(np.round(values[3]).clip(-(2.0**62), 2.0**62).astype(np.int64), mask=absent[3]),
        "flag": pa.array(random.random(rows) < 0.4, mask=absent[0]),
        "word": pa.array(random.choice(["x", "y", "z"], rows), mask=absent[1]),
        "day": pa.array(random.integers(0, 20_000, rows).astype("datetime64[D]"), mask=absent[2]),
    }
    score = base[0] + 0.5 * base[1] - np.abs(base[2])
    return pa.table({**columns, "label": np.digitize(score, [-0.8, 0.3]), "amount": score * 7 + 100})


def fitted(
    estimator: dict[str, Any], trained_on: pa.Table, target: str = "label", numeric: str = "standardize"
) -> Model:
    features = [name for name in trained_on.column_names if name not in ("label", "amount")]
    preprocessing = PreprocessingSpec(numeric=numeric)
    return fit_model(data(trained_on, target, features), EstimatorSpec(**estimator), preprocessing, 0)


def data(rows: pa.Table, target: str, features: list[str]) -> Labelled:
    columns = [Column(name=f.name, type=column_type(f.type) or "string", nulls=0) for f in rows.schema]
    task = "classification" if target == "label" else "regression"
    return labelled(rows, columns, target, features, task, lambda _: None)


def same(fast: Prediction, slow: Prediction) -> None:
    assert fast.probabilities is not None
    assert slow.probabilities is not None
    assert np.abs(fast.probabilities - slow.probabilities).max() < 1e-5
    ranked = np.sort(slow.probabilities, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-5
    assert (fast.values[clear] == slow.values[clear]).all()
    assert clear.any()


@pytest.mark.parametrize("numeric", ["standardize", "minmax", "normalize", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_and_scaling_predicts_as_the_model_does(kind: str, numeric: str) -> None:
    model = fitted(KINDS[kind], table(0, gaps=0.02), numeric=numeric)
    rows = table(1, gaps=0.1)
    same(predictor(model, probabilities=True)(rows), model.predict(rows))


@pytest.mark.parametrize("kind", REGRESSORS)
def test_amounts_are_the_model_s(kind: str) -> None:
    model = fitted(REGRESSORS[kind], table(0), "amount")
    rows = table(1, gaps=0.1)
    found = predictor(model, probabilities=False)(rows).values
    assert found == pytest.approx(model.predict(rows).values, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("target", ["label", "amount"])
def test_blends_and_stacks_predict_as_the_model_does(target: str) -> None:
    kinds = KINDS if target == "label" else REGRESSORS
    members = [fitted(kinds[kind], table(0), target) for kind in ("linear", "network", "boosting")]
    classes = members[0].classes
    blend = blended(members[0], [(member, 1.0, 1.3) for member in members], classes)
    width = len(classes) or 1
    random = np.random.default_rng(0)
    head = Layer(random.standard_normal((width, width)).astype(np.float32), np.zeros(width, np.float32))
    rows = table(1, gaps=0.1)
    for base in (*members, blend):
        stack = composite(base, Stack(base, head, len(classes)), classes)
        for model in (blend, stack):
            fast, slow = predictor(model, probabilities=True)(rows), model.predict(rows)
            if target == "label":
                same(fast, slow)
            else:
                assert fast.values == pytest.approx(slow.values, rel=1e-5, abs=1e-4)


@settings(max_examples=15)
@given(
    offset=st.sampled_from([0.0, -3.0, 1e3, 1.7e9, -1e12]),
    spread=st.sampled_from([1e-3, 1.0, 50.0, 1e6]),
    gaps=st.sampled_from([0.0, 0.2, 1.0]),
    kind=st.sampled_from(["linear", "network"]),
    seed=st.integers(0, 1000),
)
def test_folding_the_scaler_moves_no_probability_by_1e_5(
    offset: float, spread: float, gaps: float, kind: str, seed: int
) -> None:
    where = {"offset": offset, "spread": spread}
    model = fitted(KINDS[kind], table(seed, 300, **where))
    rows = table(seed + 1, 300, **where, gaps=gaps)
    slow = model.predict(rows)
    fast = predictor(model, probabilities=True)(rows)
    assert fast.probabilities is not None
    assert slow.probabilities is not None
    assert np.abs(fast.probabilities - slow.probabilities).max() < 1e-5


def test_boosting_sums_up_what_scikit_learn_does_to_the_last_bit() -> None:
    model = fitted(KINDS["boosting"], table(0))
    trees = boosting(model.estimator)
    assert trees is not None
    X = model.encoder.transform(table(1))
    assert (trees.raw(np.ascontiguousarray(X.T)) == model.estimator._raw_predict(X)).all()


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, width=32))
def test_a_threshold_in_float32_parts_the_same_numbers(threshold: float, value: float) -> None:
    assert (np.float32(value) <= _below(threshold)) == (value <= threshold)


def test_a_number_beyond_float32_is_scored_as_the_model_does() -> None:
    model = fitted(KINDS["linear"], table(0, 300, spread=1e14))
    rows = table(1, 10, spread=1e14).set_column(0, "a", pa.array([1e39] + [0.0] * 9))
    fast, slow = predictor(model, probabilities=True)(rows), model.predict(rows)
    assert fast.probabilities is not None
    assert np.isfinite(fast.probabilities).all()
    assert (fast.values == slow.values).all()


def test_missing_cells_are_refused_where_the_model_refuses_them() -> None:
    rows = data(table(0, 300), "label", ["a", "word"])
    model = fit_model(rows, EstimatorSpec(kind="logistic_regression"), PreprocessingSpec(missing="fail"), 0)
    for name in ("a", "word"):
        rows = table(1, 10)
        rows = rows.set_column(rows.column_names.index(name), name, pa.nulls(10, rows[name].type))
        with pytest.raises(InvalidInput, match=f"'{name}' has 10 missing values"):
            predictor(model, probabilities=True)(rows)
