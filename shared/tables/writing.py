"""Writing batches to a file: Parquet, CSV or JSON Lines.

CSV output is made for spreadsheets as well as for programs: a text that a spreadsheet would take for a
formula (it starts with `=`, `+`, `-`, `@`, tab or CR) gets a leading apostrophe, in cells and in the header.
Numbers are left alone, and so are the other formats.

Times with a zone are written in UTC. CSV and JSON Lines write a whole number in a float column without a
point ("1"), so a column of nothing else profiles as `integer` again; CSV cannot tell an empty string from a
missing value; JSON Lines writes NaN and infinity as null.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pyarrow.types as pt

from shared.tables.column_types import column_type, decoded_type
from shared.tables.conversion import iso_text

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import Format

_GROUP_BYTES: Final = 32 * 2**20
_PIECE_CELLS: Final = 2**20
_FORMULA: Final = r"^[=+\-@\t\r]"
_ESCAPED: Final = r'[\x00-\x1f"\\]'


class Writer(ABC):
    """Takes batches of one schema, in order. `rows` is how many rows it has taken."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = pa.schema([(column.name, decoded_type(column.type)) for column in schema])

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows. Raises ValueError where the batch does not have the writer's columns."""
        if batch.schema.names != self._schema.names:
            raise ValueError(f"expected the columns {self._schema.names}, got {batch.schema.names}")
        arrays = [
            _as_type(values, wanted) for values, wanted in zip(batch.columns, self._schema.types, strict=True)
        ]
        self._append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.rows += batch.num_rows

    @abstractmethod
    def close(self) -> None:
        """Write what is still held back and close the file."""

    @abstractmethod
    def abandon(self) -> None:
        """Close the file as it is."""

    @abstractmethod
    def _append(self, batch: pa.RecordBatch) -> None: ...


@contextmanager
def open_writer(path: Path, format: Format, schema: pa.Schema) -> Iterator[Writer]:
    """A writer for `path`. The file is complete when the block ends; if the block raises, none is left.

    Parquet keeps the types of `schema`, dictionaries decoded, in row groups of about 32 MiB. Raises TypeError
    for a column that no column type describes.
    """
    for column in schema:
        if column_type(column.type) is None:
            raise TypeError(f"column {column.name!r} of type {column.type} cannot be written")
    writer = _WRITERS[format](path, schema)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        path.unlink(missing_ok=True)
        raise


class _ParquetWriter(Writer):
    """Gathers batches into row groups: a row group for every small batch would cost more than its data."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        # Dictionaries cost most where they pay least, on the floats that predictions are made of.
        self._file = pq.ParquetWriter(path, self._schema, use_dictionary=False, compression="zstd")

    def close(self) -> None:
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _append(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._waiting_bytes = [], 0


class _CsvWriter(Writer):
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(schema)
        names = _defused(pa.array(self._schema.names, pa.string())).to_pylist()
        # A missing value alone in its row would make a blank line, which readers skip: as text it is `""`.
        self._alone = len(names) == 1
        types = [pa.string()] if self._alone else self._schema.types
        self._file_schema = pa.schema(list(zip(names, types, strict=True)))
        self._file = pyarrow.csv.CSVWriter(path, self._file_schema)

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _append(self, batch: pa.RecordBatch) -> None:
        arrays = [_defused(values) if pt.is_string(values.type) else values for values in batch.columns]
        if self._alone:
            arrays = [arrays[0].cast(pa.string()).fill_null("")]
        self._file.write(pa.RecordBatch.from_arrays(arrays, schema=self._file_schema))


class _JsonlWriter(Writer):
    """Builds lines by joining columns of text, so that no Python code runs per row."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(schema)
        keys = [json.dumps(name, ensure_ascii=False) for name in self._schema.names]
        self._keys = [("{" if i == 0 else ",") + key + ":" for i, key in enumerate(keys)]
        self._file = path.open("wb")

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _append(self, batch: pa.RecordBatch) -> None:
        step = max(1, _PIECE_CELLS // max(1, batch.num_columns))
        for start in range(0, batch.num_rows, step):
            self._file.write(self._lines(batch.slice(start, step)))

    def _lines(self, batch: pa.RecordBatch) -> memoryview:
        parts: list[pa.Array | str] = []
        for key, values in zip(self._keys, batch.columns, strict=True):
            parts += [key, _json_text(values)]
        text = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
        lines = pc.binary_join_element_wise(
            *text,
            pa.scalar("}\n", pa.large_string()),
            pa.scalar("", pa.large_string()),
            null_handling="replace",
            null_replacement="null",
        )
        # The values of a fresh array lie one after another: its data are the lines.
        return memoryview(lines.buffers()[2])


_WRITERS: Final[dict[Format, Callable[[Path, pa.Schema], Writer]]] = {
    "parquet": _ParquetWriter,
    "csv": _CsvWriter,
    "jsonl": _JsonlWriter,
}


def _as_type(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values if values.type == wanted else values.cast(wanted)


def _defused(texts: pa.Array) -> pa.Array:
    formulas = pc.match_substring_regex(texts, _FORMULA)
    if not pc.any(formulas).as_py():
        return texts
    return pc.if_else(formulas, pc.binary_join_element_wise("'", texts, ""), texts)


def _json_text(values: pa.Array) -> pa.Array:
    """Each value as JSON in a large string; missing where JSON has null."""
    kind = values.type
    if pt.is_floating(kind):
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, kind))
    if pt.is_temporal(kind):
        text = iso_text(values).cast(pa.large_string())
    elif pt.is_string(kind):
        text = _json_escaped(values.cast(pa.large_string()))
    else:
        return values.cast(pa.large_string())
    quote = pa.scalar('"', pa.large_string())
    return pc.binary_join_element_wise(quote, text, quote, pa.scalar("", pa.large_string()))


def _json_escaped(texts: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(texts, _ESCAPED)
    if not pc.any(special).as_py():
        return texts
    escaped = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(texts, special.fill_null(False), pa.array(escaped, texts.type))
