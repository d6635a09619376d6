"""Processes of the bare side: each as long as a block, and applications under gunicorn as Graft's API has it.

Its processes, threads and settings are the API's, its worker is gunicorn's own: what Graft's does for slow clients is
Graft's to pay for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from graft.stack import ports


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    """`python -m …`, until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", *command], env={**os.environ, **environment})
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def served(application: str, *, ready: str, **environment: str) -> Iterator[str]:
    """The application's address, once it answers at the path `ready`."""
    address = f"127.0.0.1:{ports.choose('127.0.0.1')}"
    url = f"http://{address}"
    settings = ["--config", "python:api.gunicorn_conf", "--worker-class", "gthread"]
    quiet = ["--bind", address, "--log-level", "warning"]
    with running("gunicorn", *settings, *quiet, application, **environment):
        for _ in range(400):
            try:
                httpx.get(f"{url}{ready}").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.05)
        else:
            raise SystemExit(f"{application} has not come up")
        yield url
