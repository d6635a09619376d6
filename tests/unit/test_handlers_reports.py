"""Jobs that make a report and no version: evaluate, shift_report and rank_sources."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import InvalidInput
from tests.support.attempts import Recorder, attempt, model_of, train_spec, trained
from tests.support.labelled_tables import blobs, line, parquet_files, table_of


def evaluated(folder, model, table, context=None, **fields):
    spec = {"type": "evaluate", "model": "churn:3", "target": None, **fields}
    return attempt(
        folder, spec, {"dataset": parquet_files(folder / "in", table)}, {"churn:3": model}, context
    )


def shifted(folder, table, *, model=None, source=None, context=None, **fields):
    spec = {
        "type": "shift_report",
        "model": "churn:3" if model else None,
        "target": None,
        "seed": 1,
        **fields,
    }
    tables = {"dataset": parquet_files(folder / "in", table)}
    if source is not None:
        tables["source"] = parquet_files(folder / "source", source)
    outcome = attempt(folder, spec, tables, {"churn:3": model} if model else {}, context)
    json.dumps(outcome.result, allow_nan=False)
    return outcome.result["report"]


def ranked(folder, models, table, context=None, **fields):
    spec = {
        "type": "rank_sources",
        "dataset": "ds_target",
        "target": "label",
        "task": "auto",
        "limit": 2,
        "seed": 1,
        **fields,
    }
    files = {ref: model_of(made, *ref.split(":"), dataset=dataset) for ref, (made, dataset) in models.items()}
    outcome = attempt(folder, spec, {"dataset": parquet_files(folder / "in", table)}, files, context)
    json.dumps(outcome.result, allow_nan=False)
    return outcome.result["report"]


def moved_in_x1(X, distance):
    return X + distance * (np.arange(5) == 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("source"), table_of(*blobs(150)))


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression")
    return trained(folder, table_of(*line(150)), kind="linear_regression")


# evaluate


def test_evaluating_measures_the_model_on_every_row_and_makes_nothing(tmp_path, source):
    outcome = evaluated(tmp_path, model_of(source), table_of(*blobs(90, seed=5)))
    assert outcome.artifact is None
    assert outcome.version is None
    metrics, report = outcome.result["metrics"], outcome.result["report"]
    assert metrics["n_test"] == report["n_test"] == 90
    assert metrics["accuracy"] > 0.9 > report["majority"]["accuracy"]
    assert np.array(metrics["confusion_matrix"]).sum() == 90
    assert sum(item["rows"] for item in report["calibration"]["bins"]) == 90
    assert 0 <= report["calibration"]["expected_calibration_error"] < 0.2


def test_a_model_that_is_sure_of_what_is_wrong_is_badly_calibrated(tmp_path, source):
    X, y = blobs(90, seed=5)
    report = evaluated(tmp_path, model_of(source), table_of(X, (y + 1) % 3)).result["report"]
    assert report["calibration"]["expected_calibration_error"] > 0.8


def test_evaluating_takes_other_names_for_target_columns_and_labels(tmp_path, source):
    X, y = blobs(60, seed=5)
    table = table_of(X).rename_columns(["a", "x1", "x2", "x3", "x4"])
    table = table.append_column("kind", pa.array([("zero", "one", "two")[code] for code in y]))
    maps = {"column_map": {"a": "x0"}, "label_map": {"zero": 0, "one": 1, "two": 2}}
    outcome = evaluated(tmp_path, model_of(source), table, target="kind", **maps)
    assert outcome.result["metrics"]["accuracy"] > 0.9
    assert outcome.result["report"]["columns"]["mapped"] == {"a": "x0"}
    assert outcome.result["report"]["labels"]["renamed"] == maps["label_map"]


def test_a_dataset_of_one_class_and_of_labels_unknown_to_the_model_can_be_evaluated(tmp_path, source):
    X, _ = blobs(30, seed=5)
    outcome = evaluated(tmp_path, model_of(source), table_of(X, np.full(30, 7)))
    assert outcome.result["metrics"]["accuracy"] == 0
    assert outcome.result["report"]["labels"]["new"] == [7]


def test_a_regression_is_evaluated_without_calibration(tmp_path, regression):
    outcome = evaluated(tmp_path, model_of(regression), table_of(*line(60, seed=3)))
    assert outcome.result["metrics"]["r2"] > 0.9
    assert outcome.result["report"]["calibration"] is None


# shift_report


def test_the_same_distribution_is_not_flagged_and_a_moved_one_is(tmp_path, source):
    X, y = blobs(200, seed=5)
    model = model_of(source, made_by=train_spec())
    plain = table_of(*blobs(150))
    same = shifted(tmp_path / "same", table_of(X, y), model=model, source=plain, target="label")
    moved = shifted(
        tmp_path / "moved", table_of(moved_in_x1(X, 4), y), model=model, source=plain, target="label"
    )
    assert same["domain_classifier"]["flagged"] is False
    assert moved["domain_classifier"]["flagged"] is True
    found = {item["column"] for item in moved["features"] if item["shifted"]}
    assert found == {"x1"}
    assert moved["source_rows"]["train"] == {"rows": 120, "of": 120}
    assert moved["source_loss"]["on_target"] < same["source_loss"]["on_target"]
    assert moved["sentence"]
    assert moved["advice"]


def test_without_the_sources_rows_its_statistics_must_do(tmp_path, source):
    X, y = blobs(200, seed=5)
    report = shifted(tmp_path, table_of(moved_in_x1(X, 40), y), model=model_of(source), target="label")
    assert report["domain_classifier"]["flagged"] is None
    assert "gone" in report["source_rows"]["reason"]
    assert "x1" in {item["column"] for item in report["features"] if item["shifted"]}


def test_inputs_alone_can_be_compared_with_a_model(tmp_path, source):
    X, _ = blobs(200, seed=5)
    model = model_of(source, made_by=train_spec())
    table = table_of(moved_in_x1(X, 4)).rename_columns(["a", "x1", "x2", "x3", "x4"])
    report = shifted(tmp_path, table, model=model, source=table_of(*blobs(150)), column_map={"a": "x0"})
    assert report["label_shift"]["shifted"] is None
    assert report["source_loss"] is None
    assert report["domain_classifier"]["flagged"] is True
    assert report["columns"]["missing"] == []


def test_two_tables_are_compared_without_a_model(tmp_path):
    X, y = blobs(300)
    there = table_of(moved_in_x1(X, 4)).append_column("more", pa.array(np.arange(300)))
    report = shifted(tmp_path / "inputs", there.drop_columns(["x4"]), source=table_of(X))
    assert report["domain_classifier"]["flagged"] is True
    assert report["columns"] == {"missing": ["x4"], "extra": ["more"], "mistyped": []}
    assert report["source_loss"] is None
    rare = np.flatnonzero((y > 0) | (np.arange(300) % 30 == 0))
    labels = shifted(
        tmp_path / "labels",
        table_of(X[rare], np.array(["zero", "one", "two"])[y[rare]]),
        source=table_of(X, y),
        target="label",
        label_map={"zero": 0, "one": 1, "two": 2},
    )
    shares = {item["label"]: item["target"] for item in labels["label_shift"]["labels"]}
    assert labels["label_shift"]["shifted"] is True
    assert shares[0] == pytest.approx(10 / 210)


def test_two_tables_of_any_size_are_compared_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("worker.handlers.shift_report"), "MAX_ROWS", 100)
    X, y = blobs(300)
    report = shifted(tmp_path, table_of(X, y), source=table_of(X, y), target="label")
    assert report["source_rows"]["train"] == {"rows": 100, "of": 300}
    assert report["rows"]["target"] == 100


def test_a_table_without_any_of_the_models_columns_is_refused(tmp_path, source):
    with pytest.raises(InvalidInput) as caught:
        shifted(tmp_path, pa.table({"y": [1.0, 2.0]}), model=model_of(source))
    assert caught.value.code == "no_shared_columns"


# rank_sources


@pytest.fixture(scope="module")
def models(tmp_path_factory, source, regression):
    """near: the target's own task; far: other centres; odd: other columns."""
    folder = tmp_path_factory.mktemp("models")
    X, y = blobs(150)
    far = trained(folder / "far", table_of(-X, y))
    names = ["a", "b", "c", "d", "e", "label"]
    odd = trained(folder / "odd", table_of(X, y).rename_columns(names))
    return {
        "far:1": (far, "ds_far"),
        "near:1": (source, "ds_near"),
        "odd:1": (odd, "ds_odd"),
        "amount:1": (regression, "ds_amount"),
    }


