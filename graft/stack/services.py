"""How Graft's own two processes are run: the API under gunicorn, and the Celery worker.

They get their settings through the environment alone; see `shared.config.Settings`.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from graft.stack import addresses, private
from graft.stack.servers import Endpoint, Service
from shared import database
from shared.errors import Temporary
from shared.workers import WorkerStore

ALIVE_SECONDS = 15.0
#: `-P`: a folder named `api` where the user happens to stand must not become ours.
PYTHON = (sys.executable, "-P", "-m")


def api_service(directory: Path, host: str, port: int, settings: Mapping[str, str]) -> Service:
    address = addresses.join(host, port)
    return Service(
        argv=(*PYTHON, "gunicorn", "--config", "python:api.gunicorn_conf"),
        env=_environment(directory, settings) | {"GRAFT_BIND": address},
        cwd=_empty_directory(directory),
        log=directory / "logs" / "api.log",
        endpoint=Endpoint(
            name="api",
            url=f"http://{address}",
            probe=lambda: _why_not_serving(addresses.reachable(host), port),
        ),
        grace_seconds=10.0,
        orphan_signal=signal.SIGQUIT,  # gunicorn's quick stop: its workers go with it
    )


def worker_service(
    directory: Path, concurrency: int, settings: Mapping[str, str], *, grace_seconds: float
) -> Service:
    """`grace_seconds` must cover the worker's own draining.

    It gets a new name with every `graft up`: Redis may still hold the sign of life of one that was
    killed a moment ago, and /readyz of the API would be content with that.
    """
    name = f"worker-{secrets.token_hex(4)}@{socket.gethostname()}"
    return Service(
        argv=(*PYTHON, "worker", "--concurrency", str(concurrency), "--name", name),
        env=_environment(directory, settings),
        cwd=_empty_directory(directory),
        log=directory / "logs" / "worker.log",
        endpoint=Endpoint(
            name="worker",
            url="",
            probe=lambda: _why_not_consuming(settings["GRAFT_REDIS_URL"], name),
        ),
        grace_seconds=grace_seconds,
        # With the supervisor gone Redis goes too, so a slow farewell could not give jobs back;
        # the lease does that.
        orphan_signal=signal.SIGKILL,
    )


def _environment(directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Ours, so that any other GRAFT_* setting is passed on, then the stack's."""
    temp = private.make_directory(directory / "tmp")
    return {**os.environ, **settings, "GRAFT_TEMP_DIR": os.environ.get("GRAFT_TEMP_DIR", str(temp))}


def _empty_directory(directory: Path) -> Path:
    """gunicorn and celery both put their working directory on `sys.path`."""
    return private.make_directory(directory / "cwd")


def _why_not_consuming(redis_url: str, name: str) -> str | None:
    with database.connect(redis_url) as client:
        try:
            alive = WorkerStore(client).alive(within_seconds=ALIVE_SECONDS)
        except Temporary as error:
            return error.message
    return None if name in {status.name for status in alive} else "it has given no sign of life yet"


def _why_not_serving(host: str, port: int) -> str | None:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()
    return None if response.status == http.client.OK else f"/readyz answers {response.status}: {body}"
