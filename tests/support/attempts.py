"""Attempts of the learning handlers on files in a folder, as the supervisor would lay them out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared.contracts.specs import EstimatorSpec, EvaluationSpec, PreprocessingSpec, TransferEvaluation
from tests.support.labelled_tables import parquet_files
from worker.handlers import HANDLERS
from worker.handlers.base import Assignment, ModelFile, Outcome, TableFiles


class Recorder:
    """A context that remembers."""

    def __init__(self) -> None:
        self.offered: list[tuple[int, str]] = []
        self.steps: list[tuple[str, int, int | None, str, dict[str, float]]] = []
        self.warnings: list[str] = []

    def progress(self, phase: str, completed: int, total: int | None, unit: str, **details: float) -> None:
        self.steps.append((phase, completed, total, unit, details))

    def checkpoint(self, write: Callable[[Path], None], completed: int, unit: str) -> None:
        self.offered.append((completed, unit))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def phases(self) -> list[str]:
        return list(dict.fromkeys(step[0] for step in self.steps))


def train_spec(**fields: Any) -> dict[str, Any]:
    return {
        "type": "train",
        "target": "label",
        "features": None,
        "task": "auto",
        "estimator": EstimatorSpec(kind=fields.pop("kind", "logistic_regression")).model_dump(),
        "preprocessing": PreprocessingSpec().model_dump(),
        "evaluation": EvaluationSpec().model_dump(),
        "seed": 42,
        **fields,
    }


def fine_tune_spec(**fields: Any) -> dict[str, Any]:
    return {
        "type": "fine_tune",
        "base_model": "churn:3",
        "target": "label",
        "strategy": "auto",
        "evaluation": TransferEvaluation().model_dump(),
        "refit": True,
        "seed": 42,
        **fields,
    }


def trained(folder: Path, *tables: pa.Table, context: Any = None, **fields: Any) -> Outcome:
    files = parquet_files(folder / "in", *tables)
    return attempt(folder, train_spec(**fields), {"dataset": files}, context=context)


def tuned(
    folder: Path,
    source: Outcome,
    table: pa.Table,
    context: Any = None,
    *,
    source_files: TableFiles | None = None,
    made_by: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Outcome:
    """`source_files` and `made_by` are what the supervisor finds of the source: its dataset and its job's spec."""
    tables = {"dataset": parquet_files(folder / "in", table)}
    if source_files is not None:
        tables["source"] = source_files
    models = {"churn:3": model_of(source, made_by=made_by)}
    return attempt(folder, fine_tune_spec(**fields), tables, models, context)


def model_of(
    made: Outcome,
    name: str = "churn",
    version: int = 3,
    *,
    made_by: Mapping[str, Any] | None = None,
    dataset: str = "ds_source",
) -> ModelFile:
    """The version that an outcome would have become."""
    assert made.artifact is not None
    digest = hashlib.sha256(made.artifact.read_bytes()).hexdigest()
    record = {**(made.version or {}), "dataset": dataset}
    return ModelFile(made.artifact, digest, name, version, record, made_by or {})


def attempt(
    folder: Path,
    spec: Mapping[str, Any],
    tables: Mapping[str, TableFiles],
    models: Mapping[str, ModelFile] | None = None,
    context: Any = None,
) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    work = Assignment("job", spec["type"], 1, spec, folder, tables, models or {})
    return HANDLERS[spec["type"]](work, context or Recorder())
