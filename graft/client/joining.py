"""The files of an output as one file: a batch of many rows is written in parts, one for each shard of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import IO

from shared.contracts.tables import Format

_CHUNK_BYTES = 1 << 16


def join(parts: Iterator[IO[bytes]], format: Format, out: IO[bytes]) -> None:
    """Write each part behind the one before: of CSV the header once, of Parquet row group by row group.

    Parts of one output have the same columns. Needs pyarrow for Parquet.
    """
    if format == "parquet":
        _join_parquet(parts, out)
        return
    for place, part in enumerate(parts):
        part.seek(_end_of_header(part) if place and format == "csv" else 0)
        shutil.copyfileobj(part, out, _CHUNK_BYTES)


def _end_of_header(part: IO[bytes]) -> int:
    """Where the first record ends: at a line's end that is not between quotes (RFC 4180, section 2)."""
    part.seek(0)
    quoted, done = False, 0
    while chunk := part.read(_CHUNK_BYTES):
        for place, byte in enumerate(chunk):
            if byte == ord('"'):
                quoted = not quoted
            elif byte == ord("\n") and not quoted:
                return done + place + 1
        done += len(chunk)
    return done


def _join_parquet(parts: Iterator[IO[bytes]], out: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    try:
        for part in parts:
            file = pq.ParquetFile(part)
            if writer is None:
                writer = pq.ParquetWriter(out, file.schema_arrow, compression="zstd")
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group))
    finally:
        if writer is not None:
            writer.close()
