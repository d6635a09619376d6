"""Large batches on a live stack: split over both workers, each row once whatever happens, and closed once."""

from __future__ import annotations

import json
import signal
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.e2e import tables
from tests.e2e.conftest import USER_BUCKET, RunningStack
from tests.e2e.test_batch_prediction import fetched
from tests.e2e.test_datasets import s3
from tests.e2e.test_faults import job_children
from tests.support.client import CSV, JSONL, PARQUET, Graft, Json, train_body, written
from tests.support.waiting import eventually

ROWS = 6_500
SHARD_ROWS = 1_000


@pytest.fixture(scope="module")
def model(graft: Graft) -> str:
    graft.run(train_body(graft.dataset(tables.iris()), "split-flowers"))
    return "split-flowers:1"


@pytest.fixture(scope="module")
def slow_model(graft: Graft) -> str:
    graft.run(train_body(graft.dataset(tables.digits(slice(0, 1500)), kind=PARQUET), "slow-scorer", "svm"))
    return "slow-scorer:1"


def numbered(rows: int, table: pa.Table | None = None) -> pa.Table:
    """Flowers, again and again, with a number for each row."""
    flowers = (table if table is not None else tables.iris()).drop_columns(["label"])
    repeated = pa.concat_tables([flowers] * (rows // flowers.num_rows + 1)).slice(0, rows)
    return repeated.append_column("number", pa.array(range(rows)))


def batch(model: str, source: Any, **changes: Any) -> Json:
    return {
        "type": "batch_predict",
        "model": model,
        "input": source if isinstance(source, dict) else {"dataset": source},
        "output": {"columns": "id"},
        "id_column": "number",
        "shard_rows": SHARD_ROWS,
        **changes,
    }


def events(graft: Graft, job_id: str) -> list[Json]:
    found: list[Json] = graft.get(f"/v1/jobs/{job_id}/events", params={"limit": 100}).json()["data"]
    return found


def names(graft: Graft, job_id: str) -> list[str]:
    return [event["event"] for event in events(graft, job_id)]


def numbers(graft: Graft, job_id: str) -> list[int]:
    found: list[int] = fetched(graft.output(job_id))["number"].to_pylist()
    return found


def scoring(graft: Graft, job_id: str, least: int = 1) -> Json:
    """The job, once it has scored some of its shards."""

    def look() -> Json | None:
        job = graft.job(job_id)
        progress = job["progress"] or {}
        return job if progress.get("phase") == "scoring" and progress["completed"] >= least else None

    job = eventually(look)
    assert job is not None
    return job


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET])
def test_every_format_is_split_and_each_row_scored_once_in_order(graft: Graft, model: str, kind: str) -> None:
    job = graft.run(batch(model, graft.dataset(numbered(ROWS), kind=kind)))
    assert job["counts"] == {"total": ROWS, "succeeded": ROWS, "failed": 0}
    manifest = graft.output(job["id"])
    assert [file["rows"] for file in manifest["files"]] == [1000] * 6 + [500]
    assert [file["name"] for file in manifest["files"]][1] == "part-00001.parquet"
    assert numbers(graft, job["id"]) == list(range(ROWS))
    moves = [name for name in names(graft, job["id"]) if name != "warning"]
    assert moves == ["submitted", "claimed", "split", "closing", "succeeded"]
    assert job["usage"]["cpu_seconds"] > 0


def test_the_output_is_that_of_a_batch_in_one_go(graft: Graft, model: str) -> None:
    dataset = graft.dataset(numbered(ROWS), kind=PARQUET)
    split = graft.output(graft.run(batch(model, dataset))["id"])
    whole = graft.output(graft.run(batch(model, dataset, shard_rows=ROWS))["id"])
    assert len(whole["files"]) == 1
    assert fetched(split).equals(fetched(whole))
    assert split["schema_sha256"] == whole["schema_sha256"]


def test_a_prefix_of_files_is_split_over_their_borders(graft: Graft, model: str, stack: RunningStack) -> None:
    client, table = s3(stack.store.settings), numbered(3_000)
    for number, (start, rows) in enumerate([(0, 700), (700, 100), (800, 2_200)]):
        body = written(table.slice(start, rows), CSV)
        client.put_object(Bucket=USER_BUCKET, Key=f"split/in/{number}.csv", Body=body)
    uri = f"s3://{USER_BUCKET}/split/in/"
    output = {"columns": "id", "uri": f"s3://{USER_BUCKET}/split/out/"}
    job = graft.run(batch(model, {"uri": uri}, output=output))
    assert [file["rows"] for file in graft.output(job["id"])["files"]] == [1000, 1000, 1000]
    assert numbers(graft, job["id"]) == list(range(3_000))
    place = job["result"]["output"]["uri"].removeprefix(f"s3://{USER_BUCKET}/")
    listed = client.list_objects_v2(Bucket=USER_BUCKET, Prefix=place)["Contents"]
    assert sorted(item["Key"].removeprefix(place) for item in listed) == [
        "_manifest.json",
        *(f"part-0000{n}.parquet" for n in range(3)),
    ], "nothing but the output lies in its folder"


