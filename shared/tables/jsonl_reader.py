"""JSON Lines as columns of known types: one flat object a line, blank lines skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.blocks import BLOCK_BYTES, Block, blocks
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits
from shared.tables.conversion import first_misfit, to_type
from shared.tables.jsonl_lines import (
    DATES,
    KINDS,
    SLOW_BYTES,
    jsonl_row_end,
    kind_of,
    lines_for,
    objects_in,
    parse_lines,
    pieces,
    single_chunk,
)
from shared.tables.places import excerpt, line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType


def read_jsonl(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    reader = _Reader(path, {column.name: column.type for column in columns})
    for block in blocks(path, limits, jsonl_row_end(path), block_bytes=block_bytes):
        for batch in reader.batches(block):
            for start in range(0, batch.num_rows, batch_rows):
                yield batch.slice(start, batch_rows)


@dataclass(slots=True)
class _Reader:
    path: Path
    declared: dict[str, ColumnType]
    rows: int = 0

    def batches(self, block: Block) -> Iterator[pa.RecordBatch]:
        for piece in pieces(block, len(block.data), self._max_lines):
            batch = read_fast(self.declared, piece)
            if batch is not None:
                yield self._counted(batch)
                continue
            for small in pieces(piece, SLOW_BYTES, self._max_lines):
                batch = read_fast(self.declared, small)
                yield self._counted(self._read_slowly(small) if batch is None else batch)

    def _max_lines(self) -> int:
        return lines_for(len(self.declared))

    def _counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.rows += batch.num_rows
        return batch

    def _read_slowly(self, piece: Block) -> pa.RecordBatch:
        places, objects = [], []
        for at, row in objects_in(self.path, piece):
            places.append(at)
            objects.append(row)
        arrays = []
        for name, kind in self.declared.items():
            values = [row.get(name) for row in objects]
            for index, value in enumerate(values):
                if value is not None and kind_of(value) not in KINDS[kind]:
                    raise self._mismatch(places[index], index, name, value)
            arrays.append(self._converted(values, kind, name, places))
        return pa.RecordBatch.from_arrays(arrays, schema=schema_of(self.declared))

    def _converted(self, values: list[object], kind: ColumnType, name: str, places: list[int]) -> pa.Array:
        if kind not in DATES:
            return pa.array(values, canonical_type(kind))
        texts = pa.array(values, pa.string())
        wrong = first_misfit(texts, kind)
        if wrong is not None:
            raise self._mismatch(places[wrong], wrong, name, values[wrong])
        return to_type(texts, kind)

    def _mismatch(self, at: int, index: int, name: str, value: object) -> InvalidInput:
        return InvalidInput(
            f"row {self.rows + index + 1} (line {line_at(self.path, at)}), key {excerpt(name)}: "
            f"{excerpt(json.dumps(value))} does not fit the type {self.declared[name]}",
            code="type_mismatch",
        )


def schema_of(declared: Mapping[str, ColumnType]) -> pa.Schema:
    return pa.schema([(name, canonical_type(kind)) for name, kind in declared.items()])


def read_fast(declared: Mapping[str, ColumnType], piece: Block) -> pa.RecordBatch | None:
    """The piece by Arrow's parser; None unless every line is certainly as it should be."""
    table = parse_lines(piece, schema_of(declared), unexpected="ignore")
    if table is None:
        return None
    try:
        arrays = [
            to_type(single_chunk(values), kind) if kind in DATES else single_chunk(values)
            for values, kind in zip(table.columns, declared.values(), strict=True)
        ]
    except pa.ArrowInvalid:
        return None
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(declared))
