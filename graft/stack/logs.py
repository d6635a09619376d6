"""The log file of one server: appended to by the child itself, capped and quoted by us."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

CAP_BYTES = 10 * 2**20


def open_log(path: Path) -> BinaryIO:
    """For a child's stdout and stderr. In append mode, so that `cap` can cut it under the child."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def cap(path: Path, limit: int = CAP_BYTES) -> None:
    """Move what is over `limit` bytes to `<name>.1`, replacing the one before.

    The file is copied and emptied, because the child goes on writing to the one it has open; the
    few lines that it writes in between are lost. Keeping them would need a pipe through the
    supervisor, and then a child would die of the supervisor's death in the middle of a line.
    """
    if path.exists() and path.stat().st_size > limit:
        old = path.with_name(f"{path.name}.1")
        try:
            shutil.copyfile(path, old)
        except OSError:  # most likely a full disk, which a kept log would only make worse
            old.unlink(missing_ok=True)
        os.truncate(path, 0)


def tail(path: Path, lines: int = 20, limit: int = 64 * 1024) -> str:
    """The last lines, for an error message."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - limit))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
