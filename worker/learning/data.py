"""From a table and a job's spec to labelled rows: which columns are features, what the task is, what the
labels are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.kinds import Task
from shared.contracts.tables import Column, ColumnType
from shared.errors import InvalidInput
from shared.modeling.columns import Table, column, column_type, numbers
from shared.modeling.model import Label

#: Under `task: auto`, whole numbers are labels if there are at most this many distinct ones, each twice on
# average.
MAX_AUTO_CLASSES = 20
#: More classes than this are taken for a mistake (an id or a free text as target).
MAX_CLASSES = 1_000

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows with a known target.

    table: every column, target included. y: (n,) codes into `classes` (int64), or amounts (float64).
    """

    table: Table
    features: tuple[Column, ...]
    target: Column
    task: Task
    classes: tuple[Label, ...]
    y: npt.NDArray[Any]

    @property
    def rows(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[Any]) -> Labelled:
        """The given rows (indices), in the table's order."""
        keep = np.zeros(self.rows, np.bool_)
        keep[rows] = True
        return replace(self, table=self.table.filter(pa.array(keep)), y=self.y[keep])

    def sample(self, most: int, seed: int) -> Labelled:
        """At most so many rows, drawn by the seed; itself if it has no more."""
        if self.rows <= most:
            return self
        return self.take(np.random.RandomState(seed % 2**32).permutation(self.rows)[:most])

    def values(self) -> npt.NDArray[Any]:
        """The targets as the user knows them: labels, or amounts."""
        return np.array(self.classes)[self.y] if self.task == "classification" else self.y


def labelled(
    table: Table,
    columns: Sequence[Column],
    target: str,
    features: Sequence[str] | None,
    task: Literal["auto"] | Task,
    warn: Warn,
    *,
    least_classes: int = 2,
) -> Labelled:
    """Choose the features, resolve the task, read the labels; rows without a target are left out with a
    warning. With fewer classes than `least_classes` there is nothing to learn.

    Raises InvalidInput: unknown_column, no_features, one_class, too_many_classes, target_not_numeric,
    target_not_categorical, too_few_rows.
    """
    described = {item.name: item for item in columns}
    wanted = _features(described, target, features)
    table, described_target = _with_target(table, described[target], warn)
    values = column(table, target)
    if task == "auto":
        task = resolve_task(values, described_target.type)
    if task == "regression":
        return Labelled(table, wanted, described_target, task, (), _amounts(values, described_target))
    classes, codes = _labels(values, described_target)
    if len(classes) < least_classes:
        raise InvalidInput(
            f"the target {target!r} has only one class: {classes[0]!r}" if classes else "there are no labels",
            code="one_class",
        )
    return Labelled(table, wanted, described_target, task, classes, codes)


def resolve_task(values: Any, kind: ColumnType) -> Task:
    """What `auto` stands for: text and truth values are labels; so are whole numbers (also when written as
    floats, which is what tables with gaps make of integers) with few distinct values; other numbers are
    amounts."""
    if kind in ("string", "boolean"):
        return "classification"
    if kind in ("date", "datetime"):
        raise InvalidInput(f"a {kind} cannot be predicted", code="target_not_numeric")
    found = np.unique(numbers(values))
    whole = bool((found == np.floor(found)).all())
    few = len(found) <= MAX_AUTO_CLASSES and 2 * len(found) <= len(values)
    return "classification" if whole and few else "regression"


def _features(
    described: dict[str, Column], target: str, features: Sequence[str] | None
) -> tuple[Column, ...]:
    if target not in described:
        raise InvalidInput.at("/target", f"there is no column {target!r}", code="unknown_column")
    names = [name for name in described if name != target] if features is None else list(features)
    for position, name in enumerate(names):
        if name not in described:
            raise InvalidInput.at(
                f"/features/{position}", f"there is no column {name!r}", code="unknown_column"
            )
        if name == target:
            raise InvalidInput.at(
                f"/features/{position}", "the target cannot be a feature", code="target_leaks"
            )
    if not names:
        raise InvalidInput("there is no feature: the table has no column but the target", code="no_features")
    return tuple(described[name] for name in names)


def _with_target(table: Table, target: Column, warn: Warn) -> tuple[Table, Column]:
    values = column(table, target.name)
    known = np.ones(len(values), np.bool_)
    if len(values):
        known = ~pc.is_null(values, nan_is_null=True).to_numpy()
    dropped = len(values) - int(known.sum())
    if dropped:
        warn(f"{dropped} rows have no target and were left out")
        table = table.filter(pa.array(known))
    if not table.num_rows:
        raise InvalidInput(f"no row has a value in the target {target.name!r}", code="too_few_rows")
    kind = column_type(values.type) or target.type
    return table, Column(name=target.name, type=kind, nulls=dropped)


def _amounts(values: Any, target: Column) -> npt.NDArray[np.float64]:
    if target.type not in ("integer", "number"):
        sentence = f"regression needs a numeric target; {target.name!r} is of type {target.type}"
        raise InvalidInput(sentence, code="target_not_numeric")
    found = numbers(values)
    if np.isnan(found).any():
        raise InvalidInput(f"the target {target.name!r} has infinite values", code="target_not_numeric")
    return found


def _labels(values: Any, target: Column) -> tuple[tuple[Label, ...], npt.NDArray[np.int64]]:
    if target.type == "string":
        return _texts(values, target)
    if target.type not in ("integer", "number", "boolean"):
        sentence = f"a target of type {target.type} has no classes"
        raise InvalidInput(sentence, code="target_not_categorical")
    found = numbers(values)
    distinct, codes = np.unique(found, return_inverse=True)
    _check_count(len(distinct), target)
    if target.type == "boolean":
        return tuple(bool(value) for value in distinct), codes.astype(np.int64)
    if not (distinct == np.floor(distinct)).all():
        sentence = f"the target {target.name!r} holds fractions; classes are texts, truth values or integers"
        raise InvalidInput(sentence, code="target_not_categorical")
    return tuple(int(value) for value in distinct), codes.astype(np.int64)


def _texts(values: Any, target: Column) -> tuple[tuple[Label, ...], npt.NDArray[np.int64]]:
    plain = values.cast(pa.string())
    words = sorted(pc.unique(plain).to_pylist())
    _check_count(len(words), target)
    codes = pc.index_in(plain, value_set=pa.array(words, pa.string())).to_numpy()
    return tuple(words), codes.astype(np.int64)


def _check_count(count: int, target: Column) -> None:
    if count > MAX_CLASSES:
        sentence = f"the target {target.name!r} has {count} distinct values; at most {MAX_CLASSES} classes"
        raise InvalidInput(sentence, code="too_many_classes")
