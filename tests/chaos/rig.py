"""Graft as separate real processes that a test can hurt one by one.

    test ──HTTP── API ─────────────── Redis
                   └───────────────── store
         worker ──┬── proxy (to_redis) ── Redis
                  └── proxy (to_store) ── store

Leases are short, so that a takeover takes seconds. Workers serve the queues high and normal; low is kept for
workers that a test starts with settings of its own.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa

from graft.stack import (
    Endpoint,
    RunningServer,
    Service,
    object_store_endpoint,
    ports,
    services,
    start_object_store,
    start_redis,
)
from shared import services as composition
from shared.config import Settings
from tests.chaos.invariants import check_invariants
from tests.chaos.proxy import Proxy
from tests.e2e import tables
from tests.e2e.test_batch_prediction import fetched
from tests.support.client import ENDED, PARQUET, Graft, Json, as_table, train_body
from tests.support.waiting import eventually

USER_BUCKET = "lake"
LEASE_SECONDS = 3.0
#: What the issue allows on top of a lease until a job runs elsewhere.
TAKEOVER_SECONDS = LEASE_SECONDS + 10.0
GRACE_SECONDS = 10.0

TIMES = {
    "GRAFT_LEASE_SECONDS": str(LEASE_SECONDS),
    "GRAFT_RENEW_SECONDS": "0.5",
    "GRAFT_TICK_SECONDS": "0.3",
    "GRAFT_UPKEEP_SECONDS": "0.5",
    "GRAFT_DRAIN_SECONDS": "1",
    "GRAFT_REWAKE_SECONDS": "1",
}


class Worker(RunningServer):
    """A worker process, with the means to hurt it alone or only what it runs."""

    leaving = False

    @property
    def known_as(self) -> str:
        """Its name in Redis, and in the field `worker` of its jobs."""
        return self.service.argv[self.service.argv.index("--name") + 1]

    def start(self) -> None:
        super().start()
        self.leaving = False

    def hurt(self, signal_number: signal.Signals) -> None:
        """A signal to the worker's own process, and to none of those that it started."""
        os.kill(self.pid, signal_number)
        self.leaving = self.leaving or signal_number in {signal.SIGTERM, signal.SIGKILL}

    def forkserver(self) -> psutil.Process | None:
        found = psutil.Process(self.pid).children()
        return next((process for process in found if "forkserver" in _command(process)), None)

    def children(self) -> list[psutil.Process]:
        """The processes that compute: the forkserver's children."""
        try:
            forkserver = self.forkserver()
            return forkserver.children() if forkserver else []
        except psutil.NoSuchProcess:
            return []

    def wait_exit(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself."""
        eventually(lambda: self.exit_code() is not None, seconds)
        return int(self.exit_code() or 0)

    def log(self) -> str:
        return self.service.log.read_text(errors="replace")


class Rig:
    """Redis, store, API, and workers by name. `mend` brings all of it back to health."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self.redis = stack.enter_context(start_redis(directory))
        self.store = stack.enter_context(start_object_store(directory))
        self.to_redis = stack.enter_context(Proxy(_port(self.redis.url)))
        self.to_store = stack.enter_context(Proxy(_port(self.store.url)))
        self.api_key = secrets.token_hex(8)
        self._own = {
            **TIMES,
            "GRAFT_SIGNING_KEY": secrets.token_hex(16),
            "GRAFT_API_KEYS": self.api_key,
            "GRAFT_S3_ALLOWED_BUCKETS": USER_BUCKET,
        }
        self.failpoints = directory / "failpoints"
        self.failpoints.mkdir()
        self.direct = {**self._own, **self.redis.settings, **self.store.settings}
        self.proxied = {
            **self.direct,
            "GRAFT_REDIS_URL": _through(self.redis.url, self.to_redis),
            "GRAFT_S3_ENDPOINT_URL": _through(self.store.url, self.to_store),
        }
        self.services = composition.build(
            Settings.model_validate(
                {name.removeprefix("GRAFT_").lower(): v for name, v in self.direct.items()}
            )
        )
        stack.callback(self.services.database.close)
        assert _bucket(self.store.settings, USER_BUCKET).why_not_ready() is None
        self.workers: dict[str, Worker] = {}
        self._usual: dict[str, Service] = {}
        self.acknowledged: list[str] = []
        self.measured: list[tuple[str, float]] = []
        self.api = RunningServer(
            services.api_service(directory, "127.0.0.1", ports.choose("127.0.0.1"), self._armed(self.direct))
        )
        stack.enter_context(self.api)
        self.worker("a")
        self.worker("b")
        self.api.start()
        for server in (*self.workers.values(), self.api):
            server.wait_ready()
        self.graft = stack.enter_context(Graft(self.api.url, self.api_key))

    # Processes

    def worker(self, name: str, *, queues: str = "high,normal", **settings: str) -> Worker:
        """A new worker, starting; it lives until the rig's end."""
        home = self.directory / name
        own = self._armed({**self.proxied, **settings})
        service = services.worker_service(home, 1, own, grace_seconds=GRACE_SECONDS)
        argv, env = (*service.argv, "--queues", queues), {**service.env, **settings}
        worker = Worker(dataclasses.replace(service, argv=argv, env=env))
        self._stack.enter_context(worker)
        self.workers[name] = worker
        self._usual[name] = worker.service
        worker.start()
        return worker

    def _armed(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {**settings, "GRAFT_FAILPOINTS": str(self.failpoints)}

    @contextmanager
    def dies_at(self, point: str) -> Iterator[None]:
        """The first process that reaches this failpoint is killed there, before the block is left."""
        armed = self.failpoints / point
        armed.touch()
        yield
        eventually(lambda: not armed.exists(), 30)

    @contextmanager
    def extra_worker(self, *, queues: str = "low", **settings: str) -> Iterator[Worker]:
        """A worker with settings of its own, which alone serves the queue low."""
        worker = self.worker(f"extra-{secrets.token_hex(2)}", queues=queues, **settings).wait_ready()
        try:
            yield worker
        finally:
            worker.stop()
            self.workers = {name: other for name, other in self.workers.items() if other is not worker}

    def direct_worker(self, name: str) -> Worker:
        """That worker anew, with no proxy before its servers, until the rig is mended."""
        worker = self.workers[name]
        worker.stop()
        env = {**worker.service.env, **self.redis.settings, **self.store.settings}
        worker.service = dataclasses.replace(worker.service, env=env)
        worker.start()
        worker.wait_ready()
        return worker

    def only(self, name: str) -> Worker:
        """That worker, with the others stopped."""
        for other, worker in self.workers.items():
            if other != name:
                worker.stop()
        return self.workers[name]

    def stop_workers(self) -> None:
        for worker in self.workers.values():
            worker.stop()

    def mend(self) -> None:
        """Everything runs again, and nothing is in the way."""
        for armed in self.failpoints.iterdir():
            armed.unlink()
        for proxy in (self.to_redis, self.to_store):
            proxy.heal()
            proxy.cut(dead_only=True)
        for name, worker in self.workers.items():
            if worker.leaving or worker.service is not self._usual[name]:
                worker.stop()
                worker.service = self._usual[name]
        for server in (self.redis, self.store, self.api, *self.workers.values()):
            if server.exit_code() is None:
                server.resume()
            else:
                server.start()
        for server in (self.redis, self.store, *self.workers.values(), self.api):
            server.wait_ready()

    def forget(self) -> None:
        """Begin the next test with an empty Redis: what it finds wrong is its own."""
        self.services.database.flushall()
        self.acknowledged.clear()
        for cached in ("small", "digits", "slow_scorer"):
            self.__dict__.pop(cached, None)

    # Jobs

    @cached_property
    def small(self) -> str:
        """A dataset of 60 rows: training on it takes a few tenths of a second."""
        X = [[float(i % 7), float(i % 5)] for i in range(60)]
        import numpy as np

        return self.graft.dataset(as_table(np.array(X), [i % 2 for i in range(60)]))

    @cached_property
    def digits(self) -> str:
        return self.graft.dataset(tables.digits(slice(0, 1500)))

    def quick(self, **changes: Any) -> Json:
        """A job of well under a second."""
        return train_body(self.small, "quick", **changes)

    def long(self, epochs: int = 400, **changes: Any) -> Json:
        """A job of some seconds, so that there is time to hurt it."""
        estimator = {
            "kind": "neural_network",
            "epochs": epochs,
            "hidden_layers": [256],
            "learning_rate": 1e-6,
        }
        return train_body(self.digits, "long", estimator=estimator, **changes)

    def batch(self, rows: int = 12_000, **changes: Any) -> Json:
        """A batch of some seconds, split into shards of a thousand rows."""
        return {
            "type": "batch_predict",
            "model": self.slow_scorer,
            "input": {"dataset": self.many_digits(rows)},
            "output": {"columns": "id"},
            "id_column": "number",
            "shard_rows": 1_000,
            **changes,
        }

    @cached_property
    def slow_scorer(self) -> str:
        """A model that scores some thousand rows a second."""
        self.graft.run(train_body(self.digits, "slow-scorer", "svm"))
        return "slow-scorer:1"

    def many_digits(self, rows: int) -> str:
        digits = tables.digits(slice(0, 1500)).drop_columns(["label"])
        repeated = pa.concat_tables([digits] * (rows // digits.num_rows + 1)).slice(0, rows)
        return self.graft.dataset(repeated.append_column("number", pa.array(range(rows))), kind=PARQUET)

    def scoring(self, job_id: str, least: int = 1_000) -> Json:
        """The job, once at least so many rows of its shards have been scored."""
        return eventually(lambda: _has_scored(self.graft.job(job_id), least), 60)

    def numbers(self, job_id: str) -> list[int]:
        """The rows of a batch's output, by their numbers."""
        return fetched(self.graft.output(job_id))["number"].to_pylist()

    def submit(self, body: Mapping[str, Any], **headers: str) -> str:
        """The id of an accepted job, remembered as promised."""
        response = self.graft.submit(body, **headers)
        assert response.status_code == 202, response.text
        job_id = str(response.json()["id"])
        self.acknowledged.append(job_id)
        return job_id

    def computing(self, job_id: str, *, attempt: int = 1, seconds: float = 60) -> Worker:
        """The worker whose child computes that attempt, once one does."""

        def look() -> Worker | None:
            job = self.graft.job(job_id)
            assert job["status"] not in ENDED, job
            if job["attempt"] != attempt or (job["progress"] or {}).get("phase") != "fitting":
                return None
            return next(w for w in self.workers.values() if job["worker"] == w.known_as)

        worker = eventually(look, seconds)
        assert worker is not None
        return worker

    def phase(self, job_id: str, phase: str, seconds: float = 60) -> Json:
        """The job, once it is in that phase of its attempt."""
        return eventually(lambda: _in_phase(self.graft.job(job_id), phase), seconds)

    def events(self, job_id: str) -> list[str]:
        return [event["event"] for event in self.graft.get(f"/v1/jobs/{job_id}/events").json()["data"]]

    def attempt(self, job_id: str, number: int, seconds: float) -> Json:
        """The job, once that attempt of it has begun (or is over)."""
        return eventually(lambda: _from_attempt(self.graft.job(job_id), number), seconds)

    def all_ended(self, seconds: float = 120) -> None:
        """Every acknowledged job has ended."""
        for job_id in self.acknowledged:
            self.graft.ended(job_id, seconds)

    @contextmanager
    def stopwatch(self, what: str) -> Iterator[None]:
        """Measure a recovery; the figures stand at the end of the run."""
        started = time.monotonic()
        yield
        self.measured.append((what, time.monotonic() - started))

    def check(self) -> None:
        """Every job has ended, and every invariant holds."""
        self.all_ended()
        check_invariants(self.services, self.acknowledged)


def answers(url: str, key: str, seconds: float = 30) -> httpx.Response:
    """One request on a connection of its own."""
    return httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=seconds)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return ""


def _in_phase(job: Json, phase: str) -> Json | None:
    assert job["status"] not in ENDED, job
    return job if (job["progress"] or {}).get("phase") == phase else None


def _has_scored(job: Json, least: int) -> Json | None:
    assert job["status"] not in ENDED, job
    progress = job["progress"] or {}
    return job if progress.get("phase") == "scoring" and progress["completed"] >= least else None


def _from_attempt(job: Json, number: int) -> Json | None:
    return job if job["attempt"] >= number else None


def _bucket(settings: Mapping[str, str], name: str) -> Endpoint:
    """Another bucket of the store, which is made when it is first looked at."""
    return object_store_endpoint(
        settings["GRAFT_S3_ENDPOINT_URL"],
        access_key_id=settings["GRAFT_S3_ACCESS_KEY_ID"],
        secret_access_key=settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        bucket=name,
    )


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])


def _through(url: str, proxy: Proxy) -> str:
    return url.replace(f":{_port(url)}", f":{proxy.port}")


__all__ = ["Rig", "Service", "Worker"]
