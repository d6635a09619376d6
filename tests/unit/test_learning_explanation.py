"""What models go by and what they forget, on data where it is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import Model
from tests.support.labelled_tables import blobs, columns_of, labelled_from, line, table_of
from worker.learning import explanation, forgetting
from worker.learning.data import Labelled
from worker.learning.estimators import fit_model
from worker.learning.explanation import explain


def model_of(data: Labelled, kind: str = "logistic_regression") -> Model:
    return fit_model(data, EstimatorSpec(kind=kind), PreprocessingSpec(), 0)


def decided_by(column: int, rows: int = 400, seed: int = 0, columns: int = 5) -> Labelled:
    """Labels that one column alone decides."""
    X = np.random.RandomState(seed).normal(size=(rows, columns))
    return labelled_from(table_of(X, (X[:, column] > 0).astype(int)))


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {item["column"]: item for item in found["features"]}


def test_the_column_that_decides_comes_first_and_the_others_tie_at_nothing():
    data = decided_by(3)
    model = model_of(data)
    found = explain(model, model, decided_by(3, seed=1), seed=0)
    json.dumps(found, allow_nan=False)
    first, *others = found["features"]
    assert first["column"] == "x3"
    assert first["fine_tuned"]["importance"] > 0.3
    assert (first["fine_tuned"]["rank"], first["fine_tuned"]["matters"]) == (1, True)
    assert {item["fine_tuned"]["rank"] for item in others} == {2}, "ties share a rank"
    assert all(abs(item["fine_tuned"]["importance"]) < 0.02 for item in others)
    assert "x3" in found["sentence"]


def test_the_difference_shows_which_column_took_over():
    before, after = model_of(decided_by(0)), model_of(decided_by(1, seed=1))
    found = by_name(explain(before, after, decided_by(1, seed=2), seed=0))
    assert found["x1"]["changed"]
    assert found["x1"]["difference"]["value"] > 0.3
    assert not found["x4"]["changed"]
    assert found["x0"]["fine_tuned"]["importance"] < 0.05
    assert found["x1"]["fine_tuned"]["rank"] == 1


def test_a_model_differs_in_nothing_from_itself():
    model = model_of(decided_by(0))
    found = explain(model, model, decided_by(0, seed=4), seed=0)
    assert not any(item["changed"] for item in found["features"])
    assert {item["difference"]["value"] for item in found["features"]} == {0.0}
    assert "same" in found["sentence"]


def test_shuffling_loses_as_much_as_predicting_the_shuffled_rows_one_by_one():
    data = decided_by(2, rows=60)
    model = model_of(data)
    shuffles = np.array([np.random.RandomState(n).permutation(60) for n in range(2)])
    found = explanation._losses(model, data, ["x2", "x4"], shuffles)
    y = data.y
    whole = model.predict(data.table).probabilities[np.arange(60), y]
    for place, name in enumerate(["x2", "x4"]):
        for repeat, order in enumerate(shuffles):
            values = data.table[name].to_numpy()[order]
            table = data.table.set_column(data.table.schema.names.index(name), name, [values])
            expected = whole - model.predict(table).probabilities[np.arange(60), y]
            assert found[place, repeat] == pytest.approx(expected)


def test_the_importance_of_amounts_is_the_variance_that_is_lost():
    X, y = line(400)
    model = model_of(labelled_from(table_of(X, y)), "linear_regression")
    found = by_name(explain(model, model, labelled_from(table_of(*line(400, seed=2))), seed=0))
    share = (
        2 * 40**2 * np.array([1.0, 4.0, 0.25, 0.0, 1.0]) / y.var()
    )  # E[(w x - w x')²] of an independent x'
    for place, expected in enumerate(share):
        assert found[f"x{place}"]["source"]["importance"] == pytest.approx(expected, rel=0.25, abs=0.01)


@pytest.mark.parametrize("kind", ["neural_network", "random_forest", "gradient_boosting", "svm"])
def test_every_family_can_be_explained(kind):
    data = labelled_from(table_of(*blobs(120)))
    found = explain(model_of(data), model_of(data, kind), labelled_from(table_of(*blobs(60, seed=3))), seed=0)
    assert found["rows"] == 60
    assert max(item["fine_tuned"]["importance"] for item in found["features"]) > 0.02


def test_many_rows_are_sampled_and_that_is_said():
    data = decided_by(0, rows=20_000)
    model = model_of(decided_by(0))
    found = explain(model, model, data, seed=0)
    assert found["rows"] * 5 * explanation.REPEATS <= explanation.MAX_PREDICTED
    assert found["sampled_from"] == 20_000
    assert explain(model, model, data, seed=0) == found


def test_few_rows_make_ties_not_winners():
    data = decided_by(0, rows=400)
    model = model_of(data, "neural_network")
    spread = [
        by_name(explain(model, model, decided_by(0, rows=rows, seed=9), seed=0))["x0"]["source"]["spread"]
        for rows in (12, 300)
    ]
    assert spread[0] > 2 * spread[1]


def test_a_model_that_knows_fewer_labels_and_columns_is_explained_too():
    X, y = blobs(120)
    data = labelled_from(table_of(X, y))
    few = model_of(labelled_from(table_of(X[y < 2][:, :3], y[y < 2])))
    found = by_name(explain(few, model_of(data), data, seed=0))
    assert found["x4"]["source"]["importance"] == 0
    assert found["x4"]["source"]["matters"] is False


def test_what_is_forgotten_is_measured_on_source_rows_with_an_interval():
    source = model_of(decided_by(0))
    turned = model_of(decided_by(1, seed=1))
    found = forgetting.forgetting(source, turned, decided_by(0, rows=300, seed=2))
    assert found is not None
    json.dumps(found, allow_nan=False)
    assert found["before"] > 0.95
    assert found["after"] < 0.65
    assert found["change"] == pytest.approx(found["after"] - found["before"])
    assert found["low"] <= found["change"] <= found["high"] < 0
    assert "forgotten" in found["sentence"]
    assert found["metrics"]["after"]["n_test"] == 300


def test_nothing_is_forgotten_by_the_source_itself_and_nothing_is_said_without_rows():
    source = model_of(decided_by(0))
    found = forgetting.forgetting(source, replace(source, target="other"), decided_by(0, rows=50, seed=2))
    assert found is not None
    assert (found["change"], found["low"], found["high"]) == (0, 0, 0)
    assert "nothing is known to be forgotten" in found["sentence"]
    assert forgetting.forgetting(source, source, None) is None


def test_forgetting_of_amounts_is_told_in_r2():
    source = model_of(labelled_from(table_of(*line(200))), "linear_regression")
    other = model_of(labelled_from(table_of(*line(200, shift=300))), "linear_regression")
    found = forgetting.forgetting(source, other, labelled_from(table_of(*line(150, seed=5))))
    assert found is not None
    assert found["metric"] == "r2"
    assert found["high"] < 0
    assert found["change"] == pytest.approx(found["after"] - found["before"])


def test_columns_of_text_are_shuffled_as_they_are():
    random = np.random.RandomState(0)
    city = random.choice(["Bern", "Graz", "Lyon"], 300)
    table = table_of(random.normal(size=(300, 1)), (city == "Lyon").astype(int)).append_column("city", [city])
    data = labelled_from(table)
    assert {item.type for item in columns_of(table)} == {"number", "integer", "string"}
    model = model_of(data)
    assert explain(model, model, data, seed=0)["features"][0]["column"] == "city"
