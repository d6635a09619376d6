"""Bodies of jobs, from what a person would say: a table stands for a dataset, and defaults are the API's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from graft.client.model_version import ModelVersion
from graft.client.sources import OnProgress, Source
from shared.contracts.datasets import Dataset
from shared.queue import Priority

Table: TypeAlias = Source | Dataset
"""A dataset's id, a dataset, or what is uploaded first: a path, bytes, a file, a DataFrame, a pyarrow Table."""
ModelLike: TypeAlias = str | ModelVersion
"""`churn` (its latest version), `churn:3`, `churn@production`, or a version."""
Estimator: TypeAlias = str | Mapping[str, Any]
"""A kind, or a kind with its settings: `{"kind": "svm", "kernel": "rbf"}` (docs/learning.md)."""


class JobOptions(TypedDict, total=False):
    """What every type of job takes besides."""

    priority: Priority
    max_attempts: int
    timeout_seconds: int
    metadata: Mapping[str, str | int | float | bool | None]
    webhook_url: str
    idempotency_key: str
    on_progress: OnProgress
    """Of a table that is uploaded first: called with the bytes that are sent and those that there are."""


Task: TypeAlias = Literal["auto", "classification", "regression"]


def body(type: str, options: JobOptions, **fields: Any) -> dict[str, Any]:
    """What is None is left out, for the API has the defaults."""
    common = {
        name: value for name, value in options.items() if name not in {"idempotency_key", "on_progress"}
    }
    given = {**fields, **common}
    return {"type": type, **{name: _plain(value) for name, value in given.items() if value is not None}}


def estimator_body(given: Estimator) -> dict[str, Any]:
    return {"kind": given} if isinstance(given, str) else dict(given)


def target_model(name: str, description: str | None, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """Where a new version goes."""
    given = {"name": name, "description": description, "tags": tags and dict(tags)}
    return {field: value for field, value in given.items() if value is not None}


def ref(model: ModelLike) -> str:
    return model.ref if isinstance(model, ModelVersion) else model


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
