"""A target table brought to its source model: columns by name and type, labels of the source's kind.

What the target calls by another name is renamed first (`Renames`); the rest is matched as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.contracts.kinds import Task
from shared.contracts.tables import Column, ColumnType
from shared.errors import InvalidInput
from shared.modeling.alignment import align
from shared.modeling.columns import Table
from shared.modeling.model import Label, Model
from worker.learning import unshared_labels
from worker.learning.data import Labelled, labelled
from worker.learning.labels import with_labels_of

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Renames:
    """What the target calls something → what the source calls it. Labels by their text (`true`, `3`, `cat`)."""

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Label] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Renames:
        """Those of a job's spec."""
        return cls(spec.get("column_map") or {}, spec.get("label_map") or {})

    def column(self, name: str) -> str:
        return self.columns.get(name, name)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a table is aligned to: a model, or another table. schema: as `Model.schema()`, inputs only."""

    schema: Mapping[str, Any]
    task: Task
    classes: tuple[Label, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Reference:
        return cls(model.schema(), model.task, model.classes)

    @property
    def types(self) -> dict[str, ColumnType]:
        return {item["name"]: item["type"] for item in self.schema["inputs"]}


@dataclass(frozen=True, slots=True)
class Aligned:
    """Rows with the reference's columns.

    absent: those that the table lacks (null in every row). report: {missing, extra, mistyped, mapped}.
    """

    table: Table
    features: tuple[Column, ...]
    absent: frozenset[str]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Labelled target rows whose columns are the source's, and what that took.

    absent, columns: as `Aligned.absent` and `.report`. labels: {new, absent, renamed}: labels that only the target or
    only the source knows; None in a regression.
    """

    data: Labelled
    absent: frozenset[str]
    columns: dict[str, Any]
    labels: dict[str, Any] | None

    @property
    def shares_no_label(self) -> bool:
        """Whether the source knows none of these labels, as where they are only written otherwise."""
        return self.labels is not None and len(self.labels["new"]) == len(self.data.classes)


def needed_columns(
    wanted: Collection[str], columns: Sequence[Column], target: str | None, renames: Renames
) -> tuple[Column, ...]:
    """Those of a table that have to be read at all to be aligned to the wanted ones."""
    return tuple(item for item in columns if item.name == target or renames.column(item.name) in wanted)


def align_target(
    source: Model | Reference,
    table: Table,
    columns: Sequence[Column],
    target: str,
    warn: Warn,
    renames: Renames | None = None,
    *,
    least_classes: int = 2,
) -> Target:
    """Align a table with known labels to the source.

    `columns` describes the whole table, also columns that were not read. Raises what `labelled`, `align_columns` and
    `with_labels_of` raise.
    """
    reference = source if isinstance(source, Reference) else Reference.of(source)
    renames = renames or Renames()
    read = [item for item in columns if item.name in set(table.schema.names)]
    data = labelled(table, read, target, None, reference.task, warn, least_classes=least_classes)
    aligned = align_columns(reference, data.table, columns, target, warn, renames)
    data = replace(data, table=aligned.table, features=aligned.features)
    if data.task == "regression":
        return Target(data, aligned.absent, aligned.report, None)
    data = with_labels_of(reference.classes, data, renames.labels)
    found = Target(data, aligned.absent, aligned.report, _labels(reference, data, renames))
    if found.shares_no_label:
        warn(unshared_labels.warning(data.classes, reference.classes))
    return found


def align_columns(
    reference: Reference,
    table: Table,
    columns: Sequence[Column],
    target: str | None,
    warn: Warn,
    renames: Renames,
) -> Aligned:
    """The table's columns but `target` as the reference's. Raises InvalidInput: no_shared_columns, missing_values."""
    features = table.select([name for name in table.schema.names if name != target])
    features = features.rename_columns([renames.column(name) for name in features.schema.names])
    aligned = align(features, reference.schema)
    _check(reference, aligned.missing)
    types = reference.types
    described = (renames.column(item.name) for item in columns if item.name != target)
    report = aligned.report() | {
        "extra": [name for name in described if name not in types],
        "mapped": dict(renames.columns),
    }
    _say(report, warn)
    features_there = tuple(
        Column(name=name, type=kind, nulls=aligned.table.column(name).null_count)
        for name, kind in types.items()
    )
    return Aligned(aligned.table, features_there, frozenset(aligned.missing), report)


def _labels(reference: Reference, data: Labelled, renames: Renames) -> dict[str, Any]:
    return {
        "new": [label for label in data.classes if label not in reference.classes],
        "absent": [label for label in reference.classes if label not in data.classes],
        "renamed": dict(renames.labels),
    }


def _check(reference: Reference, missing: tuple[str, ...]) -> None:
    inputs = reference.schema["inputs"]
    if len(missing) == len(inputs):
        sentence = f"the target table has none of the source's columns ({', '.join(missing[:10])})"
        raise InvalidInput(sentence, code="no_shared_columns")
    required = {item["name"] for item in inputs if not item.get("nullable", True)}
    if strict := [name for name in missing if name in required]:
        sentence = f"the column {strict[0]!r} is missing, and the source was trained with missing: fail"
        raise InvalidInput(sentence, code="missing_values")


def _say(report: dict[str, Any], warn: Warn) -> None:
    if report["missing"]:
        warn(f"columns that the target lacks are imputed: {', '.join(report['missing'][:20])}")
    if report["extra"]:
        warn(f"columns that the source does not know are ignored: {', '.join(report['extra'][:20])}")
    for item in report["mistyped"]:
        lost = f"; {item['bad_cells']} cells could not be and are imputed" if item["bad_cells"] else ""
        warn(f"the column {item['column']!r} is {item['found']}, cast to {item['expected']}{lost}")
