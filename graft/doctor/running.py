"""All checks in their order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from graft.doctor import here, there
from graft.doctor.findings import Finding


def examine(data_dir: Path) -> Iterator[Finding]:
    """Each as soon as it has been made: of this machine first, then of the API."""
    yield from here.check(os.environ, data_dir)
    yield from there.check()
