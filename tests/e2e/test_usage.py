"""What a project has used is what its jobs say they used, each once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pyarrow as pa
import pytest

from tests.e2e import tables
from tests.support.client import PARQUET, Graft, Json, train_body
from tests.support.waiting import eventually

ROWS, SHARD_ROWS = 2_500, 1_000


@pytest.fixture(scope="module")
def accountant(client_of: Callable[..., Graft]) -> Graft:
    """In a project where every kind of end has happened."""
    client = client_of("accounted")
    dataset = client.dataset(tables.iris(), kind=PARQUET)
    client.run(train_body(dataset, "flowers"))
    one_class = client.dataset("f0,label\n" + "1,a\n" * 30)
    client.failed(train_body(one_class, "hopeless"))
    large = tables.iris().drop_columns(["label"])
    large = pa.concat_tables([large] * 17).slice(0, ROWS)
    score = {"type": "batch_predict", "model": "flowers:1", "input": {"dataset": client.dataset(large)}}
    client.run(score)
    client.run({**score, "shard_rows": SHARD_ROWS})
    body = train_body(client.dataset(tables.digits(slice(0, 1500))), "stopped")
    slow = {"kind": "neural_network", "epochs": 100_000, "hidden_layers": [256], "learning_rate": 1e-6}
    stopped = client.started({**body, "estimator": slow})
    eventually(lambda: (client.job(stopped)["progress"] or {}).get("phase") == "fitting")
    client.post(f"/v1/jobs/{stopped}/cancel")
    client.ended(stopped)
    return client


def _usage(client: Graft, **query: str) -> Json:
    response = client.get("/v1/usage", params=query)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


def test_the_totals_are_those_of_the_jobs(accountant: Graft) -> None:
    total = _usage(accountant)["total"]
    assert total["jobs"] == {
        "train": {"succeeded": 1, "failed": 1, "cancelled": 1},
        "batch_predict": {"succeeded": 2},
    }
    jobs = accountant.get("/v1/jobs").json()["data"]
    assert all(job["usage"]["wall_seconds"] > 0 for job in jobs), "also those that failed or were cancelled"
    for name in ("wall_seconds", "cpu_seconds"):
        assert total[name] == pytest.approx(sum(job["usage"][name] for job in jobs), abs=0.01)
    assert total["peak_rss_bytes"] == max(job["usage"]["peak_rss_bytes"] for job in jobs)
    assert total["rows_scored"] == 2 * ROWS


def test_a_batch_in_shards_has_used_what_all_of_them_have(accountant: Graft) -> None:
    split, whole = (
        job["usage"] for job in accountant.get("/v1/jobs", params={"type": "batch_predict"}).json()["data"]
    )
    assert split["cpu_seconds"] > whole["cpu_seconds"], (
        "each shard has a child of its own, and so has the plan"
    )


def test_what_is_stored_is_what_datasets_versions_and_outputs_have(accountant: Graft) -> None:
    stored = _usage(accountant)["stored"]
    assert stored["datasets"] == sum(item["bytes"] for item in accountant.get("/v1/datasets").json()["data"])
    versions = accountant.get("/v1/models/flowers/versions").json()["data"]
    assert stored["artifacts"] == sum(version["bytes"] for version in versions) > 0
    batches = accountant.get("/v1/jobs", params={"type": "batch_predict"}).json()["data"]
    files = [file for job in batches for file in accountant.output(job["id"])["files"]]
    assert stored["outputs"] == sum(file["bytes"] for file in files) > 0
    assert stored["limit"] is None


def test_the_days_add_up_and_others_see_nothing_of_them(
    accountant: Graft, client_of: Callable[..., Graft]
) -> None:
    report = _usage(accountant)
    assert sum(day["rows_scored"] for day in report["days"]) == report["total"]["rows_scored"]
    assert [day["date"] for day in report["days"]][-1] == report["to"]
    assert report["project"] == "accounted"
    other = _usage(client_of("accounted-not"))
    assert (other["total"]["jobs"], other["total"]["rows_scored"]) == ({}, 0)


def test_requests_are_counted_within_a_second_or_two(client_of: Callable[..., Graft]) -> None:
    client = client_of("asking")
    for _ in range(20):
        client.get("/v1/jobs")
    client.get("/healthz")
    eventually(lambda: _usage(client)["total"]["requests"] >= 20, 10)
    assert client.get("/v1/jobs/no").status_code == 404
    seen = _usage(client)["total"]["requests"]
    eventually(lambda: _usage(client)["total"]["requests"] > seen, 10)


def test_a_range_is_as_it_was_asked_for(accountant: Graft) -> None:
    today = date.fromisoformat(_usage(accountant)["to"])
    before = [str(today - timedelta(days=days)) for days in (40, 10)]
    report = _usage(accountant, **{"from": before[0], "to": before[1]})
    assert (report["from"], report["to"], report["days"]) == (*before, [])
    assert report["total"]["jobs"] == {}
    assert _usage(accountant)["from"] == str(today - timedelta(days=29))
    assert (
        _usage(accountant, **{"from": str(today - timedelta(days=365))})["days"] == _usage(accountant)["days"]
    )


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "yesterday"}, "/from"),
        ({"from": "1700000000"}, "/from"),
        ({"to": "2026-02-30"}, "/to"),
        ({"to": "1999-12-31"}, "/to"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "/from"),
        ({"from": "2025-01-01", "to": "2026-02-01"}, "/from"),
        ({"day": "2026-02-01"}, "/day"),
    ],
)
def test_a_range_that_is_none_is_refused(accountant: Graft, query: dict[str, str], pointer: str) -> None:
    response = accountant.get("/v1/usage", params=query)
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
