"""Fine-tuning over HTTP: every strategy that is offered, the report's core, and columns aligned by name."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute
import pytest

from tests.e2e import tables
from tests.support.client import CSV, PARQUET, Graft, Json, train_body

SOURCE_ROWS, TARGET_ROWS = slice(0, 800), slice(800, 1000)


@pytest.fixture(scope="module")
def sources(graft: Graft) -> Json:
    """A linear and a network source, trained on upright digits."""
    dataset = graft.dataset(tables.digits(SOURCE_ROWS), kind=PARQUET)
    jobs = {
        name: graft.run(train_body(dataset, name, kind))
        for name, kind in (("upright-linear", "logistic_regression"), ("upright-network", "neural_network"))
    }
    return {**jobs, "dataset": dataset}


@pytest.fixture(scope="module")
def turned(graft: Graft) -> str:
    return graft.dataset(tables.digits(TARGET_ROWS, degrees=25), kind=PARQUET)


def fine_tune(dataset: str, base: str, **changes: object) -> Json:
    return {
        "type": "fine_tune",
        "base_model": base,
        "dataset": dataset,
        "target": "label",
        "model": {"name": "turned"},
        **changes,
    }


@pytest.mark.parametrize("strategy", ["auto", "continue", "new_head", "l2_sp", "scratch"])
@pytest.mark.parametrize("base", ["upright-linear", "upright-network"])
def test_each_strategy_reports_all_baselines_on_the_same_held_out_rows(
    graft: Graft, sources: Json, turned: str, base: str, strategy: str
) -> None:
    job = graft.run(fine_tune(turned, base, strategy=strategy))
    report = job["result"]["report"]
    for name in ("source_only", "scratch", "fine_tuned", "majority"):
        assert report[name]["n_test"] == 40, name
        assert 0 <= report[name]["accuracy"] <= 1
    assert report["majority"]["accuracy"] < report["fine_tuned"]["accuracy"]
    gain = report["gain"]
    best = max(report["source_only"]["accuracy"], report["scratch"]["accuracy"])
    assert gain["value"] == pytest.approx(report["fine_tuned"]["accuracy"] - best)
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["over"] in {"source_only", "scratch"}
    assert report["verdict"] in {"improved", "neutral", "negative_transfer"}
    if strategy != "auto":
        assert report["strategy"] == strategy
    assert job["spec"]["base_model"] == f"{base}:1", "the version is recorded in the job"


def test_a_network_gains_where_the_target_resembles_the_source(
    graft: Graft, sources: Json, turned: str
) -> None:
    report = graft.run(fine_tune(turned, "upright-network", strategy="continue"))["result"]["report"]
    assert report["fine_tuned"]["accuracy"] > report["source_only"]["accuracy"] + 0.1


def test_the_new_version_knows_its_parent(graft: Graft, sources: Json, turned: str) -> None:
    job = graft.run(fine_tune(turned, "upright-network:1", model={"name": "child"}))
    version = graft.get("/v1/models/child/versions/1").json()
    assert version["parent"] == {"name": "upright-network", "version": 1}
    lineage = graft.get("/v1/models/child/versions/1/lineage").json()
    nodes = {node["id"] for node in lineage["nodes"]}
    assert nodes == {
        "child:1",
        "upright-network:1",
        job["id"],
        sources["upright-network"]["id"],
        turned,
        sources["dataset"],
    }
    relations = {(edge["source"], edge["target"]): edge["relation"] for edge in lineage["edges"]}
    assert relations["upright-network:1", "child:1"] == "fine_tuned_from"
    assert relations[job["id"], "child:1"] == "produced_by"
    assert relations[turned, job["id"]] == "trained_on"


def test_the_label_set_may_differ_under_a_new_head(graft: Graft) -> None:
    upright = tables.digits(SOURCE_ROWS)
    few = upright.filter(pa.compute.less(upright["label"], 8))
    graft.run(train_body(graft.dataset(few, kind=PARQUET), "eight", "neural_network"))
    target = graft.dataset(tables.digits(TARGET_ROWS), kind=PARQUET)
    job = graft.run(fine_tune(target, "eight", strategy="new_head", model={"name": "ten"}))
    report = job["result"]["report"]
    assert set(report["fine_tuned"]["classes"]) == set(range(10))
    assert report["fine_tuned"]["accuracy"] > report["source_only"]["accuracy"]


def test_columns_are_aligned_by_name_and_deviations_are_reported(graft: Graft, sources: Json) -> None:
    table = tables.digits(TARGET_ROWS, degrees=25)
    names = table.schema.names
    shuffled = table.select([*reversed(names)])
    straight = graft.run(fine_tune(graft.dataset(table, kind=PARQUET), "upright-linear", strategy="l2_sp"))
    reordered = graft.run(
        fine_tune(graft.dataset(shuffled, kind=PARQUET), "upright-linear", strategy="l2_sp")
    )
    assert reordered["result"]["metrics"] == straight["result"]["metrics"]

    changed = table.drop_columns(["f10", "f20"]).append_column("weather", pa.array(["sun"] * table.num_rows))
    job = graft.run(fine_tune(graft.dataset(changed, kind=CSV), "upright-linear", strategy="l2_sp"))
    columns = job["result"]["report"]["columns"]
    assert columns["missing"] == ["f10", "f20"]
    assert columns["extra"] == ["weather"]
    assert any("f10" in warning for warning in job["warnings"]), job["warnings"]


def test_regression_models_are_fine_tuned_too(graft: Graft) -> None:
    table = tables.diabetes()
    young = pa.compute.less(table["f0"], 0.0)
    source = graft.dataset(table.filter(young), kind=PARQUET)
    target = graft.dataset(table.filter(pa.compute.invert(young)), kind=PARQUET)
    graft.run(train_body(source, "young", "linear_regression", task="regression"))
    report = graft.run(fine_tune(target, "young", model={"name": "old"}))["result"]["report"]
    assert report["metric"] == "r2"
    assert report["fine_tuned"]["r2"] > 0.2
    assert {"source_only", "scratch", "majority"} <= set(report)


@pytest.mark.parametrize("strategy", ["stack", "augment", "reweight"])
def test_a_strategy_that_is_not_there_yet_is_refused(
    graft: Graft, sources: Json, turned: str, strategy: str
) -> None:
    assert graft.refused(fine_tune(turned, "upright-linear", strategy=strategy)) == ["/strategy"]


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"base_model": "nobody"}, ["/base_model"]),
        ({"base_model": "upright-linear:99"}, ["/base_model"]),
        ({"base_model": "upright-linear@champion"}, ["/base_model"]),
        ({"base_model": "Upright Linear"}, ["/base_model"]),
        ({"target": "nope"}, ["/target"]),
        ({"strategy": "magic"}, ["/strategy"]),
        ({"evaluation": {"test_fraction": 2}}, ["/evaluation/test_fraction"]),
        ({"estimator": {"kind": "svm"}}, ["/estimator"]),
    ],
)
def test_a_bad_field_is_refused_at_its_pointer(
    graft: Graft, sources: Json, turned: str, change: Json, pointers: list[str]
) -> None:
    assert graft.refused({**fine_tune(turned, "upright-linear"), **change}) == pointers


def test_trees_have_no_weights_to_start_from(graft: Graft, sources: Json, turned: str) -> None:
    graft.run(train_body(sources["dataset"], "upright-forest", "random_forest"))
    for strategy in ("continue", "l2_sp", "new_head"):
        assert graft.refused(fine_tune(turned, "upright-forest", strategy=strategy)) == ["/strategy"]
    report = graft.run(fine_tune(turned, "upright-forest"))["result"]["report"]
    assert report["strategy"] in {"source_only", "scratch", "stack", "blend"}


def test_another_projects_model_is_unknown(stranger: Graft, sources: Json) -> None:
    dataset = stranger.dataset(tables.digits(TARGET_ROWS), kind=PARQUET)
    assert stranger.refused(fine_tune(dataset, "upright-linear")) == ["/base_model"]
