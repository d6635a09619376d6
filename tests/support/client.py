"""What the end-to-end tests ask over HTTP, in a word each."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tests.support.waiting import eventually

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
JSONL = "application/x-ndjson"
ENDED = {"succeeded", "failed", "cancelled"}

Json = dict[str, Any]


class Graft(httpx.Client):
    """An HTTP client with a key, and the few steps that most tests begin with."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def upload(self, content: bytes | str, *, kind: str = CSV, name: str = "table") -> httpx.Response:
        return self.post(
            "/v1/datasets", params={"name": name}, content=content, headers={"Content-Type": kind}
        )

    def dataset(self, content: bytes | str | pa.Table, *, kind: str = CSV, name: str = "table") -> str:
        """The id of an uploaded table."""
        if isinstance(content, pa.Table):
            content = written(content, kind)
        response = self.upload(content, kind=kind, name=name)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def submit(self, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        return self.post("/v1/jobs", json=body, headers=headers)

    def job(self, job_id: str) -> Json:
        response = self.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def started(self, body: Mapping[str, Any]) -> str:
        """Submit, and wait until it runs; the job's id. It has to run for longer than a look takes."""
        job_id: str = self.submit(body).json()["id"]
        eventually(lambda: self.job(job_id)["status"] == "running", 60)
        return job_id

    def ended(self, job_id: str, seconds: float = 120) -> Json:
        """The job once it has ended, whichever way."""

        def look() -> Json | None:
            response = self.get(f"/v1/jobs/{job_id}", params={"wait": 10})
            assert response.status_code == 200, response.text
            job: Json = response.json()
            return job if job["status"] in ENDED else None

        job = eventually(look, seconds)
        assert job is not None
        return job

    def run(self, body: Mapping[str, Any]) -> Json:
        """Submit, wait, and expect success."""
        response = self.submit(body)
        assert response.status_code == 202, response.text
        job = self.ended(response.json()["id"])
        assert job["status"] == "succeeded", job["error"]
        return job

    def failed(self, body: Mapping[str, Any]) -> Json:
        """Submit, wait, and expect failure; the error."""
        response = self.submit(body)
        assert response.status_code == 202, response.text
        job = self.ended(response.json()["id"])
        assert job["status"] == "failed", job
        error: Json = job["error"]
        return error

    def refused(self, body: Mapping[str, Any], status: int = 422) -> list[str]:
        """Submit, expect a refusal; the pointers of its errors."""
        response = self.submit(body)
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"] == "application/problem+json"
        return [error["pointer"] for error in response.json().get("errors", [])]

    def output(self, job_id: str) -> Json:
        response = self.get(f"/v1/jobs/{job_id}/output")
        assert response.status_code == 200, response.text
        manifest: Json = response.json()
        return manifest


def written(table: pa.Table, kind: str) -> bytes:
    """A table as a file of that content type."""
    sink = io.BytesIO()
    if kind == PARQUET:
        pa.parquet.write_table(table, sink)
    elif kind == CSV:
        pa.csv.write_csv(table, sink)
    else:
        sink.write("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode())
    return sink.getvalue()


def as_table(X: Any, target: Sequence[Any] | None = None, names: Sequence[str] | None = None) -> pa.Table:
    """A matrix as a table with the columns f0, f1, … and, if given, `label`."""
    names = list(names) if names is not None else [f"f{i}" for i in range(X.shape[1])]
    columns = {name: pa.array(X[:, i]) for i, name in enumerate(names)}
    if target is not None:
        columns["label"] = pa.array(list(target))
    return pa.table(columns)


def train_body(dataset: str, name: str, kind: str = "logistic_regression", **changes: Any) -> Json:
    return {
        "type": "train",
        "dataset": dataset,
        "target": "label",
        "estimator": {"kind": kind},
        "model": {"name": name},
        **changes,
    }