def test_failed_rows_of_all_shards_are_in_one_list(graft: Graft, model: str) -> None:
    table = numbered(3_000)
    holes = [None if row in {5, 1_500, 2_999} else value for row, value in enumerate(table["f1"].to_pylist())]
    strict = train_body(graft.dataset(tables.iris()), "strict", preprocessing={"missing": "fail"})
    graft.run(strict)
    dataset = graft.dataset(table.set_column(1, "f1", pa.array(holes)), kind=PARQUET)
    job = graft.run(batch("strict:1", dataset, on_bad_row="skip", max_error_rate=0.001))
    assert job["counts"] == {"total": 3_000, "succeeded": 2_997, "failed": 3}
    manifest = graft.output(job["id"])
    lines = [json.loads(line) for line in httpx.get(manifest["errors"]["url"]).text.splitlines()]
    assert [line["row"] for line in lines] == [6, 1_501, 3_000]
    assert numbers(graft, job["id"]) == [row for row in range(3_000) if holes[row] is not None]
    error = graft.failed(batch("strict:1", dataset, on_bad_row="skip", max_error_rate=0.0007))
    assert error["code"] == "too_many_bad_rows"
    error = graft.failed(batch("strict:1", dataset))
    assert error["code"] == "bad_row"
    assert "row 6" in error["message"] or "row 1501" in error["message"] or "row 3000" in error["message"]


def test_a_lost_process_costs_one_shard(graft: Graft, slow_model: str, stack: RunningStack) -> None:
    table = numbered(30_000, tables.digits(slice(0, 1500)))
    job_id = graft.submit(batch(slow_model, graft.dataset(table, kind=PARQUET))).json()["id"]
    scoring(graft, job_id, 3 * SHARD_ROWS)
    known = {process.pid for process in job_children(stack)}  # each of them may have done with its shard
    begun = eventually(lambda: [process for process in job_children(stack) if process.pid not in known])
    begun[0].send_signal(signal.SIGKILL)
    job = graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert names(graft, job_id).count("shard_requeued") == 1
    assert numbers(graft, job_id) == list(range(30_000))


def test_progress_is_that_of_all_shards(graft: Graft, slow_model: str) -> None:
    table = numbered(20_000, tables.digits(slice(0, 1500)))
    job_id = graft.submit(batch(slow_model, graft.dataset(table, kind=PARQUET))).json()["id"]
    progress = scoring(graft, job_id, 2 * SHARD_ROWS)["progress"]
    assert (progress["total"], progress["unit"], progress["details"]) == (20_000, "rows", {"shards": 20})
    assert progress["percent"] == round(100 * progress["completed"] / 20_000, 1)
    assert progress["eta_seconds"] > 0
    graft.post(f"/v1/jobs/{job_id}/cancel")
    job = graft.ended(job_id, 20)
    assert job["status"] == "cancelled"
    assert graft.get(f"/v1/jobs/{job_id}/output").status_code == 409


@pytest.fixture
def interrupted(graft: Graft, slow_model: str) -> tuple[str, Json]:
    """A job that was cancelled when some of its shards had been scored."""
    table = numbered(20_000, tables.digits(slice(0, 1500)))
    body = batch(slow_model, graft.dataset(table, kind=PARQUET))
    job_id = graft.submit(body).json()["id"]
    scoring(graft, job_id, 4 * SHARD_ROWS)
    graft.post(f"/v1/jobs/{job_id}/cancel")
    assert graft.ended(job_id, 20)["status"] == "cancelled"
    return job_id, body


def test_a_retry_scores_only_what_is_missing(graft: Graft, interrupted: tuple[str, Json]) -> None:
    job_id, _ = interrupted
    again = graft.post(f"/v1/jobs/{job_id}/retry").json()["id"]
    job = graft.ended(again)
    assert job["status"] == "succeeded"
    (split,) = [event for event in events(graft, again) if event["event"] == "split"]
    scored = int(split["reason"].split()[2])
    assert 3 <= scored < 20
    assert numbers(graft, again) == list(range(20_000))


def test_a_shard_is_no_job(graft: Graft, interrupted: tuple[str, Json]) -> None:
    job_id, _ = interrupted
    for path in ("", "/events", "/logs", "/output"):
        assert graft.get(f"/v1/jobs/{job_id}.00001{path}").status_code == 404
    assert graft.post(f"/v1/jobs/{job_id}.00001/cancel").status_code == 404
    assert graft.post(f"/v1/jobs/{job_id}.00001/retry").status_code == 404
    listed = graft.get("/v1/jobs", params={"limit": 100}).json()["data"]
    assert not [job["id"] for job in listed if "." in job["id"]]


def test_an_object_that_changes_under_a_job_fails_it(
    graft: Graft, slow_model: str, stack: RunningStack
) -> None:
    client = s3(stack.store.settings)
    table = numbered(20_000, tables.digits(slice(0, 1500)))
    key = "split/changing.parquet"
    client.put_object(Bucket=USER_BUCKET, Key=key, Body=written(table, PARQUET))
    job_id = graft.submit(batch(slow_model, {"uri": f"s3://{USER_BUCKET}/{key}"})).json()["id"]
    scoring(graft, job_id)
    other = table.set_column(0, "f0", pa.array([1.0] * 20_000))
    client.put_object(Bucket=USER_BUCKET, Key=key, Body=written(other, PARQUET))
    job = graft.ended(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "input_changed")
