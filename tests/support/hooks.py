"""Jobs and deliveries in this process, without a worker: what the tests of the scripts begin with."""

from __future__ import annotations

from typing import Any

from shared.contracts.webhooks import WebhookBody
from shared.job_records import Lease, NewJob
from shared.services import Services
from shared.states import JobState
from shared.webhooks.answers import Answer

URL = "https://hooks.example.com/graft"
GOOD = Answer(None, 0.01, 200)
BAD = Answer("http_500", 0.01, 500)
GONE = Answer("gone", 0.01, 410)


def endpoint(services: Services, *events: str, project: str = "default", **fields: Any) -> str:
    body = {"url": URL, "events": list(events or ("job.succeeded", "job.failed", "job.cancelled")), **fields}
    return services.webhooks.create(project, WebhookBody.model_validate(body))[0].id


def submit(services: Services, project: str = "default", **changes: Any) -> str:
    new = {"project": project, "type": "train", "spec": {"seed": 1}, "model": "churn", **changes}
    return services.jobs.submit(NewJob(**new))[0].id


def claim(services: Services) -> Lease:
    claimed = services.jobs.claim("normal", "worker-1")
    assert claimed is not None
    return claimed[0]


def ended(
    services: Services, state: JobState = JobState.SUCCEEDED, project: str = "default", **changes: Any
) -> str:
    """A job that has ended so."""
    job_id = submit(services, project, **changes)
    services.jobs.finish(claim(services), state)
    return job_id
