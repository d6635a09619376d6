"""Schedules on a real Redis at times that a test chooses."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from shared.contracts.datasets import DatasetFile
from shared.contracts.schedules import Occurrence, ScheduleBody
from shared.contracts.tables import Column
from shared.job_records import NewJob, NewVersion
from shared.schedule_records import Standing
from shared.schedules import ScheduleStore
from shared.services import Services
from shared.states import JobState
from tests.support.client import Json

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DATASET = "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def at(text: str) -> int:
    """Milliseconds since the epoch of `2026-03-01T00:00` in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, text: str) -> None:
        self.ms = at(text)

    def __call__(self) -> int:
        return self.ms

    def set(self, text: str) -> None:
        self.ms = at(text)


def clocked(services: Services, clock: Clock, *, max_schedules: int = 10) -> Services:
    """The same services, whose schedules go by that clock."""
    store = ScheduleStore(services.database, max_schedules=max_schedules, idempotency_seconds=60, clock=clock)
    return dataclasses.replace(services, schedules=store)


def a_dataset(services: Services, dataset_id: str = DATASET, project: str = "default") -> str:
    columns = [Column(name="f0", type="number", nulls=0), Column(name="label", type="string", nulls=0)]
    file = DatasetFile(bucket="graft", key="k", rows=100, bytes=1, sha256="0")
    services.datasets.create(project, dataset_id, name="table", format="csv", columns=columns, files=[file])
    return dataset_id


def a_model(services: Services, name: str = "churn", project: str = "default") -> int:
    """The next version of a model, as the end of a job makes it."""
    fields: dict[str, Any] = {
        "name": name,
        "job": "job_1",
        "task": "classification",
        "estimator": {"kind": "svm"},
        "target": "label",
        "schema": {"inputs": [], "output": {}},
        "metrics": {},
        "dataset": DATASET,
        "sha256": "0",
        "signature": "0",
        "bytes": 1,
        "artifact_key": "default/jobs/job_1/token/model.joblib",
        "library_versions": {},
    }
    services.jobs.submit(NewJob(project=project, type="fine_tune", spec={}, model=name, priority="high"))
    claimed = services.jobs.claim("high", "worker")
    assert claimed
    version = NewVersion(name, None, None, fields)
    return services.jobs.finish(claimed[0], JobState.SUCCEEDED, version=version)


def train_daily(**changes: Any) -> ScheduleBody:
    """A small training each night at two, in Berlin."""
    fields: Json = {
        "name": "nightly",
        "cron": "0 2 * * *",
        "timezone": "Europe/Berlin",
        "job": {
            "type": "train",
            "dataset": DATASET,
            "target": "label",
            "estimator": {"kind": "svm"},
            "model": {"name": "churn"},
            "metadata": {"day": "{{ scheduled_for:%Y-%m-%d }}"},
        },
    }
    return ScheduleBody.model_validate({**fields, **changes})


def score(uri: str, **changes: Any) -> Json:
    return {"type": "batch_predict", "model": "churn", "input": {"uri": uri, "format": "csv"}, **changes}


def made(services: Services, body: ScheduleBody, project: str = "default") -> Standing:
    return services.schedules.create(project, body)[0]


def occurrences(services: Services, standing: Standing) -> list[Occurrence]:
    """All that have been decided, oldest first."""
    found, more = services.schedules.occurrences(standing.project, standing.id, limit=1_000)
    assert not more
    return [item for _, item in found][::-1]


def told(services: Services, standing: Standing) -> list[str]:
    """The same in short: `29 01:00 submitted`, `30 01:00 skipped overlap`."""
    return [
        f"{item.scheduled_for:%d %H:%M} {item.status}{f' {item.code}' if item.code else ''}"
        for item in occurrences(services, standing)
    ]


def jobs_of(services: Services, standing: Standing) -> list[Any]:
    """The schedule's jobs, oldest first."""
    found, _ = services.jobs.page(standing.project, {"schedule": standing.id}, limit=1_000)
    return found[::-1]


def end_jobs(services: Services, priority: str = "normal") -> int:
    """Run every ready job to its end; how many there were."""
    ended = 0
    while claimed := services.jobs.claim(priority, "worker"):
        services.jobs.finish(claimed[0], JobState.SUCCEEDED)
        ended += 1
    return ended
