"""All processes that descend from one child: each child leads a session, and no program of ours leaves it.

A process group would miss children that make a group of their own; a walk over parents would
miss those whose parent has died. The session id is inherited by both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil


def members(session: int) -> list[int]:
    """The live processes of a session, zombies left out."""
    return [pid for pid in psutil.pids() if _session_of(pid) == session and not _is_zombie(pid)]


def send(session: int, signal_number: int) -> None:
    """To every process of the session; those that end meanwhile are no error."""
    for pid in members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def kill(session: int, timeout: float = 5.0) -> None:
    """SIGKILL until nothing is left: a process may fork between the listing and the signal."""
    deadline = time.monotonic() + timeout
    while members(session) and time.monotonic() < deadline:
        send(session, signal.SIGKILL)
        time.sleep(0.01)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
