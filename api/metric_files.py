"""The files in which the API's processes count (prometheus_client's multiprocess mode), and what outlives a process.

Loaded by gunicorn's own process when one of its children has ended: it needs nothing of the application.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict


def bury(pid: int, folder: Path) -> None:
    """Add what a dead process counted to what the dead have counted, and remove its files.

    Counters must not fall, and files must not grow in number with every child that is replaced.
    """
    with locked(folder):
        for path in folder.glob(f"*_{pid}.db"):
            kind = path.name.removesuffix(f"_{pid}.db")
            if kind in ("counter", "histogram"):
                total = MmapedDict(str(folder / f"{kind}_dead.db"))
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                    total.write_value(key, total.read_value(key)[0] + value, 0.0)
                total.close()
            path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """So that nobody reads what a dead process counted twice, or not at all."""
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
