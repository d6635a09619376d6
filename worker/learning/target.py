"""A target table brought to its source model: columns by name and type, labels of the source's kind.

What the target calls by another name is renamed first (`Renames`); the rest is matched as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.modeling.alignment import align
from shared.modeling.columns import Table
from shared.modeling.model import Label, Model
from worker.learning.data import Labelled, labelled
from worker.learning.labels import renamed_labels

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
class Target:
    """Labelled target rows whose columns are the source's, and what that took.

    absent: source columns that the target lacks (null in every row). columns: {missing, extra, mistyped, mapped}.
    labels: {new, absent, renamed}: labels that only the target or only the source knows; None in a regression.
    """

    data: Labelled
    absent: frozenset[str]
    columns: dict[str, Any]
    labels: dict[str, Any] | None


def needed_columns(
    source: Model, columns: Sequence[Column], target: str, renames: Renames
) -> tuple[Column, ...]:
    """Those of a table that have to be read at all to be aligned to the source."""
    wanted = {item.name for item in source.encoder.columns}
    return tuple(item for item in columns if item.name == target or renames.column(item.name) in wanted)


def align_target(
    source: Model,
    table: Table,
    columns: Sequence[Column],
    target: str,
    warn: Warn,
    renames: Renames | None = None,
    *,
    least_classes: int = 2,
) -> Target:
    """Align a table with known labels to the source.

    `columns` describes the whole table, also columns that were not read. Raises what `labelled` and
    `renamed_labels` raise, and InvalidInput: no_shared_columns, missing_values.
    """
    renames = renames or Renames()
    read = [item for item in columns if item.name in set(table.schema.names)]
    data = labelled(table, read, target, None, source.task, warn, least_classes=least_classes)
    schema = source.schema()
    features = data.table.select([item.name for item in data.features])
    aligned = align(features.rename_columns([renames.column(name) for name in features.schema.names]), schema)
    _check(source, aligned.missing)
    known = {item["name"]: item["type"] for item in schema["inputs"]}
    described = (renames.column(item.name) for item in columns if item.name != target)
    report = aligned.report() | {
        "extra": [name for name in described if name not in known],
        "mapped": dict(renames.columns),
    }
    _say(report, warn)
    data = replace(
        data,
        table=aligned.table,
        features=tuple(
            Column(name=name, type=kind, nulls=aligned.table.column(name).null_count)
            for name, kind in known.items()
        ),
    )
    if data.task == "regression":
        return Target(data, frozenset(aligned.missing), report, None)
    data = replace(data, classes=renamed_labels(source.classes, data.classes, renames.labels))
    return Target(data, frozenset(aligned.missing), report, _labels(source, data, renames))


def _labels(source: Model, data: Labelled, renames: Renames) -> dict[str, Any]:
    return {
        "new": [label for label in data.classes if label not in source.classes],
        "absent": [label for label in source.classes if label not in data.classes],
        "renamed": dict(renames.labels),
    }


def _check(source: Model, missing: tuple[str, ...]) -> None:
    if len(missing) == len(source.encoder.columns):
        sentence = f"the target table has none of the source's columns ({', '.join(missing[:10])})"
        raise InvalidInput(sentence, code="no_shared_columns")
    if missing and source.encoder.missing == "fail":
        sentence = f"the column {missing[0]!r} is missing, and the source was trained with missing: fail"
        raise InvalidInput(sentence, code="missing_values")


def _say(report: dict[str, Any], warn: Warn) -> None:
    if report["missing"]:
        warn(f"columns that the target lacks are imputed: {', '.join(report['missing'][:20])}")
    if report["extra"]:
        warn(f"columns that the source does not know are ignored: {', '.join(report['extra'][:20])}")
    for item in report["mistyped"]:
        lost = f"; {item['bad_cells']} cells could not be and are imputed" if item["bad_cells"] else ""
        warn(f"the column {item['column']!r} is {item['found']}, cast to {item['expected']}{lost}")
