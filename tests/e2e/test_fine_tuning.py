"""Fine-tuning over HTTP: every strategy that is offered, the report's core, and columns aligned by name."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute
import pytest

from tests.e2e import tables
from tests.support.client import CSV, PARQUET, Graft, Json, train_body

SOURCE_ROWS, TARGET_ROWS, FEW_ROWS = slice(0, 800), slice(800, 1000), slice(800, 850)
FAMILIES = {
    "upright-linear": "logistic_regression",
    "upright-network": "neural_network",
    "upright-forest": "random_forest",
}


@pytest.fixture(scope="module")
def sources(graft: Graft) -> Json:
    """A linear and a network source, trained on upright digits."""
    dataset = graft.dataset(tables.digits(SOURCE_ROWS), kind=PARQUET)
    jobs = {name: graft.run(train_body(dataset, name, kind)) for name, kind in FAMILIES.items()}
    return {**jobs, "dataset": dataset}


@pytest.fixture(scope="module")
def few(graft: Graft) -> str:
    return graft.dataset(tables.digits(FEW_ROWS, degrees=25), kind=PARQUET)


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
@pytest.mark.parametrize("base", ["upright-linear", "upright-network", "upright-forest"])
def test_outputs_and_source_rows_serve_every_family(
    graft: Graft, sources: Json, few: str, base: str, strategy: str
) -> None:
    report = graft.run(fine_tune(few, base, strategy=strategy))["result"]["report"]
    assert report["strategy"] == strategy
    assert report["fine_tuned"]["accuracy"] > report["majority"]["accuracy"]


@pytest.mark.parametrize("strategy", ["augment", "reweight"])
def test_strategies_that_learn_from_source_rows_are_refused_once_those_are_gone(
    graft: Graft, few: str, strategy: str
) -> None:
    lost = f"lost-{strategy}"
    dataset = graft.dataset(tables.iris(), kind=PARQUET)
    graft.run(train_body(dataset, lost))
    assert graft.delete(f"/v1/datasets/{dataset}").status_code == 204
    again = graft.dataset(tables.iris().slice(40, 40), kind=PARQUET)
    assert graft.refused(fine_tune(again, lost, strategy=strategy)) == ["/strategy"]
    report = graft.run(fine_tune(again, lost))["result"]["report"]
    assert report["forgetting"] is None
    assert report["source_rows"]["train"] is None
    assert "gone" in report["source_rows"]["reason"]
    assert report["shift"]["domain_classifier"]["flagged"] is None


def test_the_sources_dataset_stays_while_a_fine_tune_lives(graft: Graft, few: str) -> None:
    dataset = graft.dataset(tables.digits(slice(0, 300)), kind=PARQUET)
    graft.run(train_body(dataset, "held"))
    job = graft.submit(fine_tune(few, "held", priority="low")).json()
    blocked = graft.delete(f"/v1/datasets/{dataset}")
    ended = graft.ended(job["id"])
    if blocked.status_code != 409:
        assert ended["started_at"], "it may only be deleted once the job has ended"
        return
    assert blocked.json()["code"] == "dataset_in_use"
    assert graft.delete(f"/v1/datasets/{dataset}").status_code == 204


def test_the_report_is_whole_and_measures_the_source_again_where_it_came_from(
    graft: Graft, sources: Json, few: str
) -> None:
    report = graft.run(fine_tune(few, "upright-linear"))["result"]["report"]
    source = sources["upright-linear"]["result"]
    assert report["forgetting"]["before"] == source["metrics"]["accuracy"], "the very rows it was measured on"
    assert report["forgetting"]["n_test"] == source["n_test"]
    assert report["source_rows"]["train"] == {"rows": source["n_train"], "of": source["n_train"]}
    assert report["shift"]["domain_classifier"]["flagged"] is True
    assert {item["column"] for item in report["explanation"]["features"]} == {f"f{i}" for i in range(64)}
    assert report["labels_needed"]["sentence"]
    assert report["summary"]["headline"]
    assert report["verdict"] in {"improved", "neutral"}
    assert report["evaluation"] == {
        "method": "cross_validation",
        "folds": 5,
        "n_train": 40,
        "n_test": 50,
        "refitted": True,
    }


@pytest.mark.parametrize(
    ("evaluation", "refit", "method", "n_test"),
    [
        ({"method": "holdout"}, True, "holdout", 10),
        ({"method": "holdout", "test_fraction": 0.4}, False, "holdout", 20),
        ({"method": "auto"}, False, "holdout", 10),
        ({"method": "cross_validation"}, True, "cross_validation", 50),
    ],
)
def test_the_way_to_measure_can_be_chosen(
    graft: Graft, sources: Json, few: str, evaluation: Json, refit: bool, method: str, n_test: int
) -> None:
    body = fine_tune(few, "upright-linear", strategy="l2_sp", evaluation=evaluation, refit=refit)
    job = graft.run(body)
    report = job["result"]["report"]
    assert report["evaluation"]["method"] == method
    assert report["evaluation"]["refitted"] is refit
    for name in ("source_only", "scratch", "fine_tuned", "majority"):
        assert report[name]["n_test"] == n_test
    assert job["result"]["metrics"] == report["fine_tuned"]


def test_five_rows_are_enough(graft: Graft, sources: Json) -> None:
    target = graft.dataset(tables.digits(slice(800, 805), degrees=25), kind=PARQUET)
    report = graft.run(fine_tune(target, "upright-linear"))["result"]["report"]
    assert report["n_test"] == 5
    assert report["verdict"] == "neutral"
    assert graft.refused(fine_tune(graft.dataset("f0,label\n1,a\n2,b\n"), "upright-linear")) == ["/dataset"]


def test_labels_and_columns_of_other_names_are_mapped(graft: Graft, sources: Json, few: str) -> None:
    table = tables.digits(FEW_ROWS, degrees=25)
    plain = graft.run(fine_tune(few, "upright-linear", strategy="l2_sp"))["result"]
    words = ["nought", *map(str, range(1, 10))]
    spoken = table.set_column(64, "label", pa.array([words[label] for label in table["label"].to_pylist()]))
    spoken = spoken.rename_columns(["first", *spoken.schema.names[1:]])
    maps = {"column_map": {"first": "f0"}, "label_map": {"nought": 0}}
    body = fine_tune(graft.dataset(spoken, kind=PARQUET), "upright-linear", strategy="l2_sp", **maps)
    found = graft.run(body)["result"]
    assert found["metrics"] == plain["metrics"]
    assert found["report"]["columns"]["mapped"] == maps["column_map"]
    assert found["report"]["labels"] == {"new": [], "absent": [], "renamed": maps["label_map"]}


def test_a_label_that_no_row_has_fails_the_job_at_its_entry(graft: Graft, sources: Json, few: str) -> None:
    error = graft.failed(fine_tune(few, "upright-linear", label_map={"eleven": 1}))
    assert error["code"] == "unknown_label"
    error = graft.failed(fine_tune(few, "upright-linear", label_map={"1": 2}))
    assert error["code"] == "label_clash"


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
        ({"evaluation": {"method": "leave_one_out"}}, ["/evaluation/method"]),
        ({"evaluation": {"method": "cross_validation"}, "refit": False}, ["/refit"]),
        ({"evaluation": {"method": "holdout", "test_fraction": 0.999}}, ["/evaluation/test_fraction"]),
        ({"refit": "yes"}, ["/refit"]),
        ({"column_map": {"nope": "f0"}}, ["/column_map/nope"]),
        ({"column_map": {"label": "f0"}}, ["/column_map/label"]),
        ({"column_map": {"f0": "nope"}}, ["/column_map/f0"]),
        ({"column_map": {"f0": "label"}}, ["/column_map/f0"]),
        ({"column_map": {"f0": "f1"}}, ["/column_map/f0"]),
        ({"column_map": {"f0": "f2", "f1": "f2", "f2": "f0"}}, ["/column_map/f1"]),
        ({"column_map": {"f0": 3}}, ["/column_map/f0"]),
        ({"column_map": {"": "f0"}}, ["/column_map/"]),
        ({"label_map": {"1": 11}}, ["/label_map/1"]),
        ({"label_map": {"a/b": 11}}, ["/label_map/a~1b"]),
        ({"label_map": {"1": 2, "2": 2}}, ["/label_map/2"]),
        ({"label_map": ["1"]}, ["/label_map"]),
        ({"label_map": {"1": 1.5}}, ["/label_map/1"]),
        ({"label_map": {"1": None}}, ["/label_map/1"]),
        ({"estimator": {"kind": "svm"}}, ["/estimator"]),
    ],
)
def test_a_bad_field_is_refused_at_its_pointer(
    graft: Graft, sources: Json, turned: str, change: Json, pointers: list[str]
) -> None:
    assert graft.refused({**fine_tune(turned, "upright-linear"), **change}) == pointers


def test_trees_have_no_weights_to_start_from(graft: Graft, sources: Json, turned: str) -> None:
    for strategy in ("continue", "l2_sp", "new_head"):
        assert graft.refused(fine_tune(turned, "upright-forest", strategy=strategy)) == ["/strategy"]
    report = graft.run(fine_tune(turned, "upright-forest"))["result"]["report"]
    assert report["strategy"] in {"source_only", "scratch", "stack", "blend"}


def test_another_projects_model_is_unknown(stranger: Graft, sources: Json) -> None:
    dataset = stranger.dataset(tables.digits(TARGET_ROWS), kind=PARQUET)
    assert stranger.refused(fine_tune(dataset, "upright-linear")) == ["/base_model"]