def test_models_are_ranked_by_how_well_they_transfer_and_others_left_out_with_a_reason(tmp_path, models):
    context = Recorder()
    report = ranked(tmp_path, models, table_of(*blobs(40, seed=5)), context)
    first, second = report["ranking"]
    assert (first["model"]["name"], second["model"]["name"]) == ("near", "far")
    assert [first["rank"], second["rank"]] == [1, 2]
    assert first["own"]["score"] > 0.9 > second["own"]["score"]
    assert first["fine_tuned"]["score"] >= second["fine_tuned"]["score"]
    assert first["behind"] is None
    assert second["behind"]["low"] <= second["behind"]["value"] <= second["behind"]["high"]
    assert "near:1" in report["sentence"]
    reasons = {item["model"]: item["reason"] for item in report["left_out"]}
    assert set(reasons) == {"odd:1", "amount:1"}
    assert "columns" in reasons["odd:1"]
    assert "regression" in reasons["amount:1"]
    assert report["n_test"] == 40
    done = [completed for phase, completed, _, _, _ in context.steps if phase == "comparing"]
    assert done == sorted(done)


def test_only_so_many_are_fine_tuned_the_best_of_the_screening(tmp_path, models):
    report = ranked(tmp_path, models, table_of(*blobs(40, seed=5)), limit=1)
    assert [item["fine_tuned"] is not None for item in report["ranking"]] == [True, False]
    assert report["ranking"][0]["model"]["name"] == "near"
    assert "not fine-tuned" in report["ranking"][1]["sentence"]


