"""Versions side by side: what `GET /v1/models/compare` answers. Lists of values are in the order of `versions`."""

from __future__ import annotations

from typing import Any, Literal

from shared.contracts.base import Record, Time
from shared.contracts.models import VersionRef


class HeldOut(Record):
    """Whether a version was measured on the same held-out rows as the first; null: it cannot be known any more."""

    same: bool | None
    reason: str


class Compared(Record):
    """A version that takes part."""

    ref: str
    name: str
    version: int
    description: str
    task: str
    target: str
    dataset: str
    job: str
    parent: VersionRef | None
    verdict: str | None
    created_at: Time
    held_out: HeldOut


class MetricRow(Record):
    """One metric. `differences` are to the first version; null where there is no number, or of another task or target.

    `best` are the places of the best versions; null unless all numbers were measured on the same held-out rows.
    """

    name: str
    better: Literal["higher", "lower"] | None
    values: list[Any]
    differences: list[float | None]
    best: list[int] | None


class SettingRow(Record):
    """A setting that is not the same in all versions; null where a version has none."""

    name: str
    values: list[Any]


class Retyped(Record):
    name: str
    before: str
    after: str


class CategoriesChange(Record):
    name: str
    added: list[Any]
    removed: list[Any]


class SchemaDifference(Record):
    """What a version takes and answers otherwise than the first."""

    ref: str
    same: bool
    added: list[str]
    removed: list[str]
    retyped: list[Retyped]
    categories: list[CategoriesChange]
    target: Retyped | None
    """Its name and type before, and after: `label: string`."""
    classes_added: list[Any]
    classes_removed: list[Any]


class Comparison(Record):
    """Versions side by side; the first is what the others are compared with."""

    versions: list[Compared]
    same_held_out: bool | None
    metrics: list[MetricRow]
    params: list[SettingRow]
    libraries: list[SettingRow]
    schema_differences: list[SchemaDifference]
