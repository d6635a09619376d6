"""Processes of an instance that was killed: recorded while it runs, ended by the next one.

On Linux the kernel has usually ended them already (see `die_with_parent`). A second Redis on the
data of one that still runs would destroy it, so the next start never relies on that.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from graft.stack import private, sessions
from graft.stack.readiness import POLL_SECONDS
from graft.stack.servers import RunningServer

GRACE_SECONDS = 5.0
#: psutil derives a start time from the boot time, which moves a little when the clock is set.
CLOCK_SLACK_SECONDS = 2.0


def record(directory: Path, servers: Iterable[RunningServer]) -> None:
    """Write down who runs; after every start of a child."""
    started = {server.pid: _started(server.pid) for server in servers}
    private.write(directory / "run.json", json.dumps({str(pid): at for pid, at in started.items() if at}))


def end(directory: Path) -> int:
    """End what an earlier instance left behind; returns how many of its children still ran."""
    sessions_left = [pid for pid, at in _recorded(directory).items() if _is_ours(pid, at)]
    for pid in sessions_left:
        with contextlib.suppress(ProcessLookupError):  # only descendants are left
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(map(sessions.members, sessions_left)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in sessions_left:
        sessions.kill(pid)
    return len(sessions_left)


def forget(directory: Path) -> None:
    """After a clean stop nothing is left to end."""
    (directory / "run.json").unlink(missing_ok=True)


def _recorded(directory: Path) -> dict[int, float]:
    try:
        return {int(pid): float(at) for pid, at in json.loads((directory / "run.json").read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_ours(session: int, started: float) -> bool:
    """Whether the session is the recorded one, and not one whose leader got the same pid later.

    While a member lives the kernel does not give the leader's pid away again.
    """
    if not sessions.members(session):
        return False
    leader_started = _started(session)
    return leader_started is None or abs(leader_started - started) < CLOCK_SLACK_SECONDS


def _started(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
