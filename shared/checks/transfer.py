"""Checks of `fine_tune`, `evaluate`, `shift_report` and `rank_sources`: does the target table fit the source?"""

from __future__ import annotations

from shared import datasets
from shared.checks import correspondence
from shared.checks.base import Checks, name_of, some, types_of
from shared.contracts.datasets import Dataset
from shared.contracts.kinds import TREES
from shared.contracts.models import ModelVersion
from shared.contracts.transfer import (
    MAP_COLUMNS,
    NEEDS_SOURCE_ROWS,
    NEEDS_WEIGHTS,
    EvaluateBody,
    FineTuneBody,
    RankSourcesBody,
    ShiftReportBody,
)
from shared.errors import NotFound

_SMALLEST_FOLDED = 3
_MOST_CANDIDATES = 100


def fine_tune(checks: Checks, body: FineTuneBody) -> str:
    dataset = checks.dataset(body.dataset, "/dataset")
    base = checks.model(body.base_model, "base_model")
    if base:
        _strategy(checks, body, base)
        _source_rows(checks, body, base)
    if dataset:
        _target(checks, body.target, dataset, base)
        _rows(checks, body, dataset)
    if dataset and base:
        _fits(checks, body, body.target, dataset, base)
    return body.model.name


def evaluate(checks: Checks, body: EvaluateBody) -> str:
    dataset = checks.dataset(body.dataset, "/dataset")
    model = checks.model(body.model, "model")
    if dataset and model:
        target = body.target or model.target
        _target(checks, target, dataset, model)
        _fits(checks, body, target, dataset, model)
    return name_of(body.model)


def shift_report(checks: Checks, body: ShiftReportBody) -> str | None:
    dataset = checks.dataset(body.dataset, "/dataset")
    if dataset and body.target is not None:
        checks.target(body.target, types_of(dataset))
    if body.model is not None:
        model = checks.model(body.model, "model")
        if model:
            _keep_source(checks, model)
        if dataset and model:
            _fits(checks, body, body.target, dataset, model)
        return name_of(body.model)
    source = checks.dataset(body.source or "", "/source")
    if dataset and source:
        correspondence.with_dataset(checks, body, dataset, source)
    return None


def rank_sources(checks: Checks, body: RankSourcesBody) -> None:
    """Freezes the candidates: those named, or the latest version of every model (the first hundred by name)."""
    dataset = checks.dataset(body.dataset, "/dataset")
    if dataset:
        types = types_of(dataset)
        checks.target(body.target, types)
        if body.task == "regression" and types.get(body.target) in {"string", "boolean"}:
            checks.wrong(
                "/target", f"regression needs numbers, but {body.target} is a {types[body.target]} column"
            )
        if dataset.rows < _SMALLEST_FOLDED:
            checks.wrong(
                "/dataset", f"{dataset.rows} rows are too few; at least {_SMALLEST_FOLDED} are needed"
            )
    if body.candidates is not None:
        pointers = {f"/candidates/{place}": ref for place, ref in enumerate(body.candidates)}
        found = [checks.version(ref, pointer) for pointer, ref in pointers.items()]
    else:
        listed, more = checks.services.models.page(checks.project, limit=_MOST_CANDIDATES)
        found = [checks.version(f"{item.name}:{item.latest_version}", "/candidates") for item in listed]
        if more:
            sentence = f"the project has more than {_MOST_CANDIDATES} models; name those to compare"
            checks.wrong("/candidates", sentence)
        if not listed:
            checks.wrong("/candidates", "the project has no model to rank")
    checks.spec["candidates"] = list(dict.fromkeys(f"{item.name}:{item.version}" for item in found if item))


def _strategy(checks: Checks, body: FineTuneBody, base: ModelVersion) -> None:
    kind = base.estimator.get("kind")
    if kind in TREES and body.strategy in NEEDS_WEIGHTS:
        sentence = f"{body.strategy} needs weights, and {kind} has none; use auto or scratch"
        checks.wrong("/strategy", sentence)


def _source_rows(checks: Checks, body: FineTuneBody, base: ModelVersion) -> None:
    """The source's own dataset is a second input, where it still exists."""
    if not _keep_source(checks, base) and body.strategy in NEEDS_SOURCE_ROWS:
        sentence = (
            f"{body.strategy} learns from the source's rows, and its dataset {base.dataset} is gone; "
            "use auto or another strategy"
        )
        checks.wrong("/strategy", sentence)


def _keep_source(checks: Checks, model: ModelVersion) -> bool:
    """Whether the dataset that the model was trained on exists; if so, it stays while the job lives."""
    try:
        checks.services.datasets.get(checks.project, model.dataset)
    except NotFound:
        return False
    checks.uses.append(datasets.used(checks.project, model.dataset, "/base_model"))
    return True


def _rows(checks: Checks, body: FineTuneBody, dataset: Dataset) -> None:
    if body.evaluation.resolved(dataset.rows, refit=body.refit) == "holdout":
        checks.held_out(dataset.rows, body.evaluation.test_fraction)
    elif dataset.rows < _SMALLEST_FOLDED:
        checks.wrong("/dataset", f"{dataset.rows} rows are too few; at least {_SMALLEST_FOLDED} are needed")


def _target(checks: Checks, target: str, dataset: Dataset, model: ModelVersion | None) -> None:
    """The target may only have another name there, where that of the model was taken for granted."""
    hint = (
        "If it has another name there, give it as target (--target)"
        if model and target == model.target
        else ""
    )
    checks.target(target, types_of(dataset), hint)


def _fits(
    checks: Checks,
    body: FineTuneBody | EvaluateBody | ShiftReportBody,
    target: str | None,
    dataset: Dataset,
    model: ModelVersion,
) -> None:
    """Columns and labels of the target table can be read as the model's."""
    types = types_of(dataset)
    if target and model.task == "regression" and types.get(target) in {"string", "boolean"}:
        found = types[target]
        checks.wrong("/target", f"{model.name} predicts a number, but {target} is a {found} column")
    wanted = {item["name"]: item for item in model.schema_["inputs"]}
    found_names = correspondence.columns(
        checks, body.column_map, target, types, wanted, predicted=model.target
    )
    correspondence.labels(checks, body.label_map, target, model)
    if missing := [name for name in wanted if name not in found_names]:
        if len(missing) == len(wanted):
            sentence = f"the dataset has none of the model's columns: {some(wanted)}. {MAP_COLUMNS}"
            checks.wrong("/dataset", sentence)
        elif strict := [name for name in missing if not wanted[name].get("nullable", True)]:
            sentence = f"the dataset lacks {some(strict)}, and the model was trained with missing: fail"
            checks.wrong("/dataset", f"{sentence}. {MAP_COLUMNS}")
