"""The readers of one process: how many read at a time, who waits, and which child reads for whom."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from shared.confinement.reader import Reader
from shared.contracts.tables import Column, Format
from shared.errors import Temporary
from shared.tables import Piece, Profile

#: A file gets a second of processor time for each so many of its bytes, besides what every file gets.
_BYTES_PER_SECOND: Final = 2**20
#: How long a request waits for a reader before it is told to come back.
_QUEUE_SECONDS: Final = 10.0
_PRELOAD: Final = ["shared.closed_process", "shared.confinement.child"]


class Readers:
    """At most `places` files are read at a time, and as many children kept, each for the files of one project.

    Safe to share between threads.
    """

    def __init__(
        self, *, memory_bytes: int, cpu_seconds: int, places: int, queue_seconds: float = _QUEUE_SECONDS
    ) -> None:
        self._memory_bytes = memory_bytes
        self._cpu_seconds = cpu_seconds
        self._queue_seconds = queue_seconds
        self._most = places
        self._places = threading.BoundedSemaphore(places)
        self._lock = threading.Lock()
        #: The readers that read nothing now, the last used one last.
        self._idle: list[Reader] = []
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(_PRELOAD)

    def start(self) -> None:
        """Load the readers' libraries now, not with the first file. What is in the environment, they see."""
        multiprocessing.forkserver.ensure_running()

    def profile(self, project: str, path: Path, format: Format) -> Profile:
        """`shared.tables.profile`. Raises InvalidInput, or Temporary if no reader is free."""
        found = self._read(project, path, {"what": "profile", "path": str(path), "format": format})
        columns = tuple(Column.model_validate(column) for column in found["columns"])
        return Profile(format, found["rows"], columns)

    def preview(
        self,
        project: str,
        path: Path,
        format: Format,
        columns: Sequence[Column],
        rows: int,
        *,
        is_cut: bool = False,
        piece: Piece | None = None,
    ) -> list[dict[str, object]]:
        """`shared.tables.preview`. Raises as `profile` does.

        Of text that `is_cut` somewhere it shows the rows that are whole, and changes the file.
        """
        task = {
            "what": "preview",
            "path": str(path),
            "format": format,
            "columns": [column.model_dump() for column in columns],
            "rows": rows,
            "is_cut": is_cut,
            "piece": asdict(piece) if piece else None,
        }
        shown: list[dict[str, object]] = self._read(project, path, task)
        return shown

    def first_piece(self, project: str, path: Path, rows: int) -> Piece:
        """What of a Parquet file its first rows are read from; it may have holes but for its footer."""
        task = {"what": "first_piece", "path": str(path), "format": "parquet", "rows": rows}
        return Piece.unpack(self._read(project, path, task))

    def close(self) -> None:
        """End the children that read nothing now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _read(self, project: str, path: Path, task: dict[str, Any]) -> Any:
        with self._reader(project) as reader:
            return reader.read(task, self._cpu_seconds + path.stat().st_size // _BYTES_PER_SECOND)

    @contextmanager
    def _reader(self, project: str) -> Iterator[Reader]:
        if not self._places.acquire(timeout=self._queue_seconds):
            raise Temporary("all readers of tables are taken", code="readers_busy", retry_after=5)
        try:
            reader = self._taken(project) or Reader(self._processes, project, self._memory_bytes)
            try:
                yield reader
            finally:
                self._put_back(reader)
        finally:
            self._places.release()

    def _taken(self, project: str) -> Reader | None:
        """The project's own idle reader; else none, with room made for a new one."""
        with self._lock:
            for reader in reversed(self._idle):
                if reader.project == project:
                    self._idle.remove(reader)
                    return reader
            surplus = self._idle.pop(0) if len(self._idle) >= self._most else None
        if surplus:
            surplus.close()
        return None

    def _put_back(self, reader: Reader) -> None:
        with self._lock:
            kept = not reader.worn and len(self._idle) < self._most
            if kept:
                self._idle.append(reader)
        if not kept:
            reader.close()
