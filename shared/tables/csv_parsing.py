"""CSV by Arrow's parser: the header, a block as columns, and a block's rows without those that have another width."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv

from shared.errors import InvalidInput
from shared.tables.blocks import UTF8_BOM, Block, blocks, is_text
from shared.tables.column_checks import check_names
from shared.tables.contracts import Limits
from shared.tables.conversion import FALSE, MISSING, TRUE
from shared.tables.csv_rows import csv_row_end, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType

TYPE_PHRASES: Final[dict[ColumnType, str]] = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "date": "a date (YYYY-MM-DD)",
    "datetime": "a date and time (ISO 8601)",
}


@dataclass(frozen=True, slots=True)
class Header:
    names: list[str]
    #: Where the row after the header starts in the file.
    end: int


def read_header(path: Path, limits: Limits) -> Header:
    """The first row that is not blank. Raises InvalidInput: `empty_table` and what `check_names` raises."""
    for block in blocks(path, limits, csv_row_end(path), block_bytes=2**16, check=False):
        for start, end, _ in rows_of(block.data):
            row = block.data[start:end]
            if not is_text(row):
                next(blocks(path, limits, csv_row_end(path), block_bytes=2**16))  # raises, and says where
            return Header(_header_names(str(row, "utf-8"), limits), block.offset + end)
    raise InvalidInput("the file is empty", code="empty_table")


def _header_names(text: str, limits: Limits) -> list[str]:
    try:
        names = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidInput(f"the header cannot be read: {error}", code="bad_column_name") from error
    check_names(names, limits)
    return names


def parse(block: Block, names: list[str], types: dict[str, pa.DataType], *, threads: bool = True) -> pa.Table:
    """The columns that `types` names, in its order. Raises ArrowInvalid.

    Without threads it needs half the memory, as each of Arrow's threads keeps a heap of its own: the API, which
    profiles uploads, has that to spare less than time (benchmarks/upload.py).
    """
    data = pa.py_buffer(block.data)
    if block.data[: len(UTF8_BOM)] == UTF8_BOM:
        # Inside the file this is a character of the first value, but Arrow drops it from whatever it is given.
        data = pa.py_buffer(b"\n" + bytes(block.data))
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        # One block here, one block for Arrow: its parser then returns one chunk per column.
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, block_size=data.size + 1, use_threads=threads
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False,  # `blocks` has
            column_types=types,
            include_columns=list(types),
            null_values=MISSING,
            true_values=TRUE,
            false_values=FALSE,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def single_chunks(table: pa.Table) -> Iterator[pa.Array]:
    for column in table.columns:
        yield column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@dataclass(frozen=True, slots=True)
class Sound:
    """The rows of a block that have as many values as the header: their positions in the block, and their text."""

    rows: list[int]
    text: bytes

    def columns(self, names: list[str], wanted: list[str], *, threads: bool = True) -> list[pa.Array]:
        """`wanted` as text. Raises InvalidInput (`bad_csv`) should Arrow see other rows than we do."""
        if not self.rows:
            return [pa.array([], pa.string()) for _ in wanted]
        problem = "Arrow's parser does not agree where the rows end"
        try:
            types = dict.fromkeys(wanted, pa.string())
            table = parse(Block(memoryview(self.text), 0), names, types, threads=threads)
        except pa.ArrowInvalid as error:
            problem = str(error)
        else:
            if table.num_rows == len(self.rows):
                return list(single_chunks(table))
        raise InvalidInput(f"the CSV cannot be read: {problem[:120]!a}", code="bad_csv")


def sound_rows(block: Block, width: int) -> tuple[Sound, dict[int, tuple[str | None, str]]]:
    sound: list[int] = []
    texts: list[memoryview] = []
    bad: dict[int, tuple[str | None, str]] = {}
    for at, (start, end, values) in enumerate(rows_of(block.data)):
        row = block.data[start:end]
        if not is_text(row):
            bad[at] = (None, "holds bytes that are not UTF-8 text")
        elif values != width:
            bad[at] = (None, f"has {values} values, expected {width}")
        else:
            sound.append(at)
            texts.append(row)
    return Sound(sound, b"".join(texts)), bad
