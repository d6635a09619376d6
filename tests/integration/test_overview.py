"""What stands above a list of jobs, and what is found in it, on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from shared.job_records import NewJob
from shared.services import Services
from shared.states import JobState


def _submit(services: Services, project: str = "p", **fields: Any) -> str:
    new = NewJob(project=project, **{"type": "train", "spec": {"type": "train"}, **fields})
    return services.jobs.submit(new)[0].id


def _end(services: Services, state: JobState, priority: str = "normal") -> None:
    claimed = services.jobs.claim(priority, "w")
    assert claimed is not None
    services.jobs.finish(claimed[0], state)


def test_it_counts_states_queues_and_what_has_ended_lately(services: Services) -> None:
    for priority in ("high", "normal", "normal", "low"):
        _submit(services, priority=priority)
    _submit(services, "another")
    _end(services, JobState.SUCCEEDED, "high")
    _end(services, JobState.FAILED, "low")
    found = services.overview.of("p")
    assert found.jobs == 4
    assert found.states == {"queued": 2, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 0}
    assert found.waiting == {"high": 0, "normal": 2, "low": 0}
    assert len(found.ended) == 72
    assert sum(one.total for one in found.ended) == 2
    assert sum(one.failed for one in found.ended[-2:]) == 1


def test_of_an_empty_project_all_is_nothing(services: Services) -> None:
    found = services.overview.of("nobody")
    assert (found.jobs, sum(found.states.values()), sum(one.total for one in found.ended)) == (0, 0, 0)


@pytest.mark.parametrize("text", ["Churn", "TICKET-7", "south"])
def test_a_search_finds_what_is_written_anywhere_in_a_job(services: Services, text: str) -> None:
    wanted = _submit(services, model="churn", metadata={"ticket": "ticket-7"}, spec={"dataset": "South"})
    _submit(services, model="other")
    _submit(services, "another", model="churn", metadata={"t": "ticket-7"}, spec={"dataset": "South"})
    assert [job.id for job in services.search.find("p", text, {}, limit=10).jobs] == [wanted]


def test_a_search_goes_on_where_it_stopped(services: Services) -> None:
    ids = [_submit(services, model="churn") for _ in range(5)]
    seen, after = [], None
    while True:
        found = services.search.find("p", "churn", {"status": "queued"}, limit=2, after=after)
        seen += [job.id for job in found.jobs]
        after = found.next
        if after is None:
            break
    assert seen == ids[::-1]


def test_a_search_takes_its_text_as_it_stands(services: Services) -> None:
    _submit(services, model="churn")
    for text in ("ch.rn", "%w+", "[", "churn%"):
        assert services.search.find("p", text, {}, limit=10).jobs == []


def test_a_filter_narrows_a_search(services: Services) -> None:
    _submit(services, model="churn", type="train")
    _submit(services, model="churn", type="evaluate", priority="high")
    _end(services, JobState.SUCCEEDED, "high")
    found = services.search.find("p", "churn", {"type": "evaluate", "status": "succeeded"}, limit=10)
    assert [job.type for job in found.jobs] == ["evaluate"]
    assert services.search.find("p", "churn", {"type": "train", "status": "succeeded"}, limit=10).jobs == []


def test_the_running_loss_is_a_curve_that_begins_anew_with_an_attempt(services: Services) -> None:
    job = _submit(services)
    claimed = services.jobs.claim("normal", "w")
    assert claimed is not None
    progress = {"phase": "fitting", "total": 9, "unit": "epochs"}
    for completed, loss in ((1, 0.9), (2, 0.5), (1, 0.8), (2, 0.4)):
        services.jobs.renew(
            claimed[0], progress={**progress, "completed": completed, "details": {"loss": loss}}
        )
    services.jobs.renew(claimed[0], progress={**progress, "completed": 3, "details": {}})
    assert services.jobs.curve("p", job) == [(1, 0.8), (2, 0.4)]
    assert services.jobs.curve("another", job) == []
