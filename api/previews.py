"""The first rows of a dataset, without its last ones: only so much of the object is read as they need.

CSV, JSON Lines   the first MiB; if that holds too few rows, the first 64 MiB. More is not read: fewer rows are shown
Parquet           the footer, then the row groups in which the first rows lie
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

from api.spooling import spool
from api.wiring import readers, services
from shared.contracts.datasets import Dataset, DatasetFile
from shared.storage import ObjectStore
from shared.tables import footer

_ROWS: Final = 20
_HEADS: Final = (2**20, 64 * 2**20)
_TAIL_BYTES: Final = 64 * 2**10


def first_rows(
    dataset: Dataset, first: DatasetFile, rows: int = _ROWS, heads: tuple[int, ...] = _HEADS
) -> list[dict[str, object]]:
    """Up to so many rows of the dataset's first object. Raises NotFound, InvalidInput, Temporary."""
    objects = services().objects.at(first.bucket)
    with spool(services().settings.temp_dir) as file:
        if dataset.format == "parquet":
            return _of_parquet(objects, dataset, first.key, Path(file.name), rows)
        for most in heads:
            is_whole = _fetch_head(objects, first.key, file, most)
            path = Path(file.name)
            shown = readers().preview(
                dataset.project, path, dataset.format, dataset.columns, rows, is_cut=not is_whole
            )
            if is_whole or len(shown) >= min(rows, first.rows):
                break
    return shown


def _of_parquet(
    objects: ObjectStore, dataset: Dataset, key: str, path: Path, rows: int
) -> list[dict[str, object]]:
    tail, found = objects.tail(key, _TAIL_BYTES)
    start = (0, min(4, found.bytes))
    objects.download_ranges(key, path, [start, footer(found.bytes, tail)], found, in_place=True)
    piece = readers().first_piece(dataset.project, path, rows)
    objects.download_ranges(key, path, piece.ranges, found, in_place=True)
    return readers().preview(dataset.project, path, "parquet", dataset.columns, rows, piece=piece)


def _fetch_head(objects: ObjectStore, key: str, file: IO[bytes], most: int) -> bool:
    """The object's first bytes into the file; whether that is all of it."""
    file.seek(0)
    file.truncate()
    chunks = objects.chunks(key)
    written = 0
    for chunk in chunks:
        if written + len(chunk) > most:
            file.write(memoryview(chunk)[: most - written])
            break
        written += file.write(chunk)
    else:
        file.flush()
        return True
    chunks.close()
    file.flush()
    return False
