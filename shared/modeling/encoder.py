"""The fitted map from a table's columns to a float32 matrix, and the statistics it was fitted with.

    integer, number  1 feature    imputed with the training mean, then scaled (see `Encoder.numeric`)
    boolean          1 feature    0 or 1; missing: the training share of true
    date             5 features   days since 1970 (standardized), sine and cosine of the month and of the
    weekday datetime         7 features   the same, and sine and cosine of the hour; times are read in UTC
    string           one a category, plus `<other>` and `<missing>` where the training rows had such cells

A text that training never saw, and a missing one where training had none, set no feature at all: a feature
that no training row has switched on has no honest weight. Statistics are plain numbers and tuples, so that
scalers can be folded into weights, re-estimated on another table, or reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from shared.contracts.tables import ColumnType
from shared.errors import InvalidInput
from shared.modeling.columns import (
    MISSING,
    UNSEEN,
    Table,
    category_codes,
    column,
    instants,
    numbers,
    numbers_of,
)

Matrix = npt.NDArray[np.float32]
Scaling = Literal["standardize", "normalize", "minmax", "none"]

DAY_SECONDS = 86_400.0
_CYCLES: dict[str, tuple[str, ...]] = {"date": ("month", "weekday"), "datetime": ("month", "weekday", "hour")}


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """Training statistics of a numeric column; `missing` counts its missing training cells."""

    name: str
    type: ColumnType
    mean: float
    std: float
    minimum: float
    maximum: float
    missing: int

    width: ClassVar[int] = 1

    def feature_names(self) -> list[str]:
        return [self.name]

    def offset_and_scale(self, scaling: Scaling) -> tuple[float, float]:
        """The feature is (value - offset) / scale. The scale of a constant column is 1."""
        if scaling == "standardize":
            return self.mean, self.std or 1.0
        if scaling == "minmax":
            return self.minimum, (self.maximum - self.minimum) or 1.0
        return 0.0, 1.0

    def write(self, values: Any, out: Matrix, scaling: Scaling) -> int:
        found = numbers(values)[:, None]
        (absent,) = _impute_and_scale(found, [self], scaling)
        out[:] = found
        return int(absent)


def _impute_and_scale(
    found: npt.NDArray[np.float64], columns: Sequence[NumericColumn], scaling: Scaling
) -> npt.NDArray[np.intp]:
    """Turn the values of these columns, (rows, columns), into features in place. Says how many of each were missing."""
    absent = np.isnan(found)
    if absent.any():
        np.copyto(found, [item.mean for item in columns], where=absent)
    if scaling in ("standardize", "minmax"):
        offsets, scales = zip(*(item.offset_and_scale(scaling) for item in columns), strict=True)
        found -= offsets
        found /= scales
    counts: npt.NDArray[np.intp] = np.count_nonzero(absent, axis=0)
    return counts


@dataclass(frozen=True, slots=True)
class BooleanColumn:
    """`share` is the share of true among the training cells that had a value."""

    name: str
    share: float
    missing: int

    width: ClassVar[int] = 1
    type: ClassVar[ColumnType] = "boolean"

    def feature_names(self) -> list[str]:
        return [self.name]

    def write(self, values: Any, out: Matrix, scaling: Scaling) -> int:
        found = numbers(values)
        absent = np.isnan(found)
        out[:, 0] = np.where(absent, self.share, found)
        return int(absent.sum())


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """`mean` and `std` are in days since 1970. A missing cell is at the mean and at the centre of every
    cycle."""

    name: str
    type: ColumnType
    mean: float
    std: float
    missing: int

    @property
    def width(self) -> int:
        return 1 + 2 * len(_CYCLES[self.type])

    def feature_names(self) -> list[str]:
        cyclic = [f"{self.name}.{cycle}_{wave}" for cycle in _CYCLES[self.type] for wave in ("sin", "cos")]
        return [f"{self.name}.days", *cyclic]

    def write(self, values: Any, out: Matrix, scaling: Scaling) -> int:
        seconds = instants(values)
        absent = np.isnan(seconds)
        seconds[absent] = self.mean * DAY_SECONDS
        out[:, 0] = (seconds / DAY_SECONDS - self.mean) / (self.std or 1.0)
        for position, turn in enumerate(_turns(seconds)[: len(_CYCLES[self.type])]):
            out[:, 1 + 2 * position] = np.sin(2 * np.pi * turn)
            out[:, 2 + 2 * position] = np.cos(2 * np.pi * turn)
        out[absent, 1:] = 0.0
        return int(absent.sum())


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """The kept categories, most frequent first, and how many training cells each had.

    `other` counts training cells beyond the cap, `missing` the missing ones; each has a feature if it is
    not 0.
    """

    name: str
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    other: int
    missing: int

    type: ClassVar[ColumnType] = "string"

    @property
    def width(self) -> int:
        return len(self.categories) + bool(self.other) + bool(self.missing)

    def feature_names(self) -> list[str]:
        extra = ["<other>"] * bool(self.other) + ["<missing>"] * bool(self.missing)
        return [f"{self.name}={value}" for value in (*self.categories, *extra)]

    def write(self, values: Any, out: Matrix, scaling: Scaling) -> int:
        codes = category_codes(values, self.categories)
        out[:] = 0.0
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1.0
        absent = codes == MISSING
        if self.other:
            out[codes == UNSEEN, len(self.categories)] = 1.0
        if self.missing:
            out[absent, -1] = 1.0
        return int(absent.sum())


_FEW_ROWS = 256

InputColumn = NumericColumn | BooleanColumn | TimeColumn | CategoryColumn


@dataclass(frozen=True, slots=True)
class Encoder:
    """Columns by name → float32 features.

    `numeric` scales integer and number columns: `standardize` (mean 0, variance 1), `minmax` (training
    range to 0…1), `normalize` (each row's numeric features to Euclidean length 1), `none`. With
    `missing="fail"` a missing cell in any column is refused.
    """

    columns: tuple[InputColumn, ...]
    numeric: Scaling
    missing: Literal["impute", "fail"]
    rows: int
    """How many training rows the statistics are made of."""

    @property
    def width(self) -> int:
        return sum(item.width for item in self.columns)

    def feature_names(self) -> list[str]:
        """One name for each column of the matrix, e.g. `age`, `city=Paris`, `since.month_sin`."""
        return [name for item in self.columns for name in item.feature_names()]

    def slices(self) -> dict[str, slice]:
        """Which features each input column has become."""
        places, start = {}, 0
        for item in self.columns:
            places[item.name] = slice(start, start + item.width)
            start += item.width
        return places

    def transform(self, table: Table) -> Matrix:
        """(rows, width) float32, C order. Columns are found by name; others are ignored.

        Raises InvalidInput: `missing_column`, `mistyped_column`, or `missing_values` under `missing="fail"`.
        """
        out = np.empty((table.num_rows, self.width), np.float32)
        placed = list(zip(self.columns, self.slices().values(), strict=True))
        if table.num_rows <= _FEW_ROWS and self._write_numbers(table, out, placed):
            placed = [(item, place) for item, place in placed if not isinstance(item, NumericColumn)]
        for item, place in placed:
            try:
                absent = item.write(column(table, item.name), out[:, place], self.numeric)
            except KeyError:
                raise InvalidInput(f"the column {item.name!r} is missing", code="missing_column") from None
            except TypeError as error:
                sentence = f"the column {item.name!r} should be of type {item.type}: {error}"
                raise InvalidInput(sentence, code="mistyped_column") from error
            if absent and self.missing == "fail":
                raise missing_values(item.name, absent)
        if self.numeric == "normalize":
            self._normalize(out)
        return out

    def _write_numbers(self, table: Table, out: Matrix, placed: Sequence[tuple[InputColumn, slice]]) -> bool:
        """Write the numeric columns of a few rows in one step: one by one they take a good part of a prediction's time.

        False where one of them is not there, is no number or may not be missing: that is for whoever writes column by
        column to say.
        """
        numeric = [(item, place.start) for item, place in placed if isinstance(item, NumericColumn)]
        if not numeric:
            return False
        try:
            found = numbers_of([column(table, item.name) for item, _ in numeric])
        except (KeyError, TypeError):
            return False
        absent = _impute_and_scale(found, [item for item, _ in numeric], self.numeric)
        out[:, [start for _, start in numeric]] = found
        return self.missing != "fail" or not absent.any()

    def gaps(self, table: Table) -> dict[str, dict[str, int]]:
        """Per column the number of missing cells, and for text columns of unseen ones; columns without any
        are left out."""
        found = {}
        for item in self.columns:
            values = column(table, item.name)
            if isinstance(item, CategoryColumn):
                codes = category_codes(values, item.categories)
                counts = {"missing": int((codes == MISSING).sum()), "unseen": int((codes == UNSEEN).sum())}
            else:
                reader = instants if isinstance(item, TimeColumn) else numbers
                counts = {"missing": int(np.isnan(reader(values)).sum())}
            if any(counts.values()):
                found[item.name] = counts
        return found

    def _normalize(self, out: Matrix) -> None:
        places = self.slices()
        block = [places[item.name].start for item in self.columns if isinstance(item, NumericColumn)]
        length = np.zeros(len(out), np.float64)
        for feature in block:
            length += np.square(out[:, feature], dtype=np.float64)
        length = np.sqrt(length)
        length[length == 0] = 1.0
        for feature in block:
            out[:, feature] /= length


def missing_values(name: str, count: int) -> InvalidInput:
    """The refusal of `missing: fail`."""
    sentence = f"the column {name!r} has {count} missing values, and preprocessing.missing is 'fail'"
    return InvalidInput(sentence, code="missing_values")


def _turns(seconds: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """How far through the year's months, the week and the day each instant is, in 0…1."""
    days = np.floor(seconds / DAY_SECONDS)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    return months / 12, (days + 3) % 7 / 7, (seconds / DAY_SECONDS) % 1.0
