"""The beginning of a text file, as a file of its own: for a look at its first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.errors import InvalidInput
from shared.tables.compression import open_text
from shared.tables.contracts import Limits
from shared.tables.csv_rows import csv_row_ends
from shared.tables.jsonl_lines import jsonl_row_ends

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import Format

#: Of the text, unpacked.
_MOST_BYTES: Final = 64 * 2**20
_STEP_BYTES: Final = 2**20
_ROW_ENDS: Final = {"csv": csv_row_ends, "jsonl": jsonl_row_ends}


def keep_whole_rows(
    path: Path,
    format: Format,
    limits: Limits = Limits(),  # noqa: B008
) -> bool:
    """Of a file that was cut somewhere keep, as plain text in its place, the rows that are whole. False: none is.

    What was compressed may have been cut in the middle of a block of the codec: what comes before that is kept.
    """
    text = bytearray()
    try:
        with open_text(path, limits) as file:
            while len(text) < _MOST_BYTES and (more := file.read1(_STEP_BYTES)):
                text += more
    except InvalidInput as error:
        if error.code != "corrupt_compression":
            raise
    ends = _ROW_ENDS[format](memoryview(text))
    with path.open("wb") as out:
        out.write(memoryview(text)[: int(ends[-1]) if len(ends) else 0])
    return len(ends) > 0
