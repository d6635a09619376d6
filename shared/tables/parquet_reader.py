"""Parquet: flat tables, row groups of any size, columns in their own types.

Nothing in a Parquet file can be trusted: Arrow reports damage with nearly every exception it has, and checks
neither the UTF-8 of strings nor that the pages hold what the footer says. So each step runs inside
`_translated`, and each batch is validated in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.column_checks import check_cells, check_names, require_columns
from shared.tables.column_types import column_type, decoded_type
from shared.tables.compression import refuse_compressed
from shared.tables.contracts import Limits, Piece, Profile
from shared.tables.places import excerpt

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType

#: What pyarrow raises on damaged files, now one and now the other.
_DAMAGE: Final = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
)
_MAGIC: Final = b"PAR1"
#: Rows decoded at a time where the caller does not say.
_BATCH_ROWS: Final = 65_536
#: What one decoded batch should take: batches of wide rows have fewer of them.
_BATCH_BYTES: Final = 16 * 2**20
#: Shared by the read buffers of all columns.
_BUFFER_BYTES: Final = 8 * 2**20
#: A corrupt length in the footer must not ask for more than this.
_THRIFT_LIMITS: Final = {"thrift_string_size_limit": 64 * 2**20, "thrift_container_size_limit": 1_000_000}


def profile_parquet(path: Path, limits: Limits) -> Profile:
    with opened(path, limits) as file:
        if file.metadata.num_rows == 0:
            raise InvalidInput("the file has columns but no rows", code="no_rows")
        types = {field.name: _supported_type(field) for field in file.schema_arrow}
        nulls = dict.fromkeys(types, 0)
        for batch in _batches(file, list(types), _BATCH_ROWS):
            for name, values in zip(types, batch.columns, strict=True):
                nulls[name] += pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0
        columns = (Column(name=name, type=kind, nulls=nulls[name]) for name, kind in types.items())
        return Profile("parquet", file.metadata.num_rows, tuple(columns))


def read_parquet(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, piece: Piece | None = None
) -> Iterator[pa.RecordBatch]:
    with opened(path, limits) as file:
        require_columns(columns, file.schema_arrow.names)
        names = [column.name for column in columns]
        if piece is None or piece.groups is None:
            yield from _batches(file, names, batch_rows)
            return
        seen, end = 0, piece.skip + piece.rows
        for batch in _batches(file, names, batch_rows, range(*piece.groups)):
            start = max(0, piece.skip - seen)
            wanted = batch.slice(start, max(0, end - seen - start))
            seen += batch.num_rows
            if wanted.num_rows:
                yield wanted
            if seen >= end:
                return


def columns_of(path: Path, limits: Limits = Limits()) -> tuple[tuple[Column, ...], int]:  # noqa: B008
    """The columns and the number of rows that the footer promises; nothing else is looked at."""
    with opened(path, limits) as file:
        if file.metadata.num_rows == 0:
            raise InvalidInput("the file has columns but no rows", code="no_rows")
        columns = (
            Column(name=field.name, type=_supported_type(field), nulls=0) for field in file.schema_arrow
        )
        return tuple(columns), file.metadata.num_rows


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[pq.ParquetFile]:
    """The open file, its schema checked: flat, every type supported, every name sound."""
    _check_magic(path)
    with _translated("its footer cannot be read"):
        metadata = pq.ParquetFile(path, **_THRIFT_LIMITS).metadata
        file = pq.ParquetFile(
            path,
            metadata=metadata,
            # Without a buffer, and with `pre_buffer`, Arrow holds a whole row group in memory.
            pre_buffer=False,
            buffer_size=max(4_096, min(2**20, _BUFFER_BYTES // max(1, metadata.num_columns))),
            page_checksum_verification=True,
            **_THRIFT_LIMITS,
        )
    with file:
        with _translated("its schema cannot be read"):
            fields = list(file.schema_arrow)
            names = [field.name for field in fields]
            for field in fields:
                _supported_type(field)
        if not names:
            raise InvalidInput("the table has no columns", code="empty_table")
        check_names(names, limits)
        check_cells(
            file.metadata.num_rows, len(names), path.stat().st_size, limits.max_parquet_cells_per_byte
        )
        yield file


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MAGIC)))
        tail = file.read()
    if size == 0:
        raise InvalidInput("the file is empty", code="empty_table")
    refuse_compressed(head)
    if head != _MAGIC:
        raise _corrupt("it does not start with PAR1")
    if size < 12 or tail != _MAGIC:
        raise _corrupt("it does not end with PAR1, so it may have been cut short")


def _supported_type(field: pa.Field) -> ColumnType:
    """Raises InvalidInput: `nested_column`, `unsupported_type`."""
    if pt.is_nested(field.type):
        raise InvalidInput(
            f"column {excerpt(field.name)} is nested ({excerpt(field.type)}); columns must hold plain values",
            code="nested_column",
        )
    kind = column_type(field.type)
    if kind is None:
        raise InvalidInput(
            f"column {excerpt(field.name)} has the type {excerpt(field.type)}, which is not supported",
            code="unsupported_type",
        )
    return kind


def _batches(
    file: pq.ParquetFile, names: list[str], batch_rows: int, groups: Iterable[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Exactly `names`, in their order, decoded and valid; all the rows that the footer promises of the groups."""
    chosen = list(range(file.metadata.num_row_groups) if groups is None else groups)
    parts = sum(file.metadata.row_group(group).num_rows for group in chosen)
    promised = file.metadata.num_rows if groups is None else parts
    with _translated("its schema cannot be read"):
        types = [decoded_type(file.schema_arrow.field(name).type) for name in names]
    schema = pa.schema(list(zip(names, types, strict=True)))
    rows = 0
    with _translated("its row groups cannot be read"):
        batches = file.iter_batches(
            batch_size=_rows_per_batch(file, batch_rows),
            columns=names,
            row_groups=chosen,
            use_threads=pa.cpu_count() > 1,  # alone, a thread of the pool costs a tenth more than none
        )
    while True:
        with _translated(f"the data after row {rows:,} cannot be read"):
            batch = next(batches, None)
            if batch is None:
                break
            batch.validate(full=True)
            arrays = [_decoded(batch.column(name), kind) for name, kind in zip(names, types, strict=True)]
        rows += batch.num_rows
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    if rows != promised:
        raise _corrupt(f"it holds {rows:,} rows, its footer says {promised:,}")


def _rows_per_batch(file: pq.ParquetFile, batch_rows: int) -> int:
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    encoded: int = max((g.total_byte_size // g.num_rows for g in groups if g.num_rows > 0), default=0)
    # Run lengths and dictionaries can encode a cell in next to nothing; decoded it takes about eight bytes.
    row_bytes = max(encoded, 8 * file.metadata.num_columns)
    fitting: int = _BATCH_BYTES // row_bytes
    return max(1, min(batch_rows, fitting))


def _decoded(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values if values.type == wanted else values.cast(wanted)


@contextmanager
def _translated(problem: str) -> Iterator[None]:
    """Arrow's ways of saying that a file is damaged, as one error."""
    try:
        yield
    except MemoryError as error:
        raise InvalidInput(
            f"{problem}: it needs more memory than there is for it", code="too_costly"
        ) from error
    except _DAMAGE as error:
        raise _corrupt(f"{problem} ({str(error)[:120]!a})") from error


def _corrupt(problem: str) -> InvalidInput:
    return InvalidInput(f"the Parquet file is damaged: {problem}", code="corrupt_parquet")
