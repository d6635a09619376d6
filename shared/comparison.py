"""Compares versions: their metrics, settings and schemas, each with the first's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from shared.contracts.comparison import (
    CategoriesChange,
    Compared,
    Comparison,
    HeldOut,
    MetricRow,
    Retyped,
    SchemaDifference,
    SettingRow,
)
from shared.contracts.models import ModelVersion
from shared.held_out import Measured, same_rows

HIGHER: Final = frozenset({"accuracy", "f1", "precision", "recall", "roc_auc", "r2"})
LOWER: Final = frozenset({"log_loss", "mse", "rmse", "mae"})

_NO_METRICS = frozenset({"classes", "n_test"})


def compare(versions: Sequence[ModelVersion], measured: Sequence[Measured]) -> Comparison:
    """Side by side, in the order given. `measured[i]` says how `versions[i]` got its metrics."""
    held_out = [same_rows(measured[0], item) for item in measured]
    held_out[0] = HeldOut(same=True, reason="this is what the others are compared with")
    answers = {item.same for item in held_out}
    same = False if False in answers else None if None in answers else True
    settings = [
        {"estimator": item.estimator, "preprocessing": item.preprocessing, "seed": item.seed}
        for item in versions
    ]
    return Comparison(
        versions=[_compared(*pair) for pair in zip(versions, held_out, strict=True)],
        same_held_out=same,
        metrics=_metrics(versions, comparable=same is True),
        params=_differing(settings),
        libraries=_differing([item.library_versions for item in versions]),
        schema_differences=[_schema(versions[0], item) for item in versions[1:]],
    )


def _compared(version: ModelVersion, held_out: HeldOut) -> Compared:
    told = version.model_dump(include=set(Compared.model_fields))
    return Compared(ref=_ref(version), held_out=held_out, **told)


def _ref(version: ModelVersion) -> str:
    return f"{version.name}:{version.version}"


def _metrics(versions: Sequence[ModelVersion], *, comparable: bool) -> list[MetricRow]:
    names = dict.fromkeys(name for item in versions for name in item.metrics if name not in _NO_METRICS)
    return [_metric(name, versions, comparable=comparable) for name in ("n_test", *names)]


def _metric(name: str, versions: Sequence[ModelVersion], *, comparable: bool) -> MetricRow:
    values = [item.metrics.get(name) for item in versions]
    numbers = [_number(value) for value in values]
    first = versions[0]
    differences: list[float | None] = []
    for item, number in zip(versions, numbers, strict=True):
        alike = (item.task, item.target) == (first.task, first.target)
        known = alike and number is not None and numbers[0] is not None
        differences.append(number - numbers[0] if known else None)  # type: ignore[operator]
    better: Literal["higher", "lower"] | None = None
    if name in HIGHER or name in LOWER:
        better = "higher" if name in HIGHER else "lower"
    best = None
    if better and comparable and None not in numbers:
        found = (max if better == "higher" else min)(number for number in numbers if number is not None)
        best = [place for place, number in enumerate(numbers) if number == found]
    return MetricRow(name=name, better=better, values=values, differences=differences, best=best)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[SettingRow]:
    """The leaves of nested settings that are not the same in all of them, by their dotted names."""
    flat = [_flat(item) for item in settings]
    names = dict.fromkeys(name for item in flat for name in item)
    rows = [SettingRow(name=name, values=[item.get(name) for item in flat]) for name in names]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _schema(first: ModelVersion, other: ModelVersion) -> SchemaDifference:
    before, after = (_inputs(item) for item in (first, other))
    shared = [name for name in before if name in after]
    targets = [_target(item) for item in (first, other)]
    classes = [list(item.schema_.get("output", {}).get("classes") or []) for item in (first, other)]
    pairs = [(name, before[name], after[name]) for name in shared]
    told: dict[str, Any] = {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "retyped": [
            Retyped(name=name, before=was["type"], after=now["type"])
            for name, was, now in pairs
            if was["type"] != now["type"]
        ],
        "categories": [
            CategoriesChange(
                name=name,
                added=_without(now.get("categories"), was.get("categories")),
                removed=_without(was.get("categories"), now.get("categories")),
            )
            for name, was, now in pairs
            if {*was.get("categories", ())} != {*now.get("categories", ())}
        ],
        "target": None
        if targets[0] == targets[1]
        else Retyped(name="target", before=targets[0], after=targets[1]),
        "classes_added": _without(classes[1], classes[0]),
        "classes_removed": _without(classes[0], classes[1]),
    }
    return SchemaDifference(ref=_ref(other), same=not any(told.values()), **told)


def _inputs(version: ModelVersion) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in version.schema_.get("inputs", ())}


def _target(version: ModelVersion) -> str:
    kind = version.schema_.get("output", {}).get("type") or version.task
    return f"{version.target}: {kind}"


def _without(values: Sequence[Any] | None, others: Sequence[Any] | None) -> list[Any]:
    return [value for value in values or () if value not in (others or ())]
