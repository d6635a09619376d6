"""How much memory a job's child may have.

Unless the operator says otherwise, four fifths of what this machine, or the container that it is, has, in equal parts
for the jobs that run at a time. So a job that wants too much is stopped and told, before the kernel chooses a victim.

The limit is kept twice: the kernel refuses the child to have more writable memory than that on top of what it began
with (`shared.processes.limit_writable_memory`), and its supervisor looks at its resident memory twice a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

SHARE = 0.8


def limit_of_a_child(configured: int | None, concurrency: int) -> int | None:
    """Bytes; None for no limit. `configured` is the setting: None for a share, 0 for no limit."""
    if configured is None:
        return int(SHARE * available_bytes() / concurrency)
    return configured or None


def available_bytes(root: Path = Path("/")) -> int:
    """The machine's memory, or what the cgroups of this process may have if that is less."""
    return min([psutil.virtual_memory().total, *_cgroup_limits(root)])


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Of this process's cgroups and those around them, version 2 and 1 (cgroups(7))."""
    for folder, name in (
        (root / "sys/fs/cgroup", "memory.max"),
        (root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ):
        for place in _places(root):
            for around in (place, *place.parents):
                try:
                    text = (folder / around / name).read_text().strip()
                except OSError:
                    continue
                if text.isdecimal() and int(text) > 0:
                    yield int(text)


def _places(root: Path) -> list[Path]:
    """Where in the hierarchies this process is, relative to their roots."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    return [Path(), *(Path(line.split(":", 2)[2].strip("/")) for line in lines if line.count(":") >= 2)]
