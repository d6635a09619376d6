"""Files and directories that only their owner may read, written so that a crash leaves the old or the new."""

from __future__ import annotations

import os
from pathlib import Path


def make_directory(path: Path) -> Path:
    """Create it, parents too, as 0700; one that is there keeps its mode."""
    if not path.parent.exists():
        make_directory(path.parent)  # mkdir's own `parents` would give them the usual, wider mode
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write(path: Path, text: str) -> None:
    """Replace the file, as 0600 from its first byte on."""
    make_directory(path.parent)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
