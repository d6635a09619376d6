"""What has shifted, on data whose shift is known: found where it is, and not found where there is none."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import Model
from shared.modeling.bins import count, from_baseline, number_bins, values_of
from shared.modeling.stability import psi
from tests.support.labelled_tables import blobs, columns_of, labelled_from, line, table_of
from worker.learning import shift as subject
from worker.learning.baseline import baseline
from worker.learning.data import Labelled
from worker.learning.domain_classifier import area_under_curve, hanley_mcneil
from worker.learning.estimators import fit_model
from worker.learning.feature_shift import bins_of
from worker.learning.label_shift import saerens
from worker.learning.shift import inputs_shift, shift
from worker.learning.stability import expected_threshold, permuted_thresholds


def inputs(source: Any, target: Any, seed: int = 0) -> dict[str, Any]:
    """The shift between two matrices."""
    here, there = table_of(source), table_of(target)
    return inputs_shift(here, there, columns_of(here), None, {}, seed=seed)


def classified(X: Any, y: Any) -> Labelled:
    return labelled_from(table_of(X, y), task="classification")


def model_of(data: Labelled, kind: str = "logistic_regression") -> Model:
    return fit_model(data, EstimatorSpec(kind=kind), PreprocessingSpec(), 0)


def test_without_a_shift_hardly_anything_is_flagged():
    linear, boosting, columns = [], [], []
    for seed in range(25):
        random = np.random.RandomState(seed)
        found = inputs(random.normal(size=(300, 8)), random.normal(size=(50, 8)), seed)
        linear.append(found["domain_classifier"]["linear"]["flagged"])
        boosting.append(found["domain_classifier"]["boosting"]["flagged"])
        columns.append(any(entry["shifted"] for entry in found["features"]))
    assert sum(linear) <= 1
    assert sum(boosting) <= 1
    assert sum(columns) <= 5  # 5 % for all tests together, and 5 % for all PSI together


def test_changed_units_are_seen_by_both_classifiers_and_named():
    random = np.random.RandomState(0)
    X = random.normal(size=(300, 6))
    moved = random.normal(size=(50, 6))
    moved[:, 2] = moved[:, 2] * 1.8 + 3
    found = inputs(X, moved)
    assert found["domain_classifier"]["linear"]["flagged"]
    assert found["domain_classifier"]["boosting"]["flagged"]
    assert [entry["column"] for entry in found["features"] if entry["shifted"]] == ["x2"]
    assert found["features"][0]["ks"]["p_adjusted"] < 1e-6
    assert found["features"][0]["psi"] > found["features"][0]["psi_threshold"]


def test_a_changed_correlation_is_missed_by_the_line_and_seen_by_boosting():
    random = np.random.RandomState(1)
    X = random.normal(size=(600, 4))
    moved = random.multivariate_normal(np.zeros(2), [[1, 0.95], [0.95, 1]], size=300)
    target = np.concatenate([moved, random.normal(size=(300, 2))], axis=1)
    found = inputs(X, target)
    assert not found["domain_classifier"]["linear"]["flagged"]
    assert found["domain_classifier"]["boosting"]["flagged"]
    assert not any(entry["shifted"] for entry in found["features"]), "each column alone is as it was"


def test_too_few_rows_are_said_and_not_judged():
    found = inputs(np.random.RandomState(0).normal(size=(100, 3)), np.zeros((3, 3)))
    assert found["domain_classifier"]["flagged"] is None
    assert found["domain_classifier"]["linear"] is None
    assert "too few" in found["domain_classifier"]["reason"]


def test_the_standard_error_is_that_of_hanley_and_mcneil():
    assert hanley_mcneil(0.893, 51, 58) == pytest.approx(0.032, abs=0.001)  # the example of the paper
    both = 51 + 58 + 1
    assert hanley_mcneil(0.5, 51, 58) == pytest.approx(np.sqrt(both / (12 * 51 * 58)))
    assert hanley_mcneil(1.0, 51, 58) == 0


def test_the_area_counts_pairs_and_halves_ties():
    scores, positive = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
    assert area_under_curve(scores, positive) == (1 + 0.5 + 1 + 1) / 4


def test_psi_is_the_sum_over_bins():
    source, target = np.array([50, 50, 0]), np.array([30, 70, 0])
    p, q = 50.5 / 101, np.array([30.5, 70.5]) / 101
    assert psi(source, target) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))
    assert psi(source, source) == 0


def test_fifty_rows_of_sixty_columns_pass_the_conventional_threshold_by_chance_but_not_ours():
    largest, passed = [], 0
    for seed in range(30):
        random = np.random.RandomState(seed)
        source, target = random.normal(size=(800, 60)), random.normal(size=(50, 60))
        bins = [number_bins(source[:, column]) for column in range(60)]
        here = [kind.codes(source[:, column]) for column, kind in enumerate(bins)]
        there = [kind.codes(target[:, column]) for column, kind in enumerate(bins)]
        found = np.array(
            [
                psi(np.bincount(a, minlength=11), np.bincount(b, minlength=11))
                for a, b in zip(here, there, strict=True)
            ]
        )
        largest.append(found.max())
        passed += bool((found > permuted_thresholds(here, there, seed)).any())
    assert np.mean(np.array(largest) > 0.25) > 0.9
    assert passed <= 4


def test_the_threshold_without_rows_agrees_with_shuffling_them():
    random = np.random.RandomState(0)
    source, target = random.randint(0, 10, (400, 1)), random.randint(0, 10, (60, 1))
    shuffled = permuted_thresholds([source[:, 0]], [target[:, 0]], 0)[0]
    assert expected_threshold(10, 400, 60, 1) == pytest.approx(shuffled, rel=0.2)
    assert expected_threshold(10, 10_000, 10_000, 60) == 0.25, "the convention, where rows are many"


def test_many_categories_raise_the_threshold():
    assert expected_threshold(100, 250, 250, 1) > 0.25


def mixed_table(rows: int, seed: int, *, cities: list[str], offset: int = 0) -> pa.Table:
    random = np.random.RandomState(seed)
    days = [
        dt.date(2024, 1, 1) + dt.timedelta(days=int(day) + offset) for day in random.randint(0, 300, rows)
    ]
    return pa.table(
        {
            "city": [cities[place] for place in random.randint(0, len(cities), rows)],
            "vip": (random.rand(rows) < 0.3).tolist(),
            "since": pa.array(days),
            "age": [None if random.rand() < 0.1 else float(value) for value in random.normal(40, 10, rows)],
            "empty": pa.array([None] * rows, pa.float64()),
            "constant": [7] * rows,
            "label": random.randint(0, 2, rows),
        }
    )


def test_every_type_of_column_is_compared():
    source = labelled_from(mixed_table(400, 0, cities=["Bern", "Graz"]))
    target = labelled_from(mixed_table(120, 2, cities=["Bern", "Lyon", "Graz"], offset=400))
    found = shift(source, target, model_of(source), {}, seed=0, columns={"missing": ["empty"]})
    json.dumps(found, allow_nan=False)
    entries = {entry["column"]: entry for entry in found["features"]}
    assert set(entries) == {"city", "vip", "since", "age", "constant"}
    assert [name for name, entry in entries.items() if entry["shifted"]] == ["since", "city"]
    assert entries["city"]["chi_square"]["significant"]
    assert entries["city"]["ks"] is None
    assert entries["vip"]["chi_square"]["p_adjusted"] > 0.05
    assert entries["since"]["ks"]["statistic"] == 1.0
    assert entries["age"]["missing"]["source"] == pytest.approx(0.1, abs=0.05)
    assert entries["constant"]["psi"] == 0
    lyon = sum(city == "Lyon" for city in target.table["city"].to_pylist())
    assert found["unseen_categories"] == [{"column": "city", "values": [{"value": "Lyon", "rows": lyon}]}]
    assert found["columns"]["missing"] == ["empty"]
    assert "Lyon" in found["sentences"]["unseen_categories"]
    assert "empty" in found["advice"], "a column that is not there is what to see to first"


def test_a_constant_column_that_takes_another_value_has_shifted():
    found = inputs(np.full((100, 1), 3.0), np.full((100, 1), 4.0))
    assert found["features"][0]["shifted"]


def test_without_source_rows_the_baseline_gives_the_same_psi():
    source = labelled_from(mixed_table(400, 0, cities=["Bern", "Graz"]))
    target = labelled_from(mixed_table(250, 1, cities=["Bern", "Lyon", "Graz"], offset=400))
    model = model_of(source)
    kept = json.loads(json.dumps(baseline(source)))
    rows = shift(source, target, model, kept, seed=0, columns={"missing": ["empty"]})
    bare = shift(None, target, model, kept, seed=0, columns={"missing": ["empty"]})
    json.dumps(bare, allow_nan=False)
    indices = [{entry["column"]: entry["psi"] for entry in found["features"]} for found in (rows, bare)]
    assert indices[0] == pytest.approx(indices[1])
    assert bare["unseen_categories"] == rows["unseen_categories"]
    assert bare["label_shift"]["distance"] == pytest.approx(rows["label_shift"]["distance"])
    assert bare["domain_classifier"]["linear"] is None
    assert bare["domain_classifier"]["reason"]
    assert all(entry["ks"] is None and entry["reason"] for entry in bare["features"])
    assert bare["rows"]["source"] is None
    assert bare["rows"]["source_total"] == 400


def test_a_version_that_kept_no_bins_says_so():
    source, target = labelled_from(table_of(*blobs(90))), labelled_from(table_of(*blobs(60, seed=1)))
    found = shift(None, target, model_of(source), {"rows": 90, "columns": {}}, seed=0, columns={})
    assert {entry["shifted"] for entry in found["features"]} == {None}
    assert all(entry["reason"] for entry in found["features"])
    assert found["label_shift"]["shifted"] is None


def test_numbers_with_few_values_are_counted_value_by_value():
    values = np.array([0.0, 0.0, 1.0, 2.0, np.nan])
    bins = number_bins(values)
    assert count(bins, values).tolist() == [2, 1, 1, 0, 1]
    assert count(bins, np.array([0.5, 2.0])).tolist() == [0, 0, 1, 1, 0]


def test_deciles_hold_equal_shares_and_survive_json():
    values = np.random.RandomState(0).normal(size=1000)
    table = table_of(values[:, None], np.arange(1000) % 2)
    kept = json.loads(json.dumps(baseline(labelled_from(table))))["columns"]["x0"]
    held = from_baseline(kept, 1000)
    assert held is not None
    assert held.counts.tolist() == [100] * 10 + [0]
    item = columns_of(table)[0]
    cells = values_of(table, item)
    assert count(held.bins, cells).tolist() == count(bins_of(cells, item), cells).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_moved_label_shares_are_recovered_without_labels(seed):
    random = np.random.RandomState(seed)
    means = np.array([-1.0, 1.0])
    y = (random.rand(2000) < 0.85).astype(int)
    x = random.normal(means[y], 1.0)
    densities = np.exp(-0.5 * (x[:, None] - means[None, :]) ** 2)
    posterior = densities / densities.sum(axis=1, keepdims=True)  # of a source with equal shares
    assert abs(posterior.mean(axis=0)[1] - 0.85) > 0.08, "the plain average is off"
    assert saerens(posterior, np.array([0.5, 0.5]))[1] == pytest.approx(0.85, abs=0.03)


def test_label_shift_is_counted_tested_and_guessed():
    X, y = blobs(600, spread=3.0)
    source = classified(X, y)
    X, y = blobs(600, seed=3, spread=3.0)
    kept = np.flatnonzero((y != 2) | (np.arange(600) % 5 == 0))
    target = classified(X[kept], y[kept])
    found = shift(source, target, model_of(source), {}, seed=0, columns={})["label_shift"]
    shares = {item["label"]: item for item in found["labels"]}
    assert shares[2]["source"] == pytest.approx(1 / 3, abs=0.01)
    assert shares[2]["target"] == pytest.approx((y[kept] == 2).mean())
    assert found["shifted"]
    assert found["p_value"] < 0.01
    assert shares[2]["estimated"] == pytest.approx(shares[2]["target"], abs=0.06)
    assert found["estimate_distance"] < 0.1


def test_equal_label_shares_are_not_flagged_and_new_labels_are_counted():
    X, y = blobs(300, classes=4)
    source = classified(X[y < 3], y[y < 3])
    found = shift(source, classified(X, y), model_of(source), {}, seed=0, columns={})["label_shift"]
    assert [item["label"] for item in found["labels"]] == [0, 1, 2, 3]
    assert found["labels"][3] | {"estimated": None} == {
        "label": 3,
        "source": 0.0,
        "target": 0.25,
        "estimated": None,
    }
    again = shift(source, source, model_of(source), {}, seed=0, columns={})["label_shift"]
    assert not again["shifted"]


def test_amounts_are_compared_with_and_without_source_rows():
    source, target = (
        labelled_from(table_of(*line(300))),
        labelled_from(table_of(*line(200, seed=2, shift=90))),
    )
    for rows in (source, None):
        found = shift(
            rows, target, model_of(source, "linear_regression"), baseline(source), seed=0, columns={}
        )
        json.dumps(found, allow_nan=False)
        labels = found["label_shift"]
        assert labels["shifted"]
        assert labels["target"]["mean"] - labels["source"]["mean"] == pytest.approx(90, abs=25)
        assert "average" in found["sentences"]["label_shift"]


def test_a_changed_concept_shows_in_the_sources_loss_alone():
    random = np.random.RandomState(0)
    X, moved = random.normal(size=(400, 3)), random.normal(size=(200, 3))
    source, target = (
        classified(X, (X[:, 0] > 0).astype(int)),
        classified(moved, (moved[:, 0] < 0).astype(int)),
    )
    found = shift(source, target, model_of(source), {}, seed=0, columns={}, source_metrics={"accuracy": 0.98})
    assert not found["domain_classifier"]["flagged"]
    assert not any(entry["shifted"] for entry in found["features"])
    assert found["source_loss"]["on_target"] < 0.1
    assert found["source_loss"]["loss"]["on_target"] > 1
    assert "other answers" in found["advice"]


def test_many_rows_are_sampled_and_that_is_said():
    random = np.random.RandomState(0)
    source = classified(random.normal(size=(20_000, 2)), random.randint(0, 2, 20_000))
    target = classified(random.normal(size=(7_000, 2)), random.randint(0, 2, 7_000))
    found = shift(source, target, model_of(source), {}, seed=0, columns={})
    assert found["rows"] == {
        "source": subject.MAX_ROWS,
        "target": subject.MAX_ROWS,
        "source_total": 20_000,
        "target_total": 7_000,
        "sampled": True,
    }
    assert found["features"][0]["psi_threshold"] == 0.25
    assert shift(source, target, model_of(source), {}, seed=0, columns={}) == found, (
        "the same seed, the same rows"
    )
