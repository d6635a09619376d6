"""Artifacts that this machine's workers have fetched, so that every shard of a batch need not fetch its model again.

Files are named by their SHA-256 and written whole or not at all, so any number of workers may share the folder. What
is in it is trusted as little as what comes from the store: the caller verifies the content against its signature, also
what was fetched and is not what was asked for, which is not kept.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class ArtifactCache:
    """The artifacts used last, up to `most_bytes` together; a larger one is not kept."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def content(self, sha256: str, fetch: Callable[[], bytes]) -> bytes:
        """The artifact of this digest: from here, else what `fetch` gives, whose errors are its own."""
        path = self._folder / sha256
        with suppress(OSError):
            content = path.read_bytes()
            os.utime(path)
            return content
        content = fetch()
        if hashlib.sha256(content).hexdigest() == sha256:
            with suppress(OSError):  # a full disk costs the cache, not the job
                self._keep(path, content)
        return content

    def _keep(self, path: Path, content: bytes) -> None:
        if len(content) > self._most_bytes:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
            file.write(content)
        Path(file.name).rename(path)
        kept = sorted(((item.stat().st_mtime, item) for item in self._folder.iterdir()), reverse=True)
        total = 0
        for _, item in kept:
            total += item.stat().st_size
            if total > self._most_bytes:
                item.unlink(missing_ok=True)
