"""Small files that ask for much: each is made here, and would cost its reader what its name says."""

from __future__ import annotations

import gzip
import io
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq

MIB = 2**20


@cache
def large_dictionary_entry(mebibytes: int = 300) -> bytes:
    """Parquet: less than a kilobyte, whose dictionary has one value of so many MiB."""
    sink = io.BytesIO()
    table = pa.table({"a": ["x" * (mebibytes * MIB)]})
    pq.write_table(table, sink, compression="brotli", write_statistics=False, store_schema=False)
    return sink.getvalue()


@cache
def repeated_dictionary_entry(rows: int = 65_000, kibibytes: int = 64) -> bytes:
    """Parquet: one value of so many KiB that each of the rows repeats; decoded they are gigabytes."""
    sink = io.BytesIO()
    entries = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), ["x" * (kibibytes * 1024)]
    )
    table = pa.table({"a": entries})
    pq.write_table(table, sink, compression="brotli", write_statistics=False, store_schema=False)
    return sink.getvalue()


@cache
def slow_text(rows: int = 60 * MIB) -> bytes:
    """CSV in gzip: some hundred kilobytes that take seconds to read, and are sound."""
    return gzip.compress(b"a\n" + b"1\n" * rows, compresslevel=1)
