"""Reports without a new version, over HTTP: evaluate, shift_report and rank_sources."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute
import pytest

from tests.e2e import tables
from tests.e2e.conftest import RunningStack
from tests.e2e.test_datasets import placed, s3
from tests.support.client import PARQUET, Graft, Json, train_body

SOURCE_ROWS, TARGET_ROWS = slice(0, 600), slice(800, 860)


@pytest.fixture(scope="module")
def made(graft: Graft) -> Json:
    """Models of upright digits, of turned digits, of flowers and of an amount, and their datasets."""
    upright = graft.dataset(tables.digits(SOURCE_ROWS), kind=PARQUET)
    turned = graft.dataset(tables.digits(SOURCE_ROWS, degrees=25), kind=PARQUET)
    flowers = graft.dataset(tables.iris().rename_columns(["a", "b", "c", "d", "label"]), kind=PARQUET)
    amounts = graft.dataset(tables.diabetes(), kind=PARQUET)
    jobs = [
        graft.run(train_body(upright, "reports-upright")),
        graft.run(train_body(turned, "reports-turned")),
        graft.run(train_body(flowers, "reports-flowers")),
        graft.run(train_body(amounts, "reports-amount", "linear_regression", task="regression")),
    ]
    assert all(job["result"]["model"]["version"] == 1 for job in jobs)
    return {"upright": upright, "turned": turned, "flowers": flowers, "amounts": amounts}


@pytest.fixture(scope="module")
def target(graft: Graft) -> str:
    """Labelled digits, turned by 25 degrees, that no model has seen."""
    return graft.dataset(tables.digits(TARGET_ROWS, degrees=25), kind=PARQUET)


def evaluate(dataset: str, **changes: object) -> Json:
    return {"type": "evaluate", "model": "reports-upright", "dataset": dataset, **changes}


def shift(dataset: str, **changes: object) -> Json:
    return {"type": "shift_report", "dataset": dataset, **changes}


def rank(dataset: str, **changes: object) -> Json:
    names = ["reports-upright", "reports-turned", "reports-flowers", "reports-amount"]
    return {"type": "rank_sources", "dataset": dataset, "target": "label", "candidates": names, **changes}


# evaluate


def test_a_model_is_evaluated_on_a_labelled_dataset(graft: Graft, made: Json, target: str) -> None:
    job = graft.run(evaluate(target))
    metrics, report = job["result"]["metrics"], job["result"]["report"]
    assert metrics["n_test"] == report["n_test"] == 60
    assert metrics["accuracy"] > report["majority"]["accuracy"]
    assert sum(map(sum, metrics["confusion_matrix"])) == 60
    assert 0 <= report["calibration"]["expected_calibration_error"] <= 1
    assert job["spec"]["model"] == "reports-upright:1", "the version is recorded in the job"
    assert "model" not in job["result"], "it makes none"
    listed = graft.get("/v1/jobs", params={"type": "evaluate", "model": "reports-upright"}).json()["data"]
    assert job["id"] in {item["id"] for item in listed}
    assert graft.get("/v1/models/reports-upright").json()["latest_version"] == 1


def test_a_model_does_as_well_on_its_held_out_rows_as_it_said(graft: Graft, made: Json) -> None:
    """On its own dataset, training rows included, it does better than on those alone that it has not seen."""
    version = graft.get("/v1/models/reports-upright/versions/1").json()
    metrics = graft.run(evaluate(made["upright"]))["result"]["metrics"]
    assert metrics["n_test"] == 600
    assert metrics["accuracy"] >= version["metrics"]["accuracy"]


def test_an_evaluated_dataset_may_use_other_names(graft: Graft, made: Json, target: str) -> None:
    plain = graft.run(evaluate(target))["result"]["metrics"]
    table = tables.digits(TARGET_ROWS, degrees=25)
    words = ["nought", *map(str, range(1, 10))]
    spoken = pa.array([words[label] for label in table["label"].to_pylist()])
    renamed = table.set_column(64, "digit", spoken).rename_columns(
        ["first", *table.schema.names[1:64], "digit"]
    )
    maps = {"target": "digit", "column_map": {"first": "f0"}, "label_map": {"nought": 0}}
    job = graft.run(evaluate(graft.dataset(renamed, kind=PARQUET), **maps))
    assert job["result"]["metrics"] == plain


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"model": "nobody"}, ["/model"]),
        ({"model": "reports-upright:9"}, ["/model"]),
        ({"model": None}, ["/model"]),
        ({"dataset": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["/dataset"]),
        ({"target": "nope"}, ["/target"]),
        ({"column_map": {"nope": "f0"}}, ["/column_map/nope"]),
        ({"label_map": {"1": 11}}, ["/label_map/1"]),
        ({"strategy": "auto"}, ["/strategy"]),
    ],
)
def test_a_bad_evaluation_is_refused_at_its_pointer(
    graft: Graft, made: Json, target: str, change: Json, pointers: list[str]
) -> None:
    assert graft.refused({**evaluate(target), **change}) == pointers


def test_what_does_not_fit_a_regression_is_refused(graft: Graft, made: Json) -> None:
    base = {"model": "reports-amount", "label_map": {"a": "b"}}
    assert graft.refused({**evaluate(made["amounts"]), **base}) == ["/label_map"]
    words = tables.diabetes().drop_columns(["label"]).append_column("label", pa.array(["much"] * 442))
    assert graft.refused(evaluate(graft.dataset(words, kind=PARQUET), model="reports-amount")) == ["/target"]
    assert graft.refused(evaluate(graft.dataset("a,label\n1,2\n"), model="reports-amount")) == ["/dataset"]


# shift_report


def test_a_dataset_is_compared_with_what_a_model_was_trained_on(
    graft: Graft, made: Json, target: str
) -> None:
    job = graft.run(shift(target, model="reports-upright", target="label"))
    report = job["result"]["report"]
    assert report["domain_classifier"]["flagged"] is True
    assert report["source_rows"]["train"] == {"rows": 480, "of": 480}
    assert report["source_loss"]["on_target"] < report["source_loss"]["on_source"]
    assert report["label_shift"]["labels"]
    assert report["sentence"]
    assert report["advice"]
    same = graft.run(shift(target, model="reports-turned", target="label"))["result"]["report"]
    assert same["domain_classifier"]["flagged"] is False


def test_inputs_are_compared_without_labels(graft: Graft, made: Json) -> None:
    unlabelled = graft.dataset(tables.digits(TARGET_ROWS, degrees=25, labels=False), kind=PARQUET)
    report = graft.run(shift(unlabelled, model="reports-upright"))["result"]["report"]
    assert report["domain_classifier"]["flagged"] is True
    assert report["label_shift"]["shifted"] is None
    assert report["source_loss"] is None


def test_two_datasets_are_compared(graft: Graft, made: Json, target: str) -> None:
    report = graft.run(shift(target, source=made["upright"], target="label"))["result"]["report"]
    assert report["domain_classifier"]["flagged"] is True
    assert report["source_loss"] is None
    assert report["label_shift"]["shifted"] is False
    table = tables.digits(TARGET_ROWS, labels=False)
    other = graft.dataset(table.rename_columns(["first", *table.schema.names[1:]]), kind=PARQUET)
    same = graft.run(shift(other, source=made["upright"], column_map={"first": "f0"}))["result"]["report"]
    assert same["columns"]["missing"] == ["label"], "without target it is a column like any other"
    assert same["domain_classifier"]["flagged"] is False


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({}, [""]),
        ({"model": "reports-upright", "source": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, [""]),
        ({"model": "nobody"}, ["/model"]),
        ({"source": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["/source"]),
        ({"source": "mine"}, ["/source"]),
        ({"model": "reports-upright", "target": "nope"}, ["/target"]),
        ({"model": "reports-flowers"}, ["/dataset"]),
        ({"model": "reports-upright", "column_map": {"f0": "f1"}}, ["/column_map/f0"]),
        ({"model": "reports-upright", "label_map": {"1": 2}}, ["/label_map"]),
    ],
)
def test_a_bad_comparison_is_refused_at_its_pointer(
    graft: Graft, made: Json, target: str, change: Json, pointers: list[str]
) -> None:
    assert graft.refused(shift(target, **change)) == pointers


def test_datasets_that_have_nothing_in_common_are_refused(graft: Graft, made: Json, target: str) -> None:
    other = graft.dataset("a,b,label\n1,2,x\n2,1,y\n")
    assert graft.refused(shift(other, source=made["upright"], target="label")) == ["/dataset"]
    assert graft.refused(shift(other, model="reports-upright")) == ["/dataset"]
    assert graft.refused(shift(target, source=other, target="f0")) == ["/target"]


# rank_sources


def test_models_are_ranked_for_a_target(graft: Graft, made: Json, target: str) -> None:
    job = graft.run(rank(target))
    report = job["result"]["report"]
    assert [item["model"]["name"] for item in report["ranking"]] == ["reports-turned", "reports-upright"]
    assert report["ranking"][0]["fine_tuned"]["score"] >= report["ranking"][1]["fine_tuned"]["score"]
    assert {item["model"] for item in report["left_out"]} == {"reports-flowers:1", "reports-amount:1"}
    assert report["sentence"].startswith("Start from reports-turned:1")
    assert job["spec"]["candidates"] == [f"{name}:1" for name in rank(target)["candidates"]]


def test_a_model_whose_artifact_is_not_the_signed_one_is_left_out(
    graft: Graft, made: Json, target: str, stack: RunningStack
) -> None:
    graft.run(train_body(made["upright"], "reports-damaged", seed=7))
    prefix = f"default/jobs/{graft.get('/v1/models/reports-damaged/versions/1').json()['job']}/"
    damage(stack, prefix)
    report = graft.run(rank(target, candidates=["reports-damaged", "reports-turned"]))["result"]["report"]
    assert [item["model"]["name"] for item in report["ranking"]] == ["reports-turned"]
    (left_out,) = report["left_out"]
    assert (left_out["model"], "signed" in left_out["reason"]) == ("reports-damaged:1", True)
    assert graft.failed(rank(target, candidates=["reports-damaged"]))["code"] == "no_fitting_model"


def damage(stack: RunningStack, prefix: str) -> None:
    """Overwrite the artifact below that prefix with other bytes."""
    client = s3(stack.store.settings)
    for bucket, key in placed(stack.store):
        if key.startswith(prefix) and key.endswith("model.joblib"):
            client.put_object(Bucket=bucket, Key=key, Body=b"not what was signed")


def test_without_candidates_the_latest_versions_of_the_projects_models_are_ranked(
    newcomer: Graft,
) -> None:
    table = tables.iris()
    dataset = newcomer.dataset(table.slice(0, 50), kind=PARQUET)
    assert newcomer.refused(rank(dataset, candidates=None)) == ["/candidates"], "it has no model"
    odd = pyarrow.compute.equal(pa.array([i % 2 for i in range(150)]), 1)
    half = newcomer.dataset(table.filter(odd), kind=PARQUET)
    rest = newcomer.dataset(table.filter(pyarrow.compute.invert(odd)), kind=PARQUET)
    newcomer.run(train_body(half, "one"))
    newcomer.run(train_body(half, "one", "svm"))
    newcomer.run(train_body(half, "two", "random_forest"))
    job = newcomer.run(rank(rest, candidates=None, limit=1))
    assert job["spec"]["candidates"] == ["one:2", "two:1"]
    ranking = job["result"]["report"]["ranking"]
    assert len(ranking) == 2
    assert [item["fine_tuned"] is not None for item in ranking] == [True, False]


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"dataset": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["/dataset"]),
        ({"target": "nope"}, ["/target"]),
        ({"target": None}, ["/target"]),
        ({"task": "clustering"}, ["/task"]),
        ({"candidates": []}, ["/candidates"]),
        ({"candidates": ["reports-upright", "nobody"]}, ["/candidates/1"]),
        ({"candidates": ["Reports Upright"]}, ["/candidates/0"]),
        ({"limit": 0}, ["/limit"]),
        ({"limit": 21}, ["/limit"]),
    ],
)
def test_a_bad_ranking_is_refused_at_its_pointer(
    graft: Graft, made: Json, target: str, change: Json, pointers: list[str]
) -> None:
    assert graft.refused({**rank(target), **change}) == pointers


def test_where_no_model_fits_the_job_says_why_of_each(graft: Graft, made: Json, target: str) -> None:
    error = graft.failed(rank(target, candidates=["reports-amount", "reports-flowers"]))
    assert error["code"] == "no_fitting_model"
    assert "reports-amount:1" in error["message"]


def test_another_projects_models_and_datasets_are_unknown(stranger: Graft, made: Json, target: str) -> None:
    own = stranger.dataset(tables.digits(TARGET_ROWS), kind=PARQUET)
    assert stranger.refused(evaluate(own)) == ["/model"]
    assert stranger.refused(shift(own, model="reports-upright")) == ["/model"]
    assert stranger.refused(shift(own, source=made["upright"])) == ["/source"]
    assert stranger.refused(rank(own))[0] == "/candidates/0"


def test_a_job_that_makes_a_report_can_be_retried(graft: Graft, made: Json, target: str) -> None:
    failed = graft.submit(rank(target, candidates=["reports-amount"], task="classification")).json()
    assert graft.ended(failed["id"])["status"] == "failed"
    again = graft.post(f"/v1/jobs/{failed['id']}/retry")
    assert again.status_code == 202
    assert again.json()["spec"] == graft.job(failed["id"])["spec"]
