"""Artifacts that are not what was signed: written into the store, or into Redis, by somebody without the signing key.

Each attack is a pickle that would make a canary file when it is opened, or another model's sound bytes. Both ways to
open an artifact are tried, the API's and a job's: it is refused, and no canary is there.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import pickle
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import redis

from graft.client import BadSignature, Client
from shared import keys
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.e2e.test_datasets import s3
from tests.support.client import JSONL, PARQUET, Graft, train_body

ROW = {"f0": 5.1, "f1": 3.5, "f2": 1.4, "f3": 0.2}


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


@dataclass(frozen=True)
class Target:
    """A model with two versions, and the means of somebody who can write to the store and to Redis."""

    graft: Graft
    dataset: str
    name: str
    store: Any
    bucket: str
    redis: redis.Redis
    canary: Path
    url: str
    signing_key: str

    def record(self, version: int = 1, name: str = "") -> str:
        return keys.model_version("default", name or self.name, version)

    def held(self, version: int = 1, name: str = "") -> dict[str, str]:
        found: dict[str, str] = self.redis.hgetall(self.record(version, name))
        return found

    def object(self, key: str) -> bytes:
        content: bytes = self.store.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def overwrite(self, content: bytes, version: int = 1) -> None:
        """Put other bytes where the version's artifact is."""
        self.store.put_object(Bucket=self.bucket, Key=self.held(version)["artifact_key"], Body=content)

    def rewrite(self, **fields: Any) -> None:
        """Change what Redis says of version 1."""
        self.redis.hset(self.record(), mapping=fields)

    def payload(self) -> bytes:
        sink = io.BytesIO()
        joblib.dump(Payload(self.canary), sink)
        return sink.getvalue()

    def refuses(self) -> None:
        online = self.graft.post(f"/v1/models/{self.name}:1/predict", json={"rows": [ROW]})
        assert (online.status_code, online.json()["code"]) == (409, "bad_signature")
        work = {"type": "batch_predict", "model": f"{self.name}:1", "input": {"dataset": self.dataset}}
        assert self.graft.failed(work)["code"] == "bad_signature"
        tune = {
            "type": "fine_tune",
            "base_model": f"{self.name}:1",
            "dataset": self.dataset,
            "target": "label",
        }
        assert self.graft.failed({**tune, "model": {"name": "child"}})["code"] == "bad_signature"
        with Client(self.url, KEYS["default"]) as client, pytest.raises(BadSignature):
            client.models.versions.load(self.name, 1, signing_key=self.signing_key)
        assert not self.canary.exists()


@pytest.fixture(scope="module")
def database(stack: RunningStack) -> Iterator[redis.Redis]:
    password = json.loads((stack.directory / "credentials.json").read_text())["redis_password"]
    port = json.loads((stack.directory / "ports.json").read_text())["redis"]
    with redis.Redis(port=port, password=password, decode_responses=True) as client:
        yield client


@pytest.fixture
def target(graft: Graft, stack: RunningStack, database: redis.Redis, tmp_path: Path) -> Target:
    """Seeds of its own: workers keep artifacts by their digests, and fetch none that they have a second time."""
    name = f"target-{secrets.token_hex(4)}"
    dataset = graft.dataset(tables.iris())
    for _ in range(2):
        job = graft.run(train_body(dataset, name, seed=secrets.randbelow(2**31)))
    client = s3(stack.store.settings)
    buckets = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    bucket = next(
        found
        for found in buckets
        if "Contents" in client.list_objects_v2(Bucket=found, Prefix=f"default/jobs/{job['id']}/")
    )
    key = json.loads((stack.directory / "credentials.json").read_text())["signing_key"]
    canary = tmp_path / "canary"
    return Target(graft, dataset, name, client, bucket, database, canary, stack.url, key)


def swapped_object(target: Target) -> None:
    target.overwrite(target.object(target.held(2)["artifact_key"]))


