"""The API's speed beside bare Flask, Celery and Redis, in turn and on the same machine.

    python -m benchmarks.api [--rounds 5] [--seconds 2] [--jobs 1000000] [--only rates,pollers,list,pickup]

A whole embedded stack is started; the bare applications (`benchmarks._api.bare`) are served by gunicorn with the same
settings (2 processes of 16 threads) and use the same Redis. 16 connections ask in a closed loop, as in
`wrk -c16`; the load generator shares the machine with the servers. Rounds go in turn, figures are medians.

    rates     POST /v1/jobs beside a view that calls `apply_async`; GET /v1/jobs/{id} and its 304 beside a view
              that does one HGETALL of the same hash
    pollers   1,000 clients that look at a job each second, on connections that they keep
    list      a page of 50 among 1,000 jobs and among a million
    pickup    from acceptance to the first attempt's claim while a worker idles, beside a task of a bare Celery worker
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis
from ulid import ULID

from benchmarks._api import bare, load
from benchmarks._api.serving import running, served
from benchmarks._clients import authorization, small_job
from graft.stack import Stack
from shared import keys

CONNECTIONS = 16
POLLERS = 1_000
PARTS = ("pickup", "rates", "pollers", "list")
_PAGE = 50
_MOST_A_MINUTE = 10_000_000
"""Requests are counted as ever, but none is refused: the limit that is set for a project is 2,000 a second."""


class Bench:
    """A stack whose API is asked, and the job that is submitted to it."""

    def __init__(self, stack: Stack, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.stack = stack
        self.redis_url = stack.plan.worker.env["GRAFT_REDIS_URL"]
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self.authorization = authorization(stack)
        self.http = httpx.Client(base_url=stack.plan.api.endpoint.url, headers=self.authorization, timeout=60)
        self.body = small_job(self.http)

    def submit(self) -> dict[str, Any]:
        job: dict[str, Any] = self.http.post("/v1/jobs", json=self.body).raise_for_status().json()
        return job

    def ask(
        self,
        method: str,
        path: str,
        status: int,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        connections: int = CONNECTIONS,
        pause_seconds: float = 0.0,
        seconds: float | None = None,
    ) -> load.Load:
        """Load on the API, or on another server at `url`."""
        parts = urlsplit(url or self.stack.plan.api.endpoint.url)
        address = (parts.hostname or "", parts.port or 80)
        content = load.request(
            method, path, host=parts.netloc, headers={**self.authorization, **(headers or {})}, body=body
        )
        return load.drive(
            address,
            content,
            connections=connections,
            seconds=seconds or self.chosen.seconds,
            status=status,
            pause_seconds=pause_seconds,
        )


def main() -> None:
    chosen = _arguments()
    os.environ.setdefault("GRAFT_RATE_LIMIT", str(_MOST_A_MINUTE))
    with (
        tempfile.TemporaryDirectory(prefix="graft-bench-") as directory,
        Stack(Path(directory) / "data", port=0, concurrency=2, say=lambda _: None) as stack,
    ):
        stack.start()
        bench = Bench(stack, chosen)
        if "pickup" in chosen.only:
            pickup(bench)
        stack.servers["worker"].stop()  # what is accepted from here on stays in the queue
        if "rates" in chosen.only:
            rates(bench)
        if "pollers" in chosen.only:
            pollers(bench)
        if "list" in chosen.only:
            listing(bench)


def rates(bench: Bench) -> None:
    """Requests a second, side by side."""
    job = bench.submit()
    path, key = f"/v1/jobs/{job['id']}", keys.job("default", job["id"])
    etag = {"If-None-Match": bench.http.get(path).headers["ETag"]}
    posted: dict[str, Any] = {
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(bench.body).encode(),
    }
    with served(
        "benchmarks._api.bare:create_app()", ready="/jobs/none", BARE_REDIS_URL=bench.redis_url
    ) as url:
        sides = {
            "POST /v1/jobs": lambda: bench.ask("POST", "/v1/jobs", 202, **posted),
            "  bare: apply_async": lambda: bench.ask("POST", "/jobs", 202, url=url, **posted),
            "GET /v1/jobs/{id}": lambda: bench.ask("GET", path, 200),
            "  the same, 304": lambda: bench.ask("GET", path, 304, headers=etag),
            "  bare: HGETALL": lambda: bench.ask("GET", f"/jobs/{key}", 200, url=url),
        }
        for ask in sides.values():
            ask()  # once unmeasured: connections, caches
        measured: dict[str, list[load.Load]] = {name: [] for name in sides}
        for _ in range(bench.chosen.rounds):
            for name, ask in sides.items():
                measured[name].append(ask())
            bench.redis.delete(bare.QUEUE)
    rate = {name: statistics.median(found.rate for found in runs) for name, runs in measured.items()}
    print(f"\n{CONNECTIONS} connections\n{'':<24}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    for name, runs in measured.items():
        against = "  bare: apply_async" if "POST" in name else "  bare: HGETALL"
        ratio = "" if "bare" in name else f"{rate[name] / rate[against]:8.2f}"
        p50, p99 = (statistics.median(run.quantile(q) for run in runs) * 1000 for q in (0.5, 0.99))
        print(f"{name:<24}{rate[name]:12,.0f}{p50:9.1f}{p99:9.1f}{ratio}", flush=True)


def pollers(bench: Bench) -> None:
    """Everyone asks once a second, as `Retry-After` says."""
    path = f"/v1/jobs/{bench.submit()['id']}"
    etag = {"If-None-Match": bench.http.get(path).headers["ETag"]}
    found = bench.ask(
        "GET",
        path,
        304,
        headers=etag,
        connections=POLLERS,
        pause_seconds=1.0,
        seconds=5 * bench.chosen.seconds,
    )
    print(
        f"\n{POLLERS:,} pollers, each once a second: {found.rate:,.0f} requests/s, "
        f"p50 {found.quantile(0.5) * 1000:.1f} ms, p99 {found.quantile(0.99) * 1000:.1f} ms",
        flush=True,
    )


def listing(bench: Bench) -> None:
    """Milliseconds of a page, before and after the project has got so many jobs."""
    template = bench.redis.hgetall(keys.job("default", bench.submit()["id"]))
    pages = {
        "newest": lambda _: {},
        "from the middle on": lambda ids: {"after": ids[len(ids) // 2]},
        "by status": lambda _: {"status": "succeeded"},
        "by type and status": lambda _: {"type": "shift_report", "status": "succeeded"},
    }
    print(f"\nmilliseconds of a page of {_PAGE} among\n{'':<24}", end="")
    columns = []
    for count in (1_000, bench.chosen.jobs):
        ids = fill(bench.redis, template, count)
        columns.append([page_seconds(bench, query(ids)) * 1000 for query in pages.values()])
        print(f"{f'{count:,} jobs':>18}", end="", flush=True)
    print()
    for name, few, many in zip(pages, *columns, strict=True):
        print(f"{name:<24}{few:18.2f}{many:18.2f}")


def fill(client: redis.Redis, template: dict[str, str], count: int) -> Sequence[str]:
    """So many ended jobs, as the store's scripts would have left them; oldest first."""
    ids = [f"job_{ULID()}" for _ in range(count)]
    ids.sort()
    indexes = [
        keys.jobs("default"),
        keys.jobs_by("default", "type", template["type"]),
        keys.jobs_by("default", "status", "succeeded"),
    ]
    fields = {**template, "status": "succeeded", "uses": ""}
    for start in range(0, count, 5_000):
        chunk = ids[start : start + 5_000]
        with client.pipeline(transaction=False) as pipe:
            for job_id in chunk:
                pipe.hset(keys.job("default", job_id), mapping={**fields, "id": job_id})
            for index in indexes:
                pipe.zadd(index, dict.fromkeys(chunk, 0))
            pipe.execute()
    return ids


