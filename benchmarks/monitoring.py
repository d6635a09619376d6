"""What it costs to be watched: the counting of a request, of a job in its scripts, and a scrape.

    python -m benchmarks.monitoring [--rounds 9] [--calls 2000] [--projects 1000]

The counting of a request is timed alone, in files as the API's processes have them. Jobs are accepted, claimed and
finished on a Redis started for this, by the scripts as they are and by the same without their tallies, in turn. A
survey is what a scrape asks Redis, with so many projects in line of ten jobs each. Figures are medians over the rounds
of the mean of a call.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.stack import start_redis
from shared import database, lua
from shared.database import Database
from shared.job_records import NewJob
from shared.jobs import JobStore
from shared.states import JobState
from shared.tallies import TallyStore


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--projects", type=int, default=1_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, start_redis(Path(directory)) as server:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        url = server.settings["GRAFT_REDIS_URL"]
        counted, bare = _store(database.connect(url)), _store(_untallied(url))
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "counting a request": (_request(), 20 * chosen.calls),
            "a job accepted, claimed and ended": (_job(counted), chosen.calls),
            "the same without tallies": (_job(bare), chosen.calls),
        }
        costs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, (way, calls) in ways.items():
                costs[name].append(_timed(way, calls))
        _line_up(counted, chosen.projects)
        tallies, redis = TallyStore(database.connect(url)), database.connect(url)
        name = f"a survey with {chosen.projects:,} projects in line"
        costs[name] = [_timed(tallies.survey, 10) for _ in range(chosen.rounds)]
        redis.slowlog_reset()
        redis.config_set("slowlog-log-slower-than", 0)
        tallies.survey()
        slowest = max(entry["duration"] for entry in redis.slowlog_get(10))
        costs["of that in Redis"] = [slowest / 1e6]
    print("| | µs |\n|---|---|")
    for name, seconds in costs.items():
        print(f"| {name} | {1e6 * statistics.median(seconds):.1f} |")


def _request() -> Callable[[], object]:
    """What `api.app` does for each request."""
    from flask import Flask, Response  # after the variable above is set, as prometheus_client reads it then

    from api import counters

    app = Flask("bench")
    app.add_url_rule("/v1/jobs/<job_id>", "get_job", lambda job_id: "")
    app.test_request_context("/v1/jobs/job_1").push()
    response = Response()

    def count() -> None:
        counters.begin_request()
        counters.end_request(response)

    return count


def _store(redis: Database) -> JobStore:
    return JobStore(redis, lease_seconds=30, max_live_jobs=10**9, max_interruptions=1, idempotency_seconds=60)


def _untallied(url: str) -> Database:
    """Scripts whose tallies return at once."""
    redis = database.connect(url)

    class Bare:
        def script(self, name: str) -> Any:
            source = lua.source(name)
            for function in (
                "tally(count, ...)",
                "tally_duration(name, label, ms)",
                "tally_attempt(job, outcome, code)",
            ):
                assert f"local function {function}\n" in source
                source = source.replace(
                    f"local function {function}\n", f"local function {function}\n  if true then return end\n"
                )
            return redis.register_script(source)

        def __getattr__(self, name: str) -> Any:
            return getattr(redis, name)

    return Bare()


def _job(jobs: JobStore) -> Callable[[], object]:
    def run() -> None:
        jobs.submit(NewJob(project="bench", type="train", spec={}))
        claimed = jobs.claim("normal", "worker")
        assert claimed is not None
        jobs.finish(claimed[0], JobState.SUCCEEDED)

    return run


def _line_up(jobs: JobStore, projects: int) -> None:
    for number in range(projects):
        for _ in range(10):
            jobs.submit(NewJob(project=f"project-{number}", type="train", spec={}))


def _timed(way: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        way()
    return (time.perf_counter() - started) / calls


if __name__ == "__main__":
    main()
