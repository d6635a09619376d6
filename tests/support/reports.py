"""Reports of real fine-tunes on small tables, as the handler makes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared.contracts.models import Compatibility, ModelVersion, VersionRef
from tests.support.attempts import trained, tuned
from tests.support.labelled_tables import parquet_files


def report_of(folder: Path, source: pa.Table, target: pa.Table, **fields: Any) -> dict[str, Any]:
    """The report of fine-tuning a model of `source` to `target`, through JSON as it is stored."""
    kind = fields.pop("kind", "logistic_regression")
    made = trained(folder / "source", source, kind=kind)
    spec = {"target": "label", "features": None, "task": "auto", "seed": 42}
    spec["evaluation"] = {"test_fraction": 0.2, "stratify": True}
    files = parquet_files(folder / "again", source)
    outcome = tuned(folder / "target", made, target, source_files=files, made_by=spec, **fields)
    found: dict[str, Any] = json.loads(json.dumps(outcome.result["report"], allow_nan=False))
    return found


def version_of(name: str = "churn-south") -> ModelVersion:
    """A record to show beside a report."""
    return ModelVersion(
        name=name,
        version=2,
        job="job_1",
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        task="classification",
        estimator={},
        target="label",
        schema={},
        metrics={},
        parent=VersionRef(name="churn", version=3),
        dataset="ds_1",
        seed=42,
        sha256="ab" * 32,
        signature="",
        bytes=1,
        library_versions={},
        compatibility=Compatibility(status="same"),
    )
