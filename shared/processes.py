"""What a process that another one has started owes it."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


def die_with_parent() -> None:
    """Be killed by the kernel when the parent ends (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def close_to_others() -> None:
    """Keep other processes of the same user out of this one's memory and environment (Linux; elsewhere nothing).

    `/proc/<pid>/environ` shows what a process was started with, also when it has forgotten that. prctl(2): without
    PR_SET_DUMPABLE it is root's to read, as are `/proc/<pid>/mem` and `fd`, nobody else may trace the process, and no
    core of it is written. Forked children have it from their parent; a program that is executed has not.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit_writable_memory(more_bytes: int) -> None:
    """Be refused more writable memory than that, on top of what there is now (Linux; elsewhere nothing).

    Python then raises MemoryError. Other systems do not count mappings into this limit (getrlimit(2), RLIMIT_DATA).
    """
    if sys.platform == "linux":
        most = measured_bytes("VmData") + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def measured_bytes(field: str) -> int:
    """Of the kernel's account of this process: VmRSS is in memory, VmData is private and writable. 0 if it has none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
