"""How late the jobs of schedules are while workers are idle.

    python -m benchmarks.scheduling [--schedules 2] [--minutes 3]

A whole embedded stack is started, whose worker has two threads, and schedules that fire every minute. An occurrence's
lateness is from its nominal time to the creation of its job, and to the beginning of the job's first attempt, both by
Redis's clock. The jobs are small (`shift_report` on 150 rows). Up to two schedules find an idle thread each; of more,
the first attempts wait for one another. The command fails if an occurrence of an idle worker is later than promised.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from benchmarks._clients import authorization, small_job
from graft.stack import Stack

PROMISE_SECONDS = 5.0
_THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=2)
    parser.add_argument("--minutes", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as directory, running(Path(directory)) as client:
        made = make(client, chosen.schedules)
        time.sleep(60 * chosen.minutes + 20)
        accepted, begun = lateness(client, made)
    expected = chosen.schedules * chosen.minutes
    print(f"{len(accepted)} occurrences of {chosen.schedules} schedules, each every minute")
    print("\n| from the nominal time to | median | 95 % | latest |\n|---|---|---|---|")
    for what, values in (("the job's acceptance", accepted), ("its first attempt", begun)):
        ordered = sorted(values)
        late = ordered[int(len(ordered) * 0.95)]
        print(f"| {what} | {statistics.median(ordered):.2f} s | {late:.2f} s | {ordered[-1]:.2f} s |")
    if len(accepted) < expected:
        raise SystemExit(f"only {len(accepted)} of at least {expected} occurrences have come")
    promised = begun if chosen.schedules <= _THREADS else accepted
    if max(promised) > PROMISE_SECONDS:
        raise SystemExit(f"the promise of {PROMISE_SECONDS:.0f} s is broken")


@contextmanager
def running(directory: Path) -> Iterator[httpx.Client]:
    with Stack(directory, port=0, concurrency=_THREADS, say=lambda _: None) as stack:
        stack.start()
        url, headers = stack.plan.api.endpoint.url, authorization(stack)
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            yield client


def make(client: httpx.Client, count: int) -> list[str]:
    """The ids of so many schedules."""
    body = {"name": "minutely", "cron": "* * * * *", "job": small_job(client), "overlap": "queue"}
    return [client.post("/v1/schedules", json=body).raise_for_status().json()["id"] for _ in range(count)]


def lateness(client: httpx.Client, schedules: list[str]) -> tuple[list[float], list[float]]:
    """Seconds from each occurrence's nominal time to its job's acceptance, and to its first attempt."""
    accepted, begun = [], []
    for schedule in schedules:
        for occurrence in client.get(f"/v1/schedules/{schedule}/occurrences").json()["data"]:
            nominal = datetime.fromisoformat(occurrence["scheduled_for"])
            job = client.get(f"/v1/jobs/{occurrence['job']}").raise_for_status().json()
            accepted.append((datetime.fromisoformat(job["created_at"]) - nominal).total_seconds())
            if job["started_at"]:
                begun.append((datetime.fromisoformat(job["started_at"]) - nominal).total_seconds())
    return accepted, begun


if __name__ == "__main__":
    main()
