"""The probe of a worker says yes while the worker lives or nobody can know, and no when it is silent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from graft.stack import ports
from shared import alive, keys
from shared.services import Services
from shared.workers import WorkerStatus


def probe(url: str, *options: str) -> int:
    command = [sys.executable, "-m", "shared.alive", *options]
    return subprocess.run(command, env=os.environ | {"GRAFT_REDIS_URL": url}, timeout=60).returncode


@pytest.fixture
def url(services: Services) -> str:
    return services.settings.redis_url.get_secret_value()


@pytest.mark.parametrize("options", [(), ("--registered",)])
def test_the_worker_of_this_host_counts_and_no_other(
    services: Services, url: str, options: tuple[str, ...]
) -> None:
    services.workers.seen(WorkerStatus("worker-1@elsewhere", 1, 0))
    assert probe(url, *options) == 1
    services.workers.seen(WorkerStatus(f"worker-1@{socket.gethostname()}", 1, 0))
    assert probe(url, *options) == 0


def test_a_worker_that_is_silent_is_not_alive(services: Services) -> None:
    services.workers.seen(WorkerStatus("worker-1@host", 1, 0))
    assert alive.alive(services.database, "host", registered=True)
    status = services.database.hget(keys.WORKERS, "worker-1@host")
    seen_ms = services.workers.alive(60)[0].seen_ms
    older = str(seen_ms - int(alive.WITHIN_SECONDS * 1000) - 1000)
    services.database.hset(keys.WORKERS, "worker-1@host", status.replace(str(seen_ms), older))
    assert not alive.alive(services.database, "host", registered=False)


def test_while_redis_is_away_a_worker_is_left_alone_but_at_its_start() -> None:
    nowhere = f"redis://127.0.0.1:{ports.choose('127.0.0.1')}/0"
    assert probe(nowhere) == 0
    assert probe(nowhere, "--registered") == 1
