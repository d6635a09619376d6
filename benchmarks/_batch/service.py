"""Graft as a user meets it: a whole embedded stack, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._batch.tables import CONTENT_TYPES
from benchmarks._clients import authorization
from graft.stack import RunningServer, Stack
from graft.stack.services import worker_service
from shared import storage
from shared.contracts.tables import Format
from shared.modeling import Model, load

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Scored:
    """One batch_predict job, in seconds and bytes."""

    http: float
    """From the request that submits it to the answer that says it has succeeded."""
    attempt: float
    """From the claim to the commit, as the job reports it: with download and upload."""
    child: float
    """Of the child process that reads, scores and writes local files."""
    peak_bytes: int
    """Of the child."""


class Service:
    def __init__(self, stack: Stack) -> None:
        url = stack.plan.api.endpoint.url
        self._home = stack.plan.api.log.parent.parent
        self.redis_url = stack.plan.worker.env["GRAFT_REDIS_URL"]
        self._store = _objects(stack)
        self._http = httpx.Client(
            base_url=url,
            headers=authorization(stack),
            timeout=httpx.Timeout(10, read=3600, write=60),
        )

    def dataset(self, path: Path, format: Format, name: str) -> str:
        with path.open("rb") as file:
            answer = self._http.post(
                "/v1/datasets",
                params={"name": name},
                content=iter(lambda: file.read(_CHUNK_BYTES), b""),
                headers={"Content-Type": CONTENT_TYPES[format], "Content-Length": str(path.stat().st_size)},
            )
        return str(_expect(answer, 201)["id"])

    def delete(self, dataset: str) -> None:
        self._http.delete(f"/v1/datasets/{dataset}").raise_for_status()

    def fetch_seconds(self, dataset: str) -> float:
        """How long the store needs for the dataset's object, with nothing but boto3 and a file."""
        client, bucket = self._store
        key = next(item.key for item in storage.ObjectStore(client, bucket).list("") if dataset in item.key)
        started = time.perf_counter()
        client.download_file(bucket, key, str(self._home / "fetched"))
        return time.perf_counter() - started

    def train(self, dataset: str, name: str, estimator: Mapping[str, Any]) -> Model:
        """Train a version and bring it here."""
        body = {"type": "train", "dataset": dataset, "target": "label", "estimator": estimator}
        self._run({**body, "model": {"name": name}})
        answer = self._http.get(f"/v1/models/{name}/versions/1/artifact")
        return load(httpx.get(answer.headers["Location"]).raise_for_status().content)

    def score(self, model: str, dataset: str, rows: int, **changes: Any) -> Scored:
        started = time.perf_counter()
        job = self._run(
            {"type": "batch_predict", "model": model, "input": {"dataset": dataset}, **changes}, poll=0.02
        )
        seconds = time.perf_counter() - started
        if job["counts"] != {"total": rows, "succeeded": rows, "failed": 0}:
            raise SystemExit(f"rows are missing: {job['counts']}")
        usage = job["usage"]
        return Scored(
            http=seconds,
            attempt=_seconds(job["finished_at"]) - _seconds(job["started_at"]),
            child=usage["wall_seconds"],
            peak_bytes=usage["peak_rss_bytes"],
        )

    def _run(self, body: Mapping[str, Any], poll: float = 0.2) -> dict[str, Any]:
        job = _expect(self._http.post("/v1/jobs", json=body), 202)
        while job["status"] not in {"succeeded", "failed", "cancelled"}:
            time.sleep(poll)
            job = _expect(self._http.get(f"/v1/jobs/{job['id']}"), 200)
        if job["status"] != "succeeded":
            raise SystemExit(f"the job {job['status']}: {json.dumps(job['error'])}")
        return job


@contextmanager
def running(directory: Path, workers: int) -> Iterator[Service]:
    """A stack whose worker has one job slot and one core; more workers likewise, each with the next core in turn."""
    cores = os.cpu_count() or 1
    with Stack(directory, port=0, concurrency=1, say=lambda _: None) as stack, ExitStack() as more:
        stack.start()
        hold_to_core(stack.servers["worker"].pid, 0)
        for number in range(1, workers):
            first = stack.plan.worker
            another = worker_service(directory, 1, first.env, grace_seconds=first.grace_seconds)
            server = RunningServer(replace(another, log=first.log.with_name(f"worker-{number}.log")))
            more.enter_context(server).start()
            hold_to_core(server.wait_ready().pid, number % cores)
        yield Service(stack)


def hold_to_core(pid: int, core: int) -> None:
    """The worker with the process from which its children are forked."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        process.cpu_affinity([core])


def as_parquet(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path


def _objects(stack: Stack) -> tuple[S3Client, str]:
    settings = stack.plan.worker.env
    client = storage.connect(
        endpoint_url=settings["GRAFT_S3_ENDPOINT_URL"],
        access_key_id=settings["GRAFT_S3_ACCESS_KEY_ID"],
        secret_access_key=settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        region=settings["GRAFT_S3_REGION"],
    )
    return client, settings["GRAFT_S3_BUCKET"]


def _expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise SystemExit(f"{answer.request.method} {answer.request.url} was answered {answer.text}")
    found: dict[str, Any] = answer.json()
    return found


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
