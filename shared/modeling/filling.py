"""A table's columns as features in rows, (features, rows of the table): each column is written as one piece.

The encoder's feature of a number is (value - offset) / scale. Here only the offset is subtracted, while the column is
copied, which costs no more than copying it; the scale is left to whoever meets the feature (`folding`). Subtracting
first, rather than leaving the offset as well, keeps a column of large numbers with a small spread (years, amounts) as
exact as the encoder does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.modeling.columns import Table, chunks, column, column_type, numbers
from shared.modeling.encoder import Encoder, InputColumn, NumericColumn, missing_values
from shared.modeling.network import Matrix

#: Beyond these, numbers in float32 get lost: such columns are left to the encoder.
_SMALLEST_SCALE, _LARGEST = 1e-15, 1e15
#: So much of the scale may the offset move when it becomes a float32; the weights have to make up for it.
_MOST_ROUNDING = 0.01


class Unfit(Exception):
    """These rows hold a number that float32 cannot; the encoder, which scales in float64, can take them."""


@dataclass(frozen=True, slots=True)
class Centred:
    """A numeric column: where its feature goes, what is subtracted, and what a missing cell becomes."""

    column: NumericColumn
    row: int
    offset: np.float32
    missing: np.float32


@dataclass(frozen=True, slots=True)
class Filler:
    """offsets, scales: (features,) float64 as the encoder has them; 0 and 1 where `features` has done it all."""

    centred: tuple[Centred, ...]
    others: tuple[tuple[InputColumn, slice], ...]
    encoder: Encoder
    offsets: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]

    def features(self, table: Table) -> Matrix:
        """(features, rows) float32, all finite. Raises Unfit, and what `Encoder.transform` does."""
        out = np.empty((self.encoder.width, table.num_rows), np.float32)
        refuse = self.encoder.missing == "fail"
        with np.errstate(over="ignore", invalid="ignore"):
            for item in self.centred:
                _centre(item, column(table, item.column.name), out[item.row], refuse)
        for other, place in self.others:
            absent = other.write(column(table, other.name), out[place].T, self.encoder.numeric)
            if absent and refuse:
                raise missing_values(other.name, absent)
        return out


def filler(encoder: Encoder) -> Filler | None:
    """None where rows are brought to unit length: a feature then depends on the others."""
    if encoder.numeric == "normalize" or not encoder.columns:
        return None
    offsets, scales = np.zeros(encoder.width), np.ones(encoder.width)
    centred, others = [], list[tuple[InputColumn, slice]]()
    for item, place in zip(encoder.columns, encoder.slices().values(), strict=True):
        if not isinstance(item, NumericColumn) or not _is_tame(*item.offset_and_scale(encoder.numeric)):
            others.append((item, place))
            continue
        offset, scale = item.offset_and_scale(encoder.numeric)
        offsets[place], scales[place] = offset, scale
        near = np.float32(offset)
        centred.append(Centred(item, place.start, near, np.float32(item.mean - float(near))))
    return Filler(tuple(centred), tuple(others), encoder, offsets, scales)


def _is_tame(offset: float, scale: float) -> bool:
    if not (_SMALLEST_SCALE < scale < _LARGEST and abs(offset) < _LARGEST):
        return False
    return abs(float(np.float32(offset)) - offset) <= _MOST_ROUNDING * scale


def _centre(item: Centred, values: Any, out: npt.NDArray[np.float32], refuse_missing: bool) -> None:
    start = 0
    for chunk in chunks(values):
        end = start + len(chunk)
        absent = _centre_chunk(item, chunk, out[start:end])
        if absent and refuse_missing:
            raise missing_values(item.column.name, absent)
        start = end


def _centre_chunk(item: Centred, chunk: Any, out: npt.NDArray[np.float32]) -> int:
    """Write one piece and return how many of its cells are missing."""
    found = _vector(chunk)
    np.subtract(found, item.offset, out=out, casting="same_kind")
    if np.isfinite(np.add.reduce(out)):
        return 0
    # A missing cell, or a sum that is too large: look at each.
    odd = ~np.isfinite(out)
    if np.isfinite(found[odd]).any():
        raise Unfit
    out[odd] = item.missing
    return int(odd.sum())


def _vector(chunk: Any) -> npt.NDArray[Any]:
    """The numbers as they lie in memory where they can be seen there, as float64 with NaN elsewhere."""
    kind = chunk.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not chunk.null_count):
        vector: npt.NDArray[Any] = chunk.to_numpy(zero_copy_only=False)
        return vector
    if column_type(kind) is None and not pa.types.is_null(kind):
        raise TypeError(f"{kind} is not a numeric column")
    return numbers(chunk)
