"""Model versions on a real Redis, as the end of a job makes them, without the fitting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.job_records import NewJob, NewVersion, NumberTaken, Uses
from shared.services import Services
from shared.states import JobState

PROJECT = "default"


def publish(services: Services, name: str = "churn", *, uses: tuple[Uses, ...] = (), **fields: Any) -> int:
    """A version of the model, and the job that made it; its number. `fields` of its record differ from the usual."""
    kind = "fine_tune" if "parent" in fields else "train"
    job = NewJob(
        project=PROJECT,
        type=kind,
        spec={"type": kind, "dataset": fields.get("dataset", "ds_1")},
        model=name,
        uses=uses,
    )
    services.jobs.submit(job)
    return finish(services, name, **fields)


def finish(
    services: Services,
    name: str = "churn",
    *,
    model_tags: dict[str, str] | None = None,
    signed_for: int | None = None,
    **fields: Any,
) -> int:
    """The next job that waits makes a version."""
    claimed = services.jobs.claim("normal", "worker-1")
    assert claimed
    lease, _ = claimed
    record = {
        "name": name,
        "job": lease.job_id,
        "task": "classification",
        "estimator": {"kind": "svm"},
        "target": "label",
        "schema": {"inputs": [], "output": {}},
        "metrics": {},
        "dataset": "ds_1",
        "sha256": "0",
        "signature": "0",
        "bytes": 1,
        "artifact_key": f"{PROJECT}/jobs/{lease.job_id}/{lease.token}/model.joblib",
        "library_versions": {},
        **fields,
    }
    version = NewVersion(name, None, model_tags, record, signed_for)
    try:
        return services.jobs.finish(lease, JobState.SUCCEEDED, version=version)
    except NumberTaken:
        again = replace(version, number=services.models.next_number(PROJECT, name))
        return services.jobs.finish(lease, JobState.SUCCEEDED, version=again)
