"""Checks of `column_map` and `label_map`: what the target table calls something, and what the source does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shared.checks.base import Checks, some, types_of
from shared.contracts.datasets import Dataset
from shared.contracts.models import ModelVersion
from shared.contracts.transfer import MAP_COLUMNS, ShiftReportBody
from shared.pointers import pointer


def columns(
    checks: Checks,
    mapped: Mapping[str, str],
    target: str | None,
    found: Collection[str],
    wanted: Collection[str],
    *,
    predicted: str | None = None,
) -> set[str]:
    """The names of the table's feature columns as the source will see them. predicted: what the source calls its
    target, if that may be meant."""
    plain = {name for name in found if name != target and name not in mapped}
    for name, meant in mapped.items():
        here = pointer("column_map", name)
        if name not in found:
            turned = f"; an entry is theirs=ours, so is it {meant}={name}?" if meant in found else ""
            checks.wrong(here, f"the dataset has no column {name}; it has {some(found)}{turned}")
        elif name == target:
            checks.wrong(here, f"{name} is the target")
        elif meant == predicted and meant not in found:
            sentence = f"{meant} is what the source predicts, and no column it learns from; give target {name} instead"
            checks.wrong(here, f"{sentence} (--target {name} on the command line)")
        elif meant == target:
            checks.wrong(here, f"{meant} is what the dataset calls its target")
        elif meant not in wanted:
            checks.wrong(here, f"the source has no column {meant}; it has {some(wanted)}")
        elif meant in plain:
            checks.wrong(here, f"the dataset has a column {meant} of its own; map or drop that one too")
    return plain | set(mapped.values())


def labels(checks: Checks, mapped: Mapping[str, Any], target: str | None, model: ModelVersion) -> None:
    if not mapped:
        return
    if target is None:
        checks.wrong("/label_map", "labels can only be mapped where target names their column")
    elif model.task == "regression":
        checks.wrong("/label_map", f"{model.name} predicts a number, which has no labels")
    else:
        classes = _classes(model)
        known = {_text(label) for label in classes}
        truths = any(isinstance(label, bool) for label in classes)
        for name, meant in mapped.items():
            text = str(meant).lower() if truths else _text(meant)
            if text not in known:
                sentence = f"{model.name} has no label {text}; it has {some(sorted(known))}"
                checks.wrong(pointer("label_map", name), sentence)


def with_dataset(checks: Checks, body: ShiftReportBody, dataset: Dataset, source: Dataset) -> None:
    """The same between two tables, of which the source's labels are not known yet."""
    wanted = types_of(source)
    if body.target is not None and body.target not in wanted:
        checks.wrong("/target", f"the source dataset has no column {body.target}; it has {some(wanted)}")
    features = [name for name in wanted if name != body.target]
    names = columns(checks, body.column_map, body.target, types_of(dataset), features)
    if not names & set(features):
        sentence = f"the datasets have no column in common; the source has {some(features)}. {MAP_COLUMNS}"
        checks.wrong("/dataset", sentence)
    if body.label_map and body.target is None:
        checks.wrong("/label_map", "labels can only be mapped where target names their column")


def _classes(model: ModelVersion) -> list[Any]:
    return list(model.schema_["output"]["classes"] or [])


def _text(label: Any) -> str:
    """As in a `label_map`."""
    return str(label).lower() if isinstance(label, bool) else str(label)
