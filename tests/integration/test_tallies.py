"""What is tallied for Prometheus on a real Redis: once for each thing that happens, whoever dies or asks again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared import database, keys, storage
from shared.errors import Temporary
from shared.job_records import Lease, NewJob
from shared.services import Services
from shared.shards import NewShard
from shared.states import JobState
from shared.storage import ObjectStore
from shared.tallies import TallyStore
from shared.troubles import Trouble
from tests.support.waiting import eventually
from worker.upkeep import rescuer


def tallied(services: Services, name: str) -> dict[str, int]:
    """By labels, with | between them."""
    found = services.tallies.survey().tallies
    return {"|".join(labels): count for (first, *labels), count in found.items() if first == name}


def claimed(services: Services, kind: str = "train", **changes: object) -> Lease:
    services.jobs.submit(NewJob(project="default", type=kind, spec={}, **changes))  # type: ignore[arg-type]
    return taken(services)


def taken(services: Services) -> Lease:
    found = services.jobs.claim("normal", "worker")
    assert found is not None
    return found[0]


def test_a_job_counts_when_it_is_accepted_tried_and_ended(services: Services) -> None:
    services.jobs.finish(claimed(services), JobState.SUCCEEDED)
    assert tallied(services, "accepted") == {"train": 1}
    assert tallied(services, "attempts") == {"train|succeeded": 1}
    assert tallied(services, "ended") == {"train|succeeded": 1}
    for name, label in (("job_wait", "normal"), ("attempt_duration", "train"), ("job_duration", "train")):
        found = tallied(services, name)
        assert found.pop(f"{label}|sum") >= 0
        assert sum(found.values()) == 1, name


def test_a_call_that_comes_twice_counts_once(services: Services) -> None:
    lease = claimed(services)
    for _ in range(2):
        services.jobs.finish(lease, JobState.FAILED, reason="out_of_memory")
    assert tallied(services, "attempts") == {"train|failed": 1}
    assert tallied(services, "attempt_errors") == {"out_of_memory": 1}
    assert tallied(services, "ended") == {"train|failed": 1}


def test_an_attempt_that_lost_its_lease_counts_as_lost_and_no_more(services: Services) -> None:
    lease = claimed(services)
    eventually(services.jobs.expired)
    rescuer.run(services)
    rescuer.run(services)
    with pytest.raises(Exception, match="another attempt"):
        services.jobs.finish(lease, JobState.SUCCEEDED)
    assert tallied(services, "rescues") == {"requeued": 1}
    assert tallied(services, "attempts") == {"train|lost": 1}
    assert tallied(services, "attempt_errors") == {"worker_lost": 1}
    assert tallied(services, "attempt_duration") == {}, "nobody knows how long it took"
    assert tallied(services, "ended") == {}


def test_a_last_attempt_that_is_lost_counts_as_a_rescue_that_failed_the_job(services: Services) -> None:
    claimed(services, max_attempts=1)
    eventually(services.jobs.expired)
    rescuer.run(services)
    assert tallied(services, "rescues") == {"failed": 1}
    assert tallied(services, "ended") == {"train|failed": 1}


def test_retries_and_interruptions_are_told_apart(services: Services) -> None:
    services.jobs.release(claimed(services), "normal", reason="store_away")
    services.jobs.release(taken(services), "normal", reason="drain", charged=False)
    assert tallied(services, "attempts") == {"train|retried": 1, "train|interrupted": 1}
    assert tallied(services, "attempt_errors") == {"store_away": 1}
    waits = tallied(services, "job_wait")
    waits.pop("normal|sum")
    assert sum(waits.values()) == 1, "a job waits once for its first attempt"


def test_a_code_that_is_none_is_not_tallied(services: Services) -> None:
    services.jobs.finish(claimed(services), JobState.FAILED, reason="x" * 41)
    services.jobs.finish(claimed(services), JobState.FAILED, reason="a|b")
    assert tallied(services, "attempt_errors") == {}
    assert tallied(services, "attempts") == {"train|failed": 2}


def test_codes_beyond_the_bound_count_together(services: Services) -> None:
    services.database.hset(keys.TALLIES, mapping={f"filler|{n}": 1 for n in range(2_001)})
    services.jobs.finish(claimed(services), JobState.FAILED, reason="brand_new")
    assert tallied(services, "attempt_errors") == {"other": 1}


def test_rows_count_where_shards_succeed_and_not_again_when_the_job_is_closed(services: Services) -> None:
    shards = services.shards
    planning = claimed(services, "batch_predict")
    parts = [NewShard([{"number": n}], None) for n in range(2)]
    assert shards.split(planning, "normal", parts, table={"rows": 20}, failed_allowed=20) == "done"
    closing = None
    for failed in (0, 3):
        lease = taken(services)
        for _ in range(2):
            closing = shards.finish(
                lease, JobState.SUCCEEDED, "normal", "worker", rows=10, failed_rows=failed
            )
    assert closing is not None
    counts = {"total": 20, "succeeded": 17, "failed": 3}
    services.jobs.finish(closing, JobState.SUCCEEDED, counts=counts)
    assert tallied(services, "rows") == {"scored": 17, "failed": 3}
    assert tallied(services, "attempts") == {
        "batch_predict|split": 1,
        "shard|succeeded": 2,
        "closing|succeeded": 1,
    }


def test_rows_of_a_batch_that_is_not_split_count_at_its_end(services: Services) -> None:
    lease = claimed(services, "batch_predict")
    services.jobs.finish(lease, JobState.SUCCEEDED, counts={"total": 10, "succeeded": 8, "failed": 2})
    assert tallied(services, "rows") == {"scored": 8, "failed": 2}


def test_a_survey_tells_what_waits_and_for_how_long(services: Services) -> None:
    for project in ("a", "b", "b"):
        services.jobs.submit(NewJob(project=project, type="train", spec={}, priority="low"))
    eventually(lambda: services.tallies.survey().lines["low"][0].oldest_seconds > 0.2)
    found = services.tallies.survey()
    assert {line.project: line.jobs for line in found.lines["low"]} == {"a": 1, "b": 2}
    assert max(line.oldest_seconds for line in found.lines["low"]) < 60
    assert (found.lines["high"], found.leases, found.expired_leases, found.delayed) == ([], 0, 0, 0)
    lease = services.jobs.claim("low", "worker")
    assert lease is not None
    assert services.tallies.survey().leases == 1
    services.jobs.release(lease[0], "low", reason="store_away", delay_seconds=60)
    found = services.tallies.survey()
    assert (found.leases, found.delayed) == (0, 1)


def test_what_a_process_counts_is_kept_until_redis_has_it(services: Services) -> None:
    away = TallyStore(database.connect("redis://127.0.0.1:1/0"))
    away.count_trouble(Trouble("store", "put", "SlowDown"))
    with pytest.raises(Temporary):
        away.flush()
    away._add = services.database.script("tally_once")
    away.flush()
    away.flush()
    assert tallied(services, "troubles") == {"store|put|SlowDown": 1}
    away.count_fenced("train")
    away.flush()
    assert tallied(services, "fenced") == {"train": 1}


def test_counts_whose_answer_was_lost_are_added_once(services: Services) -> None:
    tallies = services.tallies
    answered: Callable[..., object] = tallies._add

    def unheard(**call: object) -> object:
        answered(**call)
        raise Temporary("the answer was lost")

    tallies._add = unheard
    tallies.count_fenced("train")
    with pytest.raises(Temporary):
        tallies.flush()
    tallies._add = answered
    tallies.flush()
    assert tallied(services, "fenced") == {"train": 1}


def test_servers_that_are_away_are_told_by_operation_and_kind(services: Services) -> None:
    told: list[Trouble] = []
    gone = database.connect("redis://127.0.0.1:1/0", on_trouble=told.append)
    for act in (lambda: gone.get("x"), lambda: gone.script("renew")(keys=[], args=[])):
        with pytest.raises(Temporary):
            act()
    with gone.pipeline() as pipe:
        pipe.get("x")
        with pytest.raises(Temporary):
            pipe.execute()
    client = storage.connect(
        endpoint_url="http://127.0.0.1:1", access_key_id="a", secret_access_key="b", region="us-east-1"
    )
    store = ObjectStore(client, "bucket", on_trouble=told.append).at("other")
    with pytest.raises(Temporary):
        store.get_bytes("key")
    assert [(trouble.server, trouble.operation) for trouble in told] == [
        ("redis", "get"),
        ("redis", "renew"),
        ("redis", "pipeline"),
        ("store", "get"),
    ]
    assert {trouble.kind for trouble in told} == {"ConnectionError", "EndpointConnectionError"}


def test_a_shard_that_is_lost_for_the_last_time_counts_as_lost(services: Services) -> None:
    planning = claimed(services, "batch_predict", max_attempts=1)
    parts = [NewShard([{"number": n}], None) for n in range(2)]
    assert services.shards.split(planning, "normal", parts, table={"rows": 2}, failed_allowed=0) == "done"
    taken(services)
    eventually(services.jobs.expired)
    rescuer.run(services)
    assert tallied(services, "attempts") == {"batch_predict|split": 1, "shard|lost": 1}
    assert tallied(services, "rescues") == {"failed": 1}
    assert tallied(services, "ended") == {"batch_predict|failed": 1}
