"""A target table brought to its source model: columns by name and type, labels of the source's kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.modeling.alignment import align
from shared.modeling.columns import Table
from shared.modeling.model import Label, Model
from shared.modeling.parsing import parse_boolean, parse_number, shown
from worker.learning.data import Labelled, labelled

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Labelled target rows whose columns are the source's, and what that took.

    absent: source columns that the target lacks (null in every row). report: {missing, extra, mistyped}.
    """

    data: Labelled
    absent: frozenset[str]
    report: dict[str, Any]


def align_target(source: Model, table: Table, columns: Sequence[Column], target: str, warn: Warn) -> Target:
    """Align a table with known labels to the source.

    Raises what `labelled` raises, and InvalidInput: no_shared_columns, missing_values, label_type_mismatch.
    """
    data = labelled(table, columns, target, None, source.task, warn)
    schema = source.schema()
    aligned = align(data.table.select([item.name for item in data.features]), schema)
    _check(source, aligned.missing)
    report = aligned.report()
    _say(report, warn)
    known = {item["name"]: item["type"] for item in schema["inputs"]}
    features = tuple(
        Column(name=name, type=kind, nulls=aligned.table.column(name).null_count)
        for name, kind in known.items()
    )
    data = replace(data, table=aligned.table, features=features)
    if data.task == "classification":
        data = _with_kind_of(source.classes, data)
    return Target(data, frozenset(aligned.missing), report)


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


def _with_kind_of(classes: tuple[Label, ...], data: Labelled) -> Labelled:
    """The same rows with labels of the source's kind: text, truth value or integer."""
    wanted, found = type(classes[0]), type(data.classes[0])
    if wanted is found:
        return data
    try:
        renamed = tuple(_converted(label, wanted) for label in data.classes)
    except ValueError as error:
        sentence = f"the source's labels are of type {wanted.__name__}, the target's are not: {error}"
        raise InvalidInput(sentence, code="label_type_mismatch") from error
    if len(set(renamed)) < len(renamed):
        sentence = f"as labels of type {wanted.__name__}, some of the target's become the same"
        raise InvalidInput(sentence, code="label_type_mismatch")
    return replace(data, classes=renamed)


def _converted(label: Label, wanted: type[Label]) -> Label:
    if wanted is str:
        return str(label).lower() if isinstance(label, bool) else str(label)
    number = parse_number(label) if isinstance(label, str) and wanted is int else label
    if wanted is bool:
        return parse_boolean(str(number).lower())
    if int(number) != number:
        raise ValueError(f"{shown(str(label))} is not an integer")
    return int(number)
