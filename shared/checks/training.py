"""Checks of `train`."""

from __future__ import annotations

from collections.abc import Mapping

from shared.checks.base import Checks, some, types_of
from shared.contracts.jobs import TrainBody
from shared.contracts.specs import resolve


def train(checks: Checks, body: TrainBody) -> str:
    dataset = checks.dataset(body.dataset, "/dataset")
    _task(checks, body)
    if dataset:
        types = types_of(dataset)
        checks.target(body.target, types)
        _features(checks, body, types)
        checks.held_out(dataset.rows, body.evaluation.test_fraction)
        _target_type(checks, body, types.get(body.target))
    return body.model.name


def _task(checks: Checks, body: TrainBody) -> None:
    if body.task == "auto":
        return
    try:
        resolve(body.estimator, body.task)
    except ValueError as error:
        checks.wrong("/estimator", str(error))


def _target_type(checks: Checks, body: TrainBody, found: str | None) -> None:
    if found not in {"string", "boolean"}:
        return
    if body.task == "regression":
        checks.wrong("/target", f"regression needs numbers, but {body.target} is a {found} column")
    elif body.task == "auto":
        try:
            resolve(body.estimator, "classification")
        except ValueError as error:
            checks.wrong("/estimator/kind", f"{body.target} is a {found} column: {error}")


def _features(checks: Checks, body: TrainBody, types: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for position, name in enumerate(body.features or []):
        pointer = f"/features/{position}"
        if name not in types:
            checks.wrong(pointer, f"the dataset has no column {name}; it has {some(types)}")
        elif name == body.target:
            checks.wrong(pointer, f"{name} is the target")
        elif name in seen:
            checks.wrong(pointer, f"{name} is named twice")
        seen.add(name)
    if body.features is None and len(types) < 2 and body.target in types:
        checks.wrong("/dataset", "the dataset has no column besides the target")