def test_a_model_that_was_trained_on_the_very_dataset_is_no_judge_of_itself(tmp_path, models):
    report = ranked(tmp_path, models, table_of(*blobs(40, seed=5)), dataset="ds_near")
    assert [item["model"]["name"] for item in report["ranking"]] == ["far"]
    reasons = {item["model"]: item["reason"] for item in report["left_out"]}
    assert "trained on this very dataset" in reasons["near:1"]


def test_amounts_are_ranked_in_r2(tmp_path, models, regression):
    report = ranked(tmp_path, models, table_of(*line(40, seed=3, shift=30)))
    assert report["metric"] == "r2"
    assert [item["model"]["name"] for item in report["ranking"]] == ["amount"]


def test_of_many_target_rows_a_sample_is_compared(tmp_path, models, monkeypatch):
    monkeypatch.setattr(import_module("worker.handlers.rank_sources"), "MAX_ROWS", 60)
    report = ranked(tmp_path, models, table_of(*blobs(90, seed=5)), limit=1)
    assert report["rows"] == {"used": 60, "of": 90}


def test_where_no_model_fits_the_error_says_why_of_each(tmp_path, models):
    table = table_of(*blobs(40, seed=5))
    with pytest.raises(InvalidInput, match="odd:1: the dataset has 0 of its 5 columns") as caught:
        ranked(tmp_path, {name: models[name] for name in ("odd:1", "amount:1")}, table, task="classification")
    assert caught.value.code == "no_fitting_model"


def test_the_same_ranking_comes_out_again(tmp_path, models):
    table = table_of(*blobs(30, seed=5))
    assert ranked(tmp_path / "one", models, table) == ranked(tmp_path / "two", models, table)
