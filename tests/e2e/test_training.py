"""Training over HTTP: every family, loss and optimizer; every kind of column and label; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.kinds import SUPPORTED
from tests.e2e import tables
from tests.support.client import CSV, JSONL, PARQUET, Graft, Json, train_body
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def iris(graft: Graft) -> str:
    return graft.dataset(tables.iris())


@pytest.fixture(scope="module")
def diabetes(graft: Graft) -> str:
    return graft.dataset(tables.diabetes(), kind=PARQUET)


@pytest.fixture(scope="module")
def breast_cancer(graft: Graft) -> str:
    return graft.dataset(tables.breast_cancer(), kind=PARQUET)


@pytest.mark.parametrize(
    "kind", ["logistic_regression", "svm", "neural_network", "random_forest", "gradient_boosting"]
)
def test_each_family_classifies(graft: Graft, iris: str, kind: str) -> None:
    job = graft.run(train_body(iris, f"iris-{kind.replace('_', '-')}", kind))
    metrics = job["result"]["metrics"]
    assert metrics["accuracy"] >= 0.86
    assert metrics["classes"] == ["setosa", "versicolor", "virginica"]
    assert {"f1", "precision", "recall", "roc_auc", "log_loss", "confusion_matrix", "n_test"} <= set(metrics)
    assert metrics["n_test"] == 30
    assert sum(map(sum, metrics["confusion_matrix"])) == 30


@pytest.mark.parametrize(
    "kind", ["linear_regression", "svm", "neural_network", "random_forest", "gradient_boosting"]
)
def test_each_family_regresses(graft: Graft, diabetes: str, kind: str) -> None:
    job = graft.run(train_body(diabetes, f"sugar-{kind.replace('_', '-')}", kind, task="regression"))
    metrics = job["result"]["metrics"]
    assert metrics["r2"] > 0.2
    assert metrics["rmse"] == pytest.approx(metrics["mse"] ** 0.5)
    assert metrics["n_test"] == 88


COMBINATIONS = [
    (kind, task, loss, optimizer)
    for kind, support in SUPPORTED.items()
    for task, losses in support.losses.items()
    for loss, optimizers in losses.items()
    for optimizer in optimizers or ("auto",)
]


def test_every_loss_and_optimizer_that_is_offered_trains(
    graft: Graft, breast_cancer: str, diabetes: str
) -> None:
    submitted = []
    for kind, task, loss, optimizer in COMBINATIONS:
        body = train_body(
            breast_cancer if task == "classification" else diabetes,
            "matrix",
            estimator={"kind": kind, "loss": loss, "optimizer": optimizer},
            task=task,
        )
        response = graft.submit(body)
        assert response.status_code == 202, (kind, loss, optimizer, response.text)
        submitted.append((response.json()["id"], kind, task, loss, optimizer))
    for job_id, kind, task, loss, optimizer in submitted:
        job = graft.ended(job_id)
        assert job["status"] == "succeeded", (kind, loss, optimizer, job["error"])
        metrics = job["result"]["metrics"]
        assert metrics["accuracy"] > 0.9 if task == "classification" else metrics["r2"] > 0.2, (
            kind,
            loss,
            optimizer,
        )
        model = job["result"]["model"]
        version = graft.get(f"/v1/models/{model['name']}/versions/{model['version']}").json()
        assert version["estimator"]["kind"] == kind
        assert version["estimator"]["loss"] == loss
        if optimizer != "auto":
            assert version["estimator"]["optimizer"] == optimizer


def test_an_rbf_kernel_beats_a_linear_one_where_the_border_is_a_circle(graft: Graft) -> None:
    random = np.random.RandomState(1)
    X = random.normal(size=(600, 2))
    inside = (X**2).sum(1) < 1.2
    dataset = graft.dataset(pa.table({"a": X[:, 0], "b": X[:, 1], "label": inside}))
    scores = {}
    for kernel in ("linear", "rbf"):
        body = train_body(dataset, f"circle-{kernel}", estimator={"kind": "svm", "kernel": kernel})
        scores[kernel] = graft.run(body)["result"]["metrics"]["accuracy"]
    assert scores["rbf"] > 0.93 > scores["linear"] + 0.1


@pytest.mark.parametrize("kind", [CSV, PARQUET, JSONL])
@pytest.mark.parametrize("numeric", ["standardize", "normalize", "minmax", "none"])
def test_mixed_columns_with_gaps_train_under_every_preprocessing(
    graft: Graft, kind: str, numeric: str
) -> None:
    table = (
        tables.mixed()
        if kind == PARQUET
        else tables.mixed().set_column(3, "since", tables.mixed()["since"].cast(pa.string()))
    )
    dataset = graft.dataset(table, kind=kind)
    body = train_body(dataset, "mixed", preprocessing={"numeric": numeric})
    job = graft.run(body)
    assert job["result"]["metrics"]["accuracy"] > (0.6 if numeric == "normalize" else 0.8)
    version = graft.get("/v1/models/mixed").json()["latest_version"]
    schema = graft.get(f"/v1/models/mixed/versions/{version}").json()["schema"]
    assert [item["name"] for item in schema["inputs"]] == ["age", "vip", "city", "since"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ["no", "yes"]),
        ([False, True], [False, True]),
        ([3, 7], [3, 7]),
        (["b", "a"], ["a", "b"]),
    ],
)
def test_labels_of_any_kind_come_back_as_they_were(
    graft: Graft, labels: list[Any], classes: list[Any]
) -> None:
    table = pa.table({"x": [float(i) for i in range(60)], "label": [labels[i >= 30] for i in range(60)]})
    job = graft.run(train_body(graft.dataset(table), "labels"))
    assert job["result"]["metrics"]["classes"] == classes
    predicted = graft.post("/v1/models/labels/predict", json={"rows": [{"x": 1.0}, {"x": 58.0}]}).json()
    assert predicted["predictions"] == labels


def test_features_can_be_chosen(graft: Graft, iris: str) -> None:
    job = graft.run(train_body(iris, "chosen", features=["f2", "f0"]))
    version = graft.get("/v1/models/chosen/versions/1").json()
    assert [item["name"] for item in version["schema"]["inputs"]] == ["f2", "f0"]
    assert job["spec"]["features"] == ["f2", "f0"]


def test_the_same_data_spec_and_seed_give_the_same_model_and_another_seed_another(
    graft: Graft, iris: str
) -> None:
    digests = []
    for seed in (1, 1, 2):
        job = graft.run(train_body(iris, "twins", "neural_network", seed=seed))
        number = job["result"]["model"]["version"]
        digests.append(graft.get(f"/v1/models/twins/versions/{number}").json()["sha256"])
    assert digests[0] == digests[1] != digests[2]


def test_progress_moves_epoch_by_epoch_with_the_running_loss(graft: Graft) -> None:
    dataset = graft.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 2000, "hidden_layers": [256], "learning_rate": 1e-5}
    job_id = graft.submit(train_body(dataset, "slow", estimator=estimator)).json()["id"]
    seen: list[Json] = []

    def look() -> bool:
        progress = graft.job(job_id)["progress"]
        if progress and progress["phase"] == "fitting" and progress not in seen:
            seen.append(progress)
        return len(seen) >= 3

    eventually(look, 60)
    graft.post(f"/v1/jobs/{job_id}/cancel")
    completed = [progress["completed"] for progress in seen]
    assert completed == sorted(set(completed))
    assert {(progress["total"], progress["unit"]) for progress in seen} == {(2000, "epochs")}
    assert seen[-1]["details"]["loss"] < seen[0]["details"]["loss"]
    assert 0 < seen[-1]["percent"] < 100
    assert seen[-1]["eta_seconds"] >= 0


REFUSALS: list[tuple[Json, list[str]]] = [
    ({"target": "nope"}, ["/target"]),
    ({"dataset": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["/dataset"]),
    ({"dataset": "iris.csv"}, ["/dataset"]),
    ({"features": ["f0", "nope"]}, ["/features/1"]),
    ({"features": ["f0", "label"]}, ["/features/1"]),
    ({"features": []}, ["/features"]),
    ({"surprise": 1}, ["/surprise"]),
    ({"seed": "1"}, ["/seed"]),
    ({"estimator": {"kind": "deep_forest"}}, ["/estimator/kind"]),
    ({"estimator": {"kind": "svm", "loss": "log_loss"}}, ["/estimator/loss"]),
    ({"estimator": {"kind": "svm", "loss": "hinge", "optimizer": "lbfgs"}}, ["/estimator/optimizer"]),
    ({"estimator": {"kind": "logistic_regression", "n_jobs": 64}}, ["/estimator/n_jobs"]),
    ({"estimator": {"kind": "logistic_regression", "hidden_layers": [3]}}, ["/estimator/hidden_layers"]),
    ({"estimator": {"kind": "random_forest", "n_estimators": 10**9}}, ["/estimator/n_estimators"]),
    ({"estimator": {"kind": "linear_regression"}}, ["/estimator/kind"]),
    ({"task": "regression"}, ["/estimator", "/target"]),
    ({"evaluation": {"test_fraction": 0}}, ["/evaluation/test_fraction"]),
    ({"evaluation": {"test_fraction": 1.0}}, ["/evaluation/test_fraction"]),
    ({"evaluation": {"test_fraction": 0.995}}, ["/evaluation/test_fraction"]),
    ({"model": {"name": "Not A Name"}}, ["/model/name"]),
    ({"model": {}}, ["/model/name"]),
    ({"max_attempts": 0}, ["/max_attempts"]),
    ({"priority": "urgent"}, ["/priority"]),
    ({"timeout_seconds": 10**9}, ["/timeout_seconds"]),
    ({"webhook_url": "http://example.org"}, ["/webhook_url"]),
]


@pytest.mark.parametrize(("change", "pointers"), REFUSALS)
def test_a_bad_field_is_refused_at_its_pointer(
    graft: Graft, iris: str, change: Json, pointers: list[str]
) -> None:
    def newest() -> str:
        return str(graft.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"])

    before = newest()
    assert graft.refused({**train_body(iris, "never"), **change}) == pointers
    assert newest() == before, "a refused job leaves nothing behind"
    assert graft.get("/v1/models/never").status_code == 404


@pytest.mark.parametrize(
    ("table", "change", "code"),
    [
        (pa.table({"x": [1.0, 2, 3, 4, 5, 6], "label": ["a"] * 6}), {}, "one_class"),
        (
            pa.table({"x": [1.0, None, 3, 4, 5, 6] * 5, "label": ["a", "b", "a", "b", "a", "b"] * 5}),
            {"preprocessing": {"missing": "fail"}},
            "missing_values",
        ),
        (pa.table({"x": [1.0, 2, 3], "label": ["a", "b", None]}), {}, "too_few_rows"),
    ],
)
def test_what_only_the_data_can_show_fails_the_job_with_a_code(
    graft: Graft, table: pa.Table, change: Json, code: str
) -> None:
    error = graft.failed({**train_body(graft.dataset(table), "hopeless"), **change})
    assert error["code"] == code
    assert error["message"]
    assert error["retryable"] is False
    assert graft.get("/v1/models/hopeless").status_code == 404