def page_seconds(bench: Bench, query: dict[str, str]) -> float:
    taken = []
    for _ in range(30):
        started = time.perf_counter()
        answer = bench.http.get("/v1/jobs", params={"limit": _PAGE, **query}).raise_for_status()
        taken.append(time.perf_counter() - started)
        if len(answer.json()["data"]) != _PAGE:
            raise SystemExit(f"a page of {_PAGE} was expected")
    return statistics.median(taken)


def pickup(bench: Bench) -> None:
    """Milliseconds until somebody begins, one job at a time."""
    ours, theirs = [], []
    with bare_worker(bench.redis_url):
        for _ in range(20 * bench.chosen.rounds):
            job = bench.submit()
            while job["status"] in {"queued", "running"}:
                time.sleep(0.01)
                job = bench.http.get(f"/v1/jobs/{job['id']}").json()
            created, started = (datetime.fromisoformat(job[name]) for name in ("created_at", "started_at"))
            ours.append((started - created).total_seconds())
            sent = time.time()
            bare.start.apply_async(args=[bench.body])
            _, begun = bench.redis.blpop([bare.STARTED], timeout=30)
            theirs.append(float(begun) - sent)
    print(f"\npick-up by an idle worker\n{'':<24}{'p50 ms':>9}{'p95 ms':>9}")
    for name, values in (("Graft", ours), ("bare Celery", theirs)):
        p50, p95 = statistics.median(values), statistics.quantiles(values, n=20)[-1]
        print(f"{name:<24}{p50 * 1000:9.1f}{p95 * 1000:9.1f}", flush=True)


@contextmanager
def bare_worker(redis_url: str) -> Iterator[None]:
    """Started when it has run one task. `bare.start` of this process finds it, too."""
    bare.celery.conf.broker_url = redis_url
    settings = ["-P", "threads", "-c", "2", "-Q", bare.QUEUE, "-l", "error"]
    with running(
        "celery", "-A", "benchmarks._api.bare:celery", "worker", *settings, BARE_REDIS_URL=redis_url
    ):
        client = redis.Redis.from_url(redis_url)
        bare.start.apply_async(args=[None])
        if client.blpop([bare.STARTED], timeout=30) is None:
            raise SystemExit("the bare Celery worker has not come up")
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="in the longer list")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
