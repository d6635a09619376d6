"""An Idempotency-Key while its request is being accepted, and before and after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared import idempotency
from shared.errors import Conflict, InvalidInput, TooMany
from shared.idempotency import KeyedRequest
from shared.job_records import NewJob
from shared.services import Services
from tests.support.waiting import eventually

REQUEST = KeyedRequest(project="default", key="key", body="body", holder="one")
AGAIN = replace(REQUEST, holder="two")


def new(project: str = "default") -> NewJob:
    return NewJob(project=project, type="train", spec={})


def test_a_request_has_its_key_to_itself_until_it_is_accepted(services: Services) -> None:
    store = services.idempotency
    assert store.begin(REQUEST) is None
    assert store.begin(REQUEST) is None, "the very call may be sent twice"
    with pytest.raises(Conflict) as refused:
        store.begin(AGAIN)
    assert refused.value.code == "idempotency_key_in_use"
    job, _ = services.jobs.submit(new(), idempotency=("key", "body"))
    assert store.begin(AGAIN) == job.id


@pytest.mark.parametrize("accepted", [False, True])
def test_a_key_is_refused_with_another_body(services: Services, accepted: bool) -> None:
    services.idempotency.begin(REQUEST)
    if accepted:
        services.jobs.submit(new(), idempotency=("key", "body"))
    with pytest.raises(InvalidInput) as refused:
        services.idempotency.begin(replace(AGAIN, body="another"))
    assert refused.value.code == "idempotency_key_reused"


def test_a_refused_request_leaves_its_key_free_for_another(services: Services) -> None:
    services.idempotency.begin(REQUEST)
    services.idempotency.abandon(REQUEST)
    assert services.idempotency.begin(replace(AGAIN, body="corrected")) is None


def test_nobody_gives_up_a_hold_of_somebody_else(services: Services) -> None:
    services.idempotency.begin(REQUEST)
    services.idempotency.abandon(AGAIN)
    with pytest.raises(Conflict):
        services.idempotency.begin(AGAIN)


def test_a_hold_ends_when_its_process_has_died(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "HOLD_MS", 100)
    services.idempotency.begin(REQUEST)

    def is_free() -> bool:
        try:
            return services.idempotency.begin(AGAIN) is None
        except Conflict:
            return False

    eventually(is_free, 5)
    first, _ = services.jobs.submit(new(), idempotency=("key", "body"))
    again, replayed = services.jobs.submit(new(), idempotency=("key", "body"))
    assert (again.id, replayed) == (first.id, True), "one job all the same"


def test_a_key_belongs_to_its_project(services: Services) -> None:
    services.idempotency.begin(REQUEST)
    assert services.idempotency.begin(replace(AGAIN, project="another", body="other")) is None


def test_a_replay_comes_before_the_quota(services: Services) -> None:
    first, _ = services.jobs.submit(new(), idempotency=("key", "body"))
    for _ in range(services.settings.max_live_jobs - 1):
        services.jobs.submit(new())
    with pytest.raises(TooMany):
        services.jobs.submit(new())
    assert services.idempotency.begin(AGAIN) == first.id
