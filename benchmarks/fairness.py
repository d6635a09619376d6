"""How long a single job waits behind the backlog of another project, and behind that of its own.

    python -m benchmarks.fairness [--backlogs 1 100 10000] [--rounds 10]

A whole embedded stack is started for each size of the backlog, with two threads. So many small jobs (`shift_report` on
150 rows) are queued in one project; then single ones are submitted in another, each when the one before has ended, and
the time from acceptance to the first attempt is taken by Redis's clock. The baseline is a job that stands in the line
of the backlog itself, as it would in one queue for all; beyond 100 jobs it is estimated from the rate of the jobs.

The command fails if the wait grows with the backlog: beyond three times that behind the shortest one, and a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks._clients import small_job
from graft.stack import Stack

_THREADS = 2
_MEASURED_UP_TO = 100
_KEYS = {"busy": "a-key-of-the-busy-one", "small": "a-key-of-the-small-one"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backlogs", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    os.environ["GRAFT_API_KEYS"] = ",".join(f"{project}:{key}" for project, key in _KEYS.items())
    os.environ["GRAFT_RATE_LIMIT"] = "0"
    rows = [measure(backlog, chosen.rounds) for backlog in chosen.backlogs]
    print("| queued in another project | wait, median | longest | in one line with them |\n|---|---|---|---|")
    for backlog, waits, behind, measured in rows:
        shown = f"{behind:.1f} s" if measured else f"≈ {behind:.0f} s"
        print(f"| {backlog:,} | {statistics.median(waits):.2f} s | {max(waits):.2f} s | {shown} |")
    medians = [statistics.median(waits) for _, waits, *_ in rows]
    if max(medians) > max(3 * medians[0], 1.0):
        raise SystemExit("the wait grows with the backlog of another project")


def measure(backlog: int, rounds: int) -> tuple[int, list[float], float, bool]:
    """The waits of single jobs, and that of a job behind the backlog in its own project."""
    with (
        tempfile.TemporaryDirectory(prefix="graft-bench-") as directory,
        Stack(Path(directory), port=0, concurrency=_THREADS, say=lambda _: None) as stack,
    ):
        stack.start()
        with _client(stack, "busy") as busy, _client(stack, "small") as small:
            queued = _queue(busy, small_job(busy), backlog)
            since, before = time.monotonic(), _count_ended(busy, queued)
            body = small_job(small)
            waits = [_wait(small, body) for _ in range(rounds)]
            if backlog <= _MEASURED_UP_TO:
                return backlog, waits, _seconds(_ended(busy, queued[-1])), True
            ended = _count_ended(busy, queued) - before + rounds
            return backlog, waits, backlog * (time.monotonic() - since) / ended, False


def _client(stack: Stack, project: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {_KEYS[project]}"}
    return httpx.Client(base_url=stack.plan.api.endpoint.url, headers=headers, timeout=60)


def _queue(client: httpx.Client, body: dict[str, Any], count: int) -> list[str]:
    def submit(_: int) -> str:
        job_id: str = client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        return job_id

    with ThreadPoolExecutor(8) as pool:
        return sorted(pool.map(submit, range(count)))


def _wait(client: httpx.Client, body: dict[str, Any]) -> float:
    """Of one job, from its acceptance to its first attempt."""
    return _seconds(_ended(client, client.post("/v1/jobs", json=body).raise_for_status().json()["id"]))


def _ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}", params={"wait": 20}).raise_for_status().json()
        if job["finished_at"]:
            return job


def _seconds(job: dict[str, Any]) -> float:
    moments = [datetime.fromisoformat(job[name]) for name in ("created_at", "started_at")]
    return (moments[1] - moments[0]).total_seconds()


def _count_ended(client: httpx.Client, queued: list[str]) -> int:
    """How many have ended: they do so in their order."""
    first, last = 0, len(queued)
    while first < last:
        middle = (first + last) // 2
        if client.get(f"/v1/jobs/{queued[middle]}").raise_for_status().json()["finished_at"]:
            first = middle + 1
        else:
            last = middle
    return first


if __name__ == "__main__":
    main()
