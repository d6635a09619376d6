"""Projects and priorities take turns at the workers of a running stack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tests.e2e import tables
from tests.support.client import Graft, Json

BACKLOG = 12


def _reports(client: Graft, count: int, priority: str = "normal") -> list[str]:
    """The ids of so many small jobs."""
    dataset = client.dataset(tables.digits(slice(0, 60)))
    body = {"type": "shift_report", "dataset": dataset, "source": dataset, "priority": priority}
    return [client.submit(body).json()["id"] for _ in range(count)]


def _at(job: Json, what: str) -> datetime:
    return datetime.fromisoformat(job[what])


def test_the_backlog_of_a_project_does_not_hold_up_the_job_of_another(
    client_of: Callable[..., Graft],
) -> None:
    busy, small = client_of("fair-busy"), client_of("fair-small")
    backlog = _reports(busy, BACKLOG)
    (single,) = _reports(small, 1)
    job = small.ended(single)
    jobs = [busy.job(job_id) for job_id in backlog]
    begun_meanwhile = [
        other
        for other in jobs
        if other["started_at"] and _at(job, "created_at") < _at(other, "started_at") < _at(job, "started_at")
    ]
    assert begun_meanwhile == [], "only those that were running already went before it"
    assert any(other["status"] == "queued" for other in jobs), "the backlog was too short to show anything"
    assert all(busy.ended(job_id)["status"] == "succeeded" for job_id in backlog)


def test_a_job_of_low_priority_begins_while_others_of_high_wait(client_of: Callable[..., Graft]) -> None:
    client = client_of("fair-priorities")
    urgent = _reports(client, BACKLOG, "high")
    (patient,) = _reports(client, 1, "low")
    job = client.ended(patient)
    later = [
        other for other in map(client.ended, urgent) if _at(other, "started_at") > _at(job, "started_at")
    ]
    assert later, "it waited for all that were more urgent"
    before = BACKLOG - len(later)
    assert before >= 2, "and it did not go before them"
