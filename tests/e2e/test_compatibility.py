"""Models that other library versions made: compared, warned about, and refused before a byte of them is unpickled."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import joblib
import pyarrow as pa
import pytest
import redis

from shared import keys
from shared.signing import Signed, Signer, made_of
from tests.e2e import tables
from tests.e2e.conftest import RunningStack
from tests.e2e.test_datasets import placed, s3
from tests.support.client import Graft, train_body

ROW = {"f0": 5.1, "f1": 3.5, "f2": 1.4, "f3": 0.2}
PROJECT = "versions"


@pytest.fixture(scope="module")
def keeper(client_of: Callable[..., Graft]) -> Graft:
    return client_of(PROJECT)


@pytest.fixture(scope="module")
def flowers(keeper: Graft) -> str:
    return keeper.dataset(tables.iris())


@pytest.fixture
def forge(stack: RunningStack) -> Callable[..., None]:
    """Says of the first version of a model that other libraries made it, signed with the stack's own key."""
    credentials = json.loads((stack.directory / "credentials.json").read_text())
    port = json.loads((stack.directory / "ports.json").read_text())["redis"]
    client = redis.Redis(port=port, password=credentials["redis_password"], decode_responses=True)

    def change(name: str, *, sign: bool = True, **libraries: str) -> None:
        key = keys.model_version(PROJECT, name, 1)
        record = client.hgetall(key)
        made_with = json.loads(record["library_versions"]) | {
            library.replace("_", "-"): version for library, version in libraries.items()
        }
        changed = {"library_versions": json.dumps(made_with)}
        if sign:
            told = made_of(made_with, json.loads(record["artifact"]))
            signed = Signed(PROJECT, name, 1, record["job"], record["sha256"], told)
            changed["signature"] = Signer(credentials["signing_key"]).sign(signed)
        client.hset(key, mapping=changed)

    return change


def test_a_version_says_what_its_artifact_holds_and_that_it_fits(keeper: Graft, flowers: str) -> None:
    keeper.run(train_body(flowers, "plain"))
    keeper.run(train_body(flowers, "trees", "random_forest"))
    found = {name: keeper.get(f"/v1/models/{name}/versions/1").json() for name in ("plain", "trees")}
    assert found["plain"]["artifact"] == {"format": 1, "libraries": ["graft", "numpy"]}
    assert "scikit-learn" in found["trees"]["artifact"]["libraries"]
    for version in found.values():
        assert version["compatibility"] == {"status": "same", "differences": []}
    answer = keeper.post("/v1/models/plain/predict", json={"rows": [ROW]}).json()
    assert answer["warnings"] == []


def test_another_minor_version_is_told_with_every_prediction_and_in_the_job(
    keeper: Graft, flowers: str, forge: Callable[..., None]
) -> None:
    keeper.run(train_body(flowers, "older"))
    forge("older", numpy="2.0.1", scikit_learn="1.0.2")
    version = keeper.get("/v1/models/older/versions/1").json()
    assert version["compatibility"]["status"] == "differs"
    assert {item["library"] for item in version["compatibility"]["differences"]} == {"numpy", "scikit-learn"}
    answer = keeper.post("/v1/models/older/predict", json={"rows": [ROW]})
    assert answer.status_code == 200, answer.text
    assert "numpy 2.0.1" in answer.json()["warnings"][0]
    job = keeper.run({"type": "batch_predict", "model": "older", "input": {"dataset": flowers}})
    assert [warning for warning in job["warnings"] if "older:1" in warning and "numpy 2.0.1" in warning]


@pytest.mark.parametrize(
    ("name", "kind", "library"),
    [
        ("ancient", "logistic_regression", {"numpy": "1.26.4"}),
        ("ancient-trees", "random_forest", {"scikit_learn": "1.0.2"}),
    ],
)
def test_what_cannot_be_opened_is_refused_unopened(
    keeper: Graft,
    flowers: str,
    stack: RunningStack,
    forge: Callable[..., None],
    name: str,
    kind: str,
    library: dict[str, str],
) -> None:
    job = keeper.run(train_body(flowers, name, kind, seed=len(name)))
    forge(name, **library)
    _remove_artifact(stack, job["id"])  # so that whoever so much as fetched it would fail in another way
    assert keeper.get(f"/v1/models/{name}/versions/1").json()["compatibility"]["status"] == "incompatible"
    online = keeper.post(f"/v1/models/{name}/predict", json={"rows": [ROW]})
    assert (online.status_code, online.json()["code"]) == (409, "incompatible_versions")
    error = keeper.failed({"type": "batch_predict", "model": name, "input": {"dataset": flowers}})
    assert (error["code"], error["retryable"]) == ("incompatible_versions", False)


def test_a_ranking_goes_on_without_what_cannot_be_opened(
    keeper: Graft, flowers: str, forge: Callable[..., None]
) -> None:
    keeper.run(train_body(flowers, "fits"))
    keeper.run(train_body(flowers, "does-not"))
    forge("does-not", joblib="0.1.0")
    half = keeper.dataset(pa.concat_tables([tables.iris().slice(20, 25), tables.iris().slice(60, 70)]))
    body = {
        "type": "rank_sources",
        "dataset": half,
        "target": "label",
        "candidates": ["fits", "does-not"],
        "limit": 1,
    }
    report = keeper.run(body)["result"]["report"]
    assert [entry["model"]["name"] for entry in report["ranking"]] == ["fits"]
    (left_out,) = report["left_out"]
    assert "joblib 0.1.0" in left_out["reason"]


def test_a_record_of_libraries_that_was_not_signed_is_refused(
    keeper: Graft, flowers: str, forge: Callable[..., None]
) -> None:
    keeper.run(train_body(flowers, "reworded"))
    forge("reworded", sign=False, numpy="2.0.1")
    answer = keeper.post("/v1/models/reworded/predict", json={"rows": [ROW]})
    assert (answer.status_code, answer.json()["code"]) == (409, "bad_signature")


def _remove_artifact(stack: RunningStack, job_id: str) -> None:
    """Put bytes that nobody may open where a job's artifact lies."""
    client = s3(stack.store.settings)
    for bucket, key in placed(stack.store):
        if job_id in key and key.endswith("/model.joblib"):
            content = io.BytesIO()
            joblib.dump("not what was signed", content)
            client.put_object(Bucket=bucket, Key=key, Body=content.getvalue())
            return
    raise AssertionError("the artifact is not there")
