"""Somebody runs code in a process that computes or reads: what can it learn of the others?

The stack runs without root's powers, and so does the spy, which is another process of the same user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import KEYS, RunningStack
from tests.e2e.test_confinement import below, secrets_of
from tests.support import without_capabilities
from tests.support.client import Graft, Json
from tests.support.routes import routes
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

SPY = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
def can(act):
    try:
        return bool(act())
    except OSError:
        return False
def traced(pid):
    if libc.ptrace(16, pid, None, None):  # PTRACE_ATTACH
        return False
    libc.waitpid(pid, None, 0x40000000)
    libc.ptrace(17, pid, None, None)  # PTRACE_DETACH
    return True
def look(pid):
    return {
        "environ": can(lambda: open(f"/proc/{pid}/environ", "rb").read()),
        "memory": can(lambda: open(f"/proc/{pid}/mem", "rb")),
        "descriptors": can(lambda: os.readlink(f"/proc/{pid}/fd/0")),
        "trace": traced(pid),
    }
print(json.dumps({pid: look(int(pid)) for pid in sys.argv[1:]}))
"""


def seen_by_spy(*pids: int) -> dict[int, dict[str, bool]]:
    """What another process of the same user can do to these."""
    command = [*without_capabilities.SCRIPT, sys.executable, "-c", SPY, *map(str, pids)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return {int(pid): seen for pid, seen in json.loads(told.stdout).items()}


def ours(stack: RunningStack, module: str) -> list[int]:
    """Graft's own processes of this name, as they were started and forked."""
    family = psutil.Process(stack.process.pid).children(recursive=True)
    return [process.pid for process in family if module in process.cmdline()]


@pytest.fixture
def computing(graft: Graft, endless: Json) -> Iterator[str]:
    job_id = graft.started(endless)
    eventually(lambda: (graft.job(job_id)["progress"] or {}).get("phase") == "fitting", 60)
    yield job_id
    graft.post(f"/v1/jobs/{job_id}/cancel")
    graft.ended(job_id)


def test_the_spy_can_look_into_a_process_that_is_not_closed() -> None:
    """Or the tests below would prove nothing."""
    command = [*without_capabilities.SCRIPT, sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "SECRET": "x"}) as open_process:
        pid = open_process.pid
        eventually(lambda: "-c" in psutil.Process(pid).cmdline()[:2])
        seen = seen_by_spy(pid)[pid]
        open_process.communicate(b"\n")
    assert seen["environ"]
    assert seen["descriptors"]


@pytest.mark.parametrize("module", ["worker", "gunicorn"])
def test_nobody_looks_into_a_process_that_has_credentials(
    stack: RunningStack, computing: str, module: str
) -> None:
    pids = ours(stack, module)
    assert pids
    for pid, seen in seen_by_spy(*pids).items():
        assert not any(seen.values()), (psutil.Process(pid).cmdline(), seen)


@pytest.mark.parametrize("module", ["worker", "gunicorn"])
def test_nobody_looks_into_a_process_that_works_on_somebodys_rows(
    graft: Graft, stack: RunningStack, computing: str, module: str
) -> None:
    """Jobs and readers of one project are closed to those of another, and their forkserver to all."""
    graft.dataset(b"a\n1\n")
    # The tracker of semaphores is a program of its own, which sees neither rows nor credentials.
    pids = [p.pid for p in below(stack, module) if "resource_tracker" not in " ".join(p.cmdline())]
    assert len(pids) >= 2
    for pid, seen in seen_by_spy(*pids).items():
        assert not any(seen.values()), (psutil.Process(pid).cmdline(), seen)


@pytest.mark.parametrize("module", ["worker", "gunicorn"])
def test_a_child_holds_no_connection(graft: Graft, stack: RunningStack, computing: str, module: str) -> None:
    """Neither to Redis nor to the store, nor the listening socket of the API: nothing of its parent's came along."""
    graft.dataset(b"a\n1\n")
    family = list(below(stack, module))
    assert len(family) >= 2
    for process in family:
        assert process.net_connections(kind="inet") == []
        opened = [file.path for file in process.open_files()]
        assert not [path for path in opened if "credentials" in path or "api-key" in path]


@pytest.mark.parametrize("module", ["worker", "gunicorn"])
def test_no_secret_is_in_a_command_line(stack: RunningStack, module: str) -> None:
    """Command lines are everybody's to read."""
    family: list[Any] = psutil.Process(stack.process.pid).children(recursive=True)
    told = "\n".join("\n".join(process.cmdline()) for process in family)
    assert not [secret for secret in [*KEYS.values(), *secrets_of(stack)] if secret in told]


def test_no_answer_holds_a_secret(graft: Graft, stack: RunningStack) -> None:
    """Lists, metrics, health and errors, of a key that may see everything of its project."""
    paths = [route.path for route in routes() if route.method == "GET" and not route.parameters]
    assert {"/metrics", "/readyz", "/openapi.json", "/v1/keys"} <= set(paths)
    answers = [graft.get(path) for path in [*paths, "/v1/jobs/none", "/v1/none", "/v1/jobs?limit=x"]]
    answers.append(graft.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}))
    for answer in answers:
        told = answer.text + str(answer.headers)
        assert not [secret for secret in [*KEYS.values(), *secrets_of(stack)] if secret in told], answer.url