def truncated(target: Target) -> None:
    content = target.object(target.held()["artifact_key"])
    target.overwrite(content[: len(content) // 2])


def lengthened(target: Target) -> None:
    target.overwrite(target.object(target.held()["artifact_key"]) + b"\0")


def emptied(target: Target) -> None:
    target.overwrite(b"")


def payload(target: Target) -> None:
    target.overwrite(target.payload())


def payload_with_its_own_digest(target: Target) -> None:
    content = target.payload()
    target.overwrite(content)
    target.rewrite(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def unsigned(target: Target) -> None:
    payload_with_its_own_digest(target)
    target.rewrite(signature="")


def signature_of_zeros(target: Target) -> None:
    payload_with_its_own_digest(target)
    target.rewrite(signature="0" * 64)


def signed_with_another_key(target: Target) -> None:
    payload_with_its_own_digest(target)
    held = target.held()
    for context in (
        ["graft-model-artifact-v2", "default", target.name, "1"],
        ["graft-model-artifact-v1", "default", target.name],
    ):
        message = "\n".join([*context, held["job"], held["sha256"]]).encode()
        target.rewrite(signature=hmac.new(b"a guess", message, hashlib.sha256).hexdigest())


def seal_of_a_note(target: Target) -> None:
    """A signature under the right key, but of the note that the job left behind."""
    key = target.held()["artifact_key"].replace("model.joblib", "finished.json")
    seal = target.object(key).partition(b"\n")[0].decode()
    payload_with_its_own_digest(target)
    target.rewrite(signature=seal)


def record_of_the_next_version(target: Target) -> None:
    """Everything that version 2 has, number excepted: a sound artifact with a sound signature, elsewhere."""
    target.redis.hset(target.record(), mapping={**target.held(2), "version": 1})


def upload_as_artifact(target: Target) -> None:
    """The artifact's place is an object that its attacker may write: a dataset of the same project."""
    content = b'{"a": 1}\n'
    dataset = target.graft.dataset(content, kind=JSONL)
    key = keys.dataset_object("default", dataset, "jsonl")
    assert target.object(key) == content
    target.rewrite(artifact_key=key, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


FORGERIES: list[Callable[[Target], None]] = [
    swapped_object,
    truncated,
    lengthened,
    emptied,
    payload,
    payload_with_its_own_digest,
    unsigned,
    signature_of_zeros,
    signed_with_another_key,
    seal_of_a_note,
    record_of_the_next_version,
    upload_as_artifact,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_artifact_is_refused_unopened(target: Target, forge: Callable[[Target], None]) -> None:
    forge(target)
    target.refuses()


def test_the_payload_does_what_it_is_feared_for(target: Target) -> None:
    """Or the tests above would prove nothing."""
    joblib.load(io.BytesIO(target.payload()))
    assert target.canary.exists()


def test_an_artifact_of_another_project_is_refused(target: Target, stranger: Graft) -> None:
    """Record, signature and bytes of `another`, under this project's name."""
    stranger.run(train_body(stranger.dataset(tables.iris()), target.name, seed=secrets.randbelow(2**31)))
    theirs = target.redis.hgetall(keys.model_version("another", target.name, 1))
    target.redis.hset(target.record(), mapping=theirs)
    target.refuses()


def test_an_artifact_of_another_name_is_refused(target: Target, graft: Graft) -> None:
    other = f"other-{secrets.token_hex(4)}"
    graft.run(train_body(target.dataset, other, seed=secrets.randbelow(2**31)))
    target.redis.hset(target.record(), mapping={**target.held(1, other), "name": target.name})
    target.refuses()


def test_a_version_that_was_signed_before_numbers_were_bound_still_opens(
    target: Target, stack: RunningStack
) -> None:
    key = target.signing_key
    held = target.held()
    message = "\n".join(
        ["graft-model-artifact-v1", "default", target.name, held["job"], held["sha256"]]
    ).encode()
    target.rewrite(signature=hmac.new(key.encode(), message, hashlib.sha256).hexdigest())
    answer = target.graft.post(f"/v1/models/{target.name}:1/predict", json={"rows": [ROW]})
    assert answer.status_code == 200, answer.text
    with Client(stack.url, KEYS["default"]) as client:
        loaded = client.models.versions.load(target.name, 1, signing_key=key)
    assert loaded.predict([ROW]).tolist() == answer.json()["predictions"]


@pytest.mark.parametrize("kind", ["text/csv", PARQUET, JSONL])
@pytest.mark.parametrize("wrapped", ["pickle", "joblib", "npy", "zip"])
def test_a_pickle_in_an_upload_is_no_table(graft: Graft, tmp_path: Path, kind: str, wrapped: str) -> None:
    canary = tmp_path / "canary"
    sink = io.BytesIO()
    if wrapped == "pickle":
        pickle.dump(Payload(canary), sink)
    elif wrapped == "joblib":
        joblib.dump({"a": np.zeros(3), "b": Payload(canary)}, sink)
    elif wrapped == "npy":
        np.save(sink, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    else:
        np.savez(sink, a=np.array([Payload(canary)], dtype=object))
    response = graft.upload(sink.getvalue(), kind=kind)
    assert response.status_code == 422, response.text
    assert not canary.exists()
