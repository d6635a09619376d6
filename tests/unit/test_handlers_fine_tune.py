"""The fine_tune handler: how it measures, what it publishes, what it does with names and with the source's rows."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import InvalidInput
from shared.modeling import load
from tests.support.attempts import Recorder, fine_tune_spec, model_of, train_spec, trained, tuned
from tests.support.labelled_tables import blobs, line, parquet_files, table_of
from worker.handlers import source_table
from worker.handlers.source_table import source_rows


def named(X, y, words=("cat", "dog", "owl")):
    table = table_of(X)
    return table.append_column("label", pa.array([words[code] for code in y]))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("source"), named(*blobs(150)))


# How it is measured


@pytest.mark.parametrize(
    ("rows", "method", "refit", "expected", "scored"),
    [
        (199, "auto", True, "cross_validation", 199),
        (200, "auto", True, "holdout", 40),
        (60, "auto", False, "holdout", 12),
        (60, "holdout", True, "holdout", 12),
        (260, "cross_validation", True, "cross_validation", 260),
    ],
)
def test_auto_cross_validates_few_rows_and_holds_out_of_many(
    tmp_path, source, rows, method, refit, expected, scored
):
    evaluation = {"method": method, "test_fraction": 0.2, "stratify": True}
    table = named(*blobs(rows, seed=5))
    outcome = tuned(tmp_path, source, table, strategy="l2_sp", evaluation=evaluation, refit=refit)
    report = outcome.result["report"]
    assert report["evaluation"]["method"] == expected
    assert report["evaluation"]["folds"] == (5 if expected == "cross_validation" else None)
    assert report["evaluation"]["refitted"] is refit
    sampling = report["sampling"]
    assert sampling["target_rows"] == sampling["head_rows"] == sampling["compared_rows"] == table.num_rows
    for name in ("source_only", "scratch", "fine_tuned", "majority"):
        assert report[name]["n_test"] == scored
        assert sum(map(sum, report[name]["confusion_matrix"])) == scored
    assert outcome.version["n_train"] == (rows if refit else rows - scored)
    assert outcome.version["n_test"] == scored


def test_what_is_published_is_fitted_on_all_rows_unless_told_otherwise(tmp_path, source):
    table = named(*blobs(60, seed=5))
    fields = {"strategy": "scratch", "evaluation": {"method": "holdout"}}
    whole = tuned(tmp_path / "whole", source, table, **fields)
    measured = tuned(tmp_path / "measured", source, table, refit=False, **fields)
    rows = [load(outcome.artifact.read_bytes()).encoder.rows for outcome in (whole, measured)]
    assert rows == [60, 48]
    assert whole.result["metrics"] == measured.result["metrics"]


def test_no_row_is_scored_by_a_model_that_has_seen_it(tmp_path, source):
    """Random labels: whoever has seen a row knows its label, whoever has not is right half of the time."""
    random = np.random.RandomState(1)
    X = random.normal(size=(120, 5)) * 5
    table = named(X, random.randint(0, 2, 120))
    report = tuned(tmp_path, source, table, strategy="scratch").result["report"]
    assert report["scratch"]["accuracy"] < 0.68
    assert report["fine_tuned"]["accuracy"] < 0.68


@pytest.mark.parametrize("kind", ["logistic_regression", "random_forest"])
def test_classes_with_fewer_rows_than_folds_are_scored_like_any_other(tmp_path, kind):
    source = trained(tmp_path / "source", named(*blobs(90)), kind=kind)
    X, y = blobs(30, seed=5)
    keep = np.flatnonzero((y < 2) | (np.arange(30) == 2))
    report = tuned(tmp_path / "target", source, named(X[keep], y[keep]), strategy="scratch").result["report"]
    assert report["n_test"] == len(keep) == 21
    assert report["fine_tuned"]["classes"] == ["cat", "dog", "owl"]


@pytest.mark.parametrize("rows", [3, 5])
def test_a_few_rows_work_with_one_of_a_class(tmp_path, source, rows):
    X, y = blobs(rows, seed=5)
    y = np.array([0, 0, 0, 0, 0])[:rows]
    y[-1] = 1
    outcome = tuned(tmp_path, source, named(X, y))
    json.dumps([outcome.result, outcome.version], allow_nan=False)
    assert outcome.result["report"]["n_test"] == rows
    assert outcome.result["report"]["verdict"] == "neutral"


def test_two_rows_are_too_few(tmp_path, source):
    with pytest.raises(InvalidInput) as caught:
        tuned(tmp_path, source, named(*blobs(2, seed=5)))
    assert caught.value.code == "too_few_rows"


def test_regression_is_cross_validated_too(tmp_path):
    source = trained(tmp_path / "source", table_of(*line(150)), kind="linear_regression")
    outcome = tuned(tmp_path / "target", source, table_of(*line(40, seed=3, shift=80)))
    report = outcome.result["report"]
    assert report["evaluation"]["method"] == "cross_validation"
    assert report["fine_tuned"]["n_test"] == 40
    assert report["fine_tuned"]["r2"] > report["source_only"]["r2"]
    assert report["gain"]["low"] <= report["gain"]["value"] <= report["gain"]["high"]


def test_progress_counts_the_fits_of_all_folds_and_only_goes_up(tmp_path, source):
    context = Recorder()
    tuned(tmp_path, source, named(*blobs(40, seed=5)), context)
    steps = [step for step in context.steps if step[0] == "comparing"]
    done = [completed / total for _, completed, total, _, _ in steps]
    assert done == sorted(done)
    assert done[-1] == 1
    assert len({round(share, 3) for share in done}) > 5
    assert context.phases().index("refitting") > context.phases().index("comparing")


def test_the_same_job_gives_the_same_report_and_the_same_bytes(tmp_path, source):
    table = named(*blobs(40, seed=5))
    first, second = (tuned(tmp_path / name, source, table) for name in ("one", "two"))
    assert first.result == second.result
    assert first.artifact.read_bytes() == second.artifact.read_bytes()


# What things are called


def test_labels_are_renamed_and_the_report_says_so(tmp_path, source):
    X, y = blobs(60, seed=5)
    german = named(X, y, ("Katze", "Hund", "owl"))
    mapped = {"Katze": "cat", "Hund": "dog"}
    outcome = tuned(tmp_path / "mapped", source, german, label_map=mapped)
    report = outcome.result["report"]
    assert report["labels"] == {"new": [], "absent": [], "renamed": mapped}
    assert report["source_only"]["accuracy"] > 0.9
    assert set(load(outcome.artifact.read_bytes()).classes) == {"cat", "dog", "owl"}
    straight = tuned(tmp_path / "straight", source, named(X, y)).result["report"]
    assert report["fine_tuned"] == straight["fine_tuned"], "what labels are called changes nothing"
    unmapped = tuned(tmp_path / "unmapped", source, german).result["report"]
    assert unmapped["labels"]["new"] == ["Hund", "Katze"]
    assert unmapped["source_only"]["accuracy"] < 0.5


def test_a_target_that_shares_no_label_is_told_to_map_them_and_not_that_it_gained(tmp_path):
    source_files = parquet_files(tmp_path / "source", named(*blobs(150)))
    source = trained(tmp_path / "trained", named(*blobs(150)))
    context = Recorder()
    german = named(*blobs(60, seed=5), ("Katze", "Hund", "Eule"))
    outcome = tuned(
        tmp_path / "unmapped", source, german, context, source_files=source_files, made_by=train_spec()
    )
    report = outcome.result["report"]
    (warning,) = context.warnings
    assert "Eule, Hund and Katze" in warning
    assert "cat, dog and owl" in warning
    assert report["labels"]["new"] == ["Eule", "Hund", "Katze"]
    assert report["source_only"]["accuracy"] == 0, "numbers stay as they are"
    summary, shift = report["summary"], report["shift"]
    assert summary["headline"].startswith("Source and target share no label")
    for told in (warning, summary["advice"], shift["advice"]):
        assert "label_map" in told
        assert "--label theirs=ours" in told
    assert "never right" in summary["scores"]["source_only"]
    assert "forgotten" not in report["forgetting"]["sentence"]
    assert "Label no more rows" in report["labels_needed"]["advice"]
    assert "share none" in shift["sentence"]
    assert "says nothing" in shift["sentences"]["source_loss"]
    assert "cannot be compared" in shift["sentences"]["label_shift"]


def test_one_label_in_common_is_enough_to_compare_with_the_source(tmp_path, source):
    context = Recorder()
    partly = named(*blobs(60, seed=5), ("Katze", "Hund", "owl"))
    report = tuned(tmp_path, source, partly, context).result["report"]
    assert not any("label_map" in told for told in (*context.warnings, report["summary"]["headline"]))
    assert "share none" not in report["shift"]["sentence"]


def test_a_label_map_also_brings_numbers_to_words(tmp_path, source):
    table = table_of(*blobs(60, seed=5))
    report = tuned(tmp_path, source, table, label_map={"0": "cat", "1": "dog", "2": "owl"}).result["report"]
    assert report["source_only"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("mapped", "code", "pointer"),
    [
        ({"wolf": "dog"}, "unknown_label", "/label_map/wolf"),
        ({"a/b": "dog"}, "unknown_label", "/label_map/a~1b"),
        ({"cat": "wolf"}, "unknown_label", "/label_map/cat"),
        ({"cat": "dog"}, "label_clash", "/label_map/cat"),
    ],
)
def test_a_label_map_that_does_not_fit_the_rows_names_its_entry(tmp_path, source, mapped, code, pointer):
    with pytest.raises(InvalidInput) as caught:
        tuned(tmp_path, source, named(*blobs(30, seed=5)), label_map=mapped)
    assert caught.value.code == code
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_labels_may_be_swapped(tmp_path, source):
    X, y = blobs(60, seed=5)
    swapped = named(X, y, ("dog", "cat", "owl"))
    report = tuned(tmp_path, source, swapped, label_map={"dog": "cat", "cat": "dog"}).result["report"]
    assert report["source_only"]["accuracy"] > 0.9


def test_columns_are_mapped_and_the_others_matched_by_name(tmp_path, source):
    plain = named(*blobs(60, seed=5))
    other = plain.rename_columns(["a", "x1", "b", "x3", "x4", "label"]).append_column(
        "note", pa.array(["-"] * 60)
    )
    report = tuned(tmp_path / "mapped", source, other, column_map={"a": "x0", "b": "x2"}).result["report"]
    straight = tuned(tmp_path / "straight", source, plain).result["report"]
    assert report["columns"]["mapped"] == {"a": "x0", "b": "x2"}
    assert report["columns"]["missing"] == []
    assert report["columns"]["extra"] == ["note"]
    assert report["fine_tuned"] == straight["fine_tuned"]


def test_columns_may_be_swapped(tmp_path, source):
    plain = named(*blobs(60, seed=5))
    swapped = plain.rename_columns(["x1", "x0", "x2", "x3", "x4", "label"])
    report = tuned(tmp_path, source, swapped, column_map={"x0": "x1", "x1": "x0"}).result["report"]
    assert report["source_only"]["accuracy"] > 0.9


# The source's own rows


def test_the_sources_rows_are_split_again_as_its_own_job_did(tmp_path):
    table = named(*blobs(150)).append_column("number", pa.array(np.arange(150.0)))
    features = ["x0", "x1", "x2", "x3", "x4", "number"]
    source = trained(tmp_path / "source", table, features=features, seed=7)
    made_by = train_spec(features=features, seed=7)
    file = model_of(source, made_by=made_by)
    model = load(source.artifact.read_bytes())
    assignment = assignment_with(
        tmp_path, parquet_files(tmp_path / "in", table.slice(0, 70), table.slice(70))
    )
    found = source_rows(assignment, file, model, 1, Recorder())
    assert (found.train.rows, found.test.rows) == (120, 30)
    numbers = [set(part.table.column("number").to_pylist()) for part in (found.train, found.test)]
    assert not numbers[0] & numbers[1]
    mean = np.mean(sorted(numbers[0]))
    assert model.encoder.columns[-1].mean == pytest.approx(mean), "they are the very rows it was fitted on"
    assert found.report == {"train": {"rows": 120, "of": 120}, "test": {"rows": 30, "of": 30}, "reason": None}


def test_rows_without_a_target_do_not_move_the_split(tmp_path):
    X, y = blobs(160)
    table = named(X, y).append_column("number", pa.array(np.arange(160.0)))
    gaps = pa.array([None if i % 16 == 3 else word for i, word in enumerate(table["label"].to_pylist())])
    table = table.set_column(5, "label", gaps)
    source = trained(tmp_path / "source", table)
    model = load(source.artifact.read_bytes())
    assignment = assignment_with(tmp_path, parquet_files(tmp_path / "in", table))
    found = source_rows(assignment, model_of(source, made_by=train_spec()), model, 1, Recorder())
    assert (found.train.rows, found.test.rows) == (120, 30)
    numbers = found.train.table.column("number").to_pylist()
    assert not {number for number in numbers if number % 16 == 3}
    assert model.encoder.columns[-1].mean == pytest.approx(np.mean(numbers))
    labels = dict(zip(table["number"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert found.train.values().tolist() == [labels[number] for number in numbers]


def test_of_a_large_source_a_sample_is_read_and_the_report_says_so(tmp_path, monkeypatch, source):
    monkeypatch.setattr(source_table, "MAX_TRAINING_ROWS", 50)
    monkeypatch.setattr(source_table, "MAX_TEST_ROWS", 10)
    assignment = assignment_with(tmp_path, parquet_files(tmp_path / "in", named(*blobs(150))))
    model = load(source.artifact.read_bytes())
    found = source_rows(assignment, model_of(source, made_by=train_spec()), model, 1, Recorder())
    assert (found.train.rows, found.test.rows) == (50, 10)
    assert found.report["train"] == {"rows": 50, "of": 120}
    assert found.report["test"] == {"rows": 10, "of": 30}


def test_a_source_that_is_a_fine_tune_brings_the_target_of_that_one(tmp_path, source):
    X, y = blobs(100, seed=5)
    table = named(X, y, ("Katze", "dog", "owl")).rename_columns(["a", "x1", "x2", "x3", "x4", "label"])
    fields = {"column_map": {"a": "x0"}, "label_map": {"Katze": "cat"}, "refit": False}
    child = tuned(tmp_path / "child", source, table, **fields)
    model = load(child.artifact.read_bytes())
    assignment = assignment_with(tmp_path, parquet_files(tmp_path / "in", table))
    found = source_rows(assignment, model_of(child, made_by=fine_tune_spec(**fields)), model, 1, Recorder())
    assert (found.train.rows, found.test.rows) == (80, 20)
    assert found.train.classes == ("cat", "dog", "owl")
    assert [item.name for item in found.train.features] == ["x0", "x1", "x2", "x3", "x4"]


def test_a_source_that_was_refitted_on_all_rows_has_none_left_that_it_has_not_seen(tmp_path, source):
    table = named(*blobs(100, seed=5))
    child = tuned(tmp_path / "child", source, table)
    assignment = assignment_with(tmp_path, parquet_files(tmp_path / "in", table))
    model = load(child.artifact.read_bytes())
    found = source_rows(assignment, model_of(child, made_by=fine_tune_spec()), model, 1, Recorder())
    assert found.train.rows == 100
    assert found.test is None
    assert "refitted" in found.report["reason"]


def test_without_the_sources_dataset_the_report_says_why_things_are_missing(tmp_path, source):
    report = tuned(tmp_path, source, named(*blobs(40, seed=5))).result["report"]
    assert report["source_rows"]["train"] is None
    assert "gone" in report["source_rows"]["reason"]


def assignment_with(folder, files):
    from worker.handlers.base import Assignment

    return Assignment("job", "fine_tune", 1, {}, folder, {"source": files})


def test_a_target_that_does_not_vary_is_reported_without_numbers_that_json_lacks(tmp_path):
    source = trained(tmp_path / "source", table_of(*line(80)), kind="linear_regression")
    X, _ = line(20, seed=3)
    report = tuned(tmp_path / "target", source, table_of(X, np.full(20, 500.0))).result["report"]
    json.dumps(report, allow_nan=False)
    assert report["fine_tuned"]["r2"] is None
