"""The train and fine_tune handlers: files in, an artifact and an account of it out."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import GraftError, InternalError, InvalidInput
from shared.modeling import load
from tests.support.attempts import Recorder, trained, tuned
from tests.support.labelled_tables import blobs, line, parquet_files, table_of
from worker.handlers.base import Assignment, ModelFile
from worker.handlers.fine_tune import run as fine_tune


def test_training_publishes_the_model_that_was_measured(tmp_path):
    context = Recorder()
    table = table_of(*blobs(150))
    outcome = trained(tmp_path, table.slice(0, 60), table.slice(60), context=context)
    json.dumps([outcome.result, outcome.version], allow_nan=False)
    assert outcome.artifact == tmp_path / "model.joblib"
    model = load(outcome.artifact.read_bytes())
    version = outcome.version
    assert version["schema"] == model.schema()
    assert version["metrics"] == outcome.result["metrics"]
    assert version["metrics"]["accuracy"] > 0.9
    assert (version["n_train"], version["n_test"]) == (120, 30)
    assert version["estimator"]["optimizer"] == "lbfgs"
    assert version["estimator"]["epochs"] == 500
    assert version["baseline"]["rows"] == 120
    assert version["features"] == ["x0", "x1", "x2", "x3", "x4"]
    assert version["target"] == "label"
    assert version["seed"] == 42
    assert version["parent"] is None
    assert "scikit-learn" in version["library_versions"]
    assert context.phases() == ["reading", "preparing", "fitting", "evaluating"]


def test_progress_moves_with_the_running_loss(tmp_path):
    context = Recorder()
    trained(tmp_path, table_of(*blobs(150)), context=context, kind="neural_network")
    epochs = [step for step in context.steps if step[0] == "fitting" and step[3] == "epochs"]
    assert len(epochs) > 20
    assert epochs[0][4]["loss"] > epochs[-1][4]["loss"]


def test_the_same_job_gives_the_same_digest(tmp_path):
    table = table_of(*blobs(90))
    digests = {
        hashlib.sha256(
            trained(tmp_path / name, table, kind="neural_network").artifact.read_bytes()
        ).hexdigest()
        for name in ("one", "two")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("table", "fields", "code"),
    [
        (pa.table({"x": [1.0, 2.0], "label": ["a", "a"]}), {}, "one_class"),
        (pa.table({"x": [1.0, 2.0], "label": ["a", "b"]}), {}, "too_few_rows"),
        (
            pa.table({"x": [1.0] * 9, "label": ["a", "b", "c"] * 3}),
            {"task": "regression"},
            "target_not_numeric",
        ),
        (pa.table({"x": [1.0] * 9, "label": [0.5] * 9}), {}, "unsupported_estimator"),
        (
            pa.table({"x": [1.0, None] * 9, "label": ["a", "b"] * 9}),
            {"preprocessing": {"missing": "fail"}},
            "missing_values",
        ),
        (
            table_of(*line(40)),
            {"estimator": {"kind": "linear_regression", "optimizer": "sgd", "learning_rate": 99.0}},
            "diverged",
        ),
    ],
)
def test_what_only_the_data_can_show_fails_with_a_code(tmp_path, table, fields, code):
    with pytest.raises(InvalidInput) as caught:
        trained(tmp_path, table, **fields)
    assert caught.value.code == code
    assert caught.value.message


def test_only_chosen_features_are_used(tmp_path):
    outcome = trained(tmp_path, table_of(*blobs(90)), features=["x3", "x0"])
    assert outcome.version["features"] == ["x3", "x0"]


def test_fine_tuning_reports_everything_on_the_same_rows(tmp_path):
    context = Recorder()
    source = trained(tmp_path / "source", table_of(*blobs(150)))
    X, y = blobs(200, seed=5)
    outcome = tuned(tmp_path / "target", source, table_of(X + 4, y), context)
    json.dumps([outcome.result, outcome.version], allow_nan=False)
    report = outcome.result["report"]
    for name in ("source_only", "scratch", "fine_tuned", "majority"):
        assert report[name]["n_test"] == 40
    assert report["metric"] == "accuracy"
    assert report["fine_tuned"]["accuracy"] > report["source_only"]["accuracy"]
    assert {item["strategy"] for item in report["candidates"]} == {
        "source_only",
        "scratch",
        "restandardize",
        "l2_sp",
        "stack",
    }
    assert sum(item["weight"] for item in report["candidates"]) == pytest.approx(1.0)
    kept = {item["strategy"] for item in report["candidates"] if item["weight"] > 0}
    assert report["strategy"] == "blend" or {report["strategy"]} == kept
    assert set(report["gain"]) == {"value", "over", "low", "high", "confidence"}
    better = max(report["source_only"]["accuracy"], report["scratch"]["accuracy"])
    assert report["gain"]["value"] == pytest.approx(report["fine_tuned"]["accuracy"] - better)
    assert report["verdict"] in ("improved", "neutral", "negative_transfer")
    assert report["columns"] == {"missing": [], "extra": [], "mistyped": [], "mapped": {}}
    assert report["labels"] == {"new": [], "absent": [], "renamed": {}}
    assert (report["n_train"], report["n_test"]) == (160, 40)
    assert outcome.version["parent"] == {"name": "churn", "version": 3}
    assert outcome.version["metrics"] == report["fine_tuned"]
    assert context.phases()[:3] == ["reading", "preparing", "comparing"]


@pytest.mark.parametrize("strategy", ["continue", "l2_sp", "new_head", "scratch"])
def test_each_strategy_can_be_asked_for(tmp_path, strategy):
    source = trained(tmp_path / "source", table_of(*blobs(150)), kind="neural_network")
    outcome = tuned(tmp_path / "target", source, table_of(*blobs(60, seed=5)), strategy=strategy)
    assert outcome.result["report"]["strategy"] == strategy
    model = load(outcome.artifact.read_bytes())
    assert model.predict(table_of(*blobs(9, seed=8))).values.shape == (9,)


def test_a_source_that_knows_fewer_labels_is_scored_honestly_and_overtaken(tmp_path):
    source = trained(tmp_path / "source", table_of(*blobs(90, classes=2)))
    outcome = tuned(tmp_path / "target", source, table_of(*blobs(200, classes=4, seed=5)))
    report = outcome.result["report"]
    assert report["source_only"]["accuracy"] <= 0.5
    assert report["labels"]["new"] == [2, 3]
    assert report["verdict"] in ("improved", "neutral")
    assert report["fine_tuned"]["accuracy"] > 0.9


@pytest.mark.parametrize("rows", [5, 8, 20])
def test_a_handful_of_target_rows_is_enough_to_answer(tmp_path, rows):
    source = trained(tmp_path / "source", table_of(*blobs(150)))
    X, y = blobs(rows, seed=5)
    table = table_of(X, y).set_column(5, "label", pa.array([int(label) for label in y]))
    report = tuned(tmp_path / "target", source, table).result["report"]
    assert report["n_test"] == rows
    assert report["evaluation"]["method"] == "cross_validation"
    if rows < 10:
        assert report["verdict"] == "neutral"


def test_regression_is_reported_in_r2(tmp_path):
    source = trained(tmp_path / "source", table_of(*line(150)), kind="linear_regression")
    report = tuned(tmp_path / "target", source, table_of(*line(80, seed=3, shift=80))).result["report"]
    assert report["metric"] == "r2"
    assert report["fine_tuned"]["r2"] > report["source_only"]["r2"]
    assert report["labels"] is None


def test_columns_are_aligned_by_name_and_told(tmp_path):
    context = Recorder()
    source = trained(tmp_path / "source", table_of(*blobs(150)))
    X, y = blobs(100, seed=5)
    table = table_of(X, y)
    mixed = table.select([5, 3, 1, 0, 4]).append_column("extra", pa.array(np.arange(100)))
    report = tuned(tmp_path / "mixed", source, mixed, context).result["report"]
    assert report["columns"]["missing"] == ["x2"]
    assert report["columns"]["extra"] == ["extra"]
    assert len(context.warnings) >= 2
    straight = tuned(tmp_path / "straight", source, table).result["report"]
    shuffled = tuned(tmp_path / "shuffled", source, table.select([5, 3, 1, 0, 4, 2])).result["report"]
    assert straight == shuffled


def test_changed_bytes_are_never_opened(tmp_path):
    source = trained(tmp_path / "source", table_of(*blobs(90)))
    digest = hashlib.sha256(source.artifact.read_bytes()).hexdigest()
    content = bytearray(source.artifact.read_bytes())
    content[len(content) // 2] ^= 1
    source.artifact.write_bytes(bytes(content))
    model = ModelFile(source.artifact, digest, "churn", 3, {})
    files = parquet_files(tmp_path / "in", table_of(*blobs(30)))
    spec = {"base_model": "churn:3", "target": "label", "seed": 1}
    work = Assignment("job", "fine_tune", 1, spec, tmp_path, {"dataset": files}, {"churn:3": model})
    with pytest.raises(InternalError) as caught:
        fine_tune(work, Recorder())
    assert isinstance(caught.value, GraftError)
    assert caught.value.code == "bad_signature"
