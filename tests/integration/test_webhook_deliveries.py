"""The scripts of webhooks on a real Redis: what a change of a job writes, who may deliver it, what becomes of it."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import keys, queue
from shared.contracts.webhooks import Delivery, WebhookPatch
from shared.errors import Conflict, InvalidInput, NotFound, TooMany
from shared.services import Services
from shared.shards import NewShard
from shared.states import JobState
from shared.webhooks.answers import Answer
from shared.webhooks.deliveries import DeliveryStore, Taken
from tests.support.hooks import BAD, GONE, GOOD, URL, claim, ended, endpoint, submit
from tests.support.waiting import eventually

ERROR = {"code": "x", "message": "y", "retryable": False}
TERMINAL = ("job.succeeded", "job.failed", "job.cancelled")


def told(services: Services, webhook: str, project: str = "default") -> list[Delivery]:
    """Of an endpoint, oldest first."""
    found, more = services.deliveries.page(project, webhook, limit=500)
    assert not more
    return found[::-1]


def take(services: Services, **options: Any) -> Taken:
    taken = services.deliveries.take(**options)
    assert taken is not None
    return taken


def tried(services: Services, answer: Answer, *, again: float | None = None, pause: float = 0.0) -> Taken:
    """Take what is due and have it answered so."""
    taken = take(services)
    assert services.deliveries.record(taken, answer, next_seconds=again, pause_seconds=pause)
    return taken


def store(services: Services, **changes: Any) -> DeliveryStore:
    """One with other limits."""
    given = {"lease_seconds": 0.2, "most_tries": 3, "disable_seconds": 0.0, "most_kept": 5}
    return DeliveryStore(services.database, **{**given, **changes})


def test_the_end_of_a_job_writes_one_delivery_for_each_endpoint_that_asked(services: Services) -> None:
    all_of_it, failures = endpoint(services), endpoint(services, "job.failed")
    another = endpoint(services, project="another")
    job_id = ended(services)
    [delivery] = told(services, all_of_it)
    assert (delivery.event, delivery.job, delivery.status) == ("job.succeeded", job_id, "pending")
    assert delivery.message == f"{job_id.replace('job_', 'msg_')}_succeeded"
    assert delivery.webhook == all_of_it
    assert told(services, failures) == []
    assert told(services, another, "another") == []


def test_ids_of_deliveries_are_ulids_of_their_moment(services: Services) -> None:
    webhook = endpoint(services)
    for _ in range(3):
        ended(services)
        time.sleep(0.002)
    from ulid import ULID

    found = told(services, webhook)
    assert [item.id for item in found] == sorted(item.id for item in found)
    for item in found:
        assert ULID.from_str(item.id.removeprefix("dlv_")).milliseconds == int(
            item.created_at.timestamp() * 1000 + 0.5
        )


WAYS: dict[str, str] = {
    "finish": "job.succeeded",
    "finish failed": "job.failed",
    "cancel of a queued job": "job.cancelled",
    "cancel of a running job": "job.cancelled",
    "cancel while it waits for a retry": "job.cancelled",
    "rescue of the last attempt": "job.failed",
    "rescue of a cancelled job": "job.cancelled",
    "a shard fails": "job.failed",
    "cancel of a split job": "job.cancelled",
    "cancel of a split job with a running shard": "job.cancelled",
    "closing of a split job": "job.succeeded",
}


@pytest.mark.parametrize("way", WAYS)
def test_however_a_job_ends_its_end_is_told_once(services: Services, way: str) -> None:
    from worker.upkeep import rescuer

    webhook, jobs = endpoint(services), services.jobs
    own = "https://own.example.com/"
    job_id = submit(services, webhook_url=own, max_attempts=1)
    if way in {"finish", "finish failed"}:
        jobs.finish(claim(services), JobState.SUCCEEDED if way == "finish" else JobState.FAILED)
    elif way == "cancel of a queued job":
        jobs.cancel("default", job_id)
    elif way == "cancel of a running job":
        lease = claim(services)
        jobs.cancel("default", job_id)
        jobs.finish(lease, JobState.CANCELLED)
    elif way == "cancel while it waits for a retry":
        jobs.release(claim(services), "normal", reason="x", delay_seconds=60)
        jobs.cancel("default", job_id)
    elif way.startswith("rescue"):
        claim(services)
        if "cancelled" in way:
            jobs.cancel("default", job_id)
        eventually(lambda: rescuer.run(services) or jobs.get("default", job_id).finished_at)
    else:
        shards = [NewShard(pieces=[{}]) for _ in range(2)]
        services.shards.split(claim(services), "normal", shards, table={"rows": 2}, failed_allowed=0)
        if way == "cancel of a split job":
            jobs.cancel("default", job_id)
        elif way == "cancel of a split job with a running shard":
            lease = claim(services)
            jobs.cancel("default", job_id)
            services.shards.finish(lease, JobState.CANCELLED, "normal", "w")
        elif way == "a shard fails":
            services.shards.finish(claim(services), JobState.FAILED, "normal", "w", error=ERROR)
        else:
            services.shards.finish(claim(services), JobState.SUCCEEDED, "normal", "w", rows=1)
            closing = services.shards.finish(claim(services), JobState.SUCCEEDED, "normal", "w", rows=1)
            assert closing
            jobs.finish(closing, JobState.SUCCEEDED)
    assert f"job.{jobs.get('default', job_id).status}" == WAYS[way]
    [delivery] = told(services, webhook)
    [own_delivery] = services.deliveries.of_job(jobs.record("default", job_id))
    assert delivery.event == own_delivery.event == WAYS[way]
    assert delivery.message == own_delivery.message
    assert (delivery.job, own_delivery.job, own_delivery.webhook) == (job_id, job_id, None)


def test_no_script_ends_a_job_without_telling(services: Services) -> None:
    """Every place in a script that sets a final state of a job, by its text: a new one fails this test."""
    from pathlib import Path

    from shared import lua

    folder = Path(lua.__file__).parent
    ends = {
        path.name: text.count("release_uses(") - text.count("function release_uses(")
        for path in folder.glob("*.lua")
        if "release_uses(" in (text := path.read_text())
    }
    announces = {name: (folder / name).read_text().count("announce(job, 'job.") for name in ends}
    assert ends == {"_prelude.lua": 1, "finish.lua": 1, "cancel.lua": 1}
    assert announces == ends


def test_a_job_is_told_queued_and_started_once_however_often_it_is_tried(services: Services) -> None:
    webhook = endpoint(services, "job.queued", "job.started")
    job_id = submit(services, webhook_url="https://own.example.com/")
    lease = claim(services)
    services.jobs.release(lease, "normal", reason="drain", charged=False)
    claim(services)
    assert [item.event for item in told(services, webhook)] == ["job.queued", "job.started"]
    assert services.deliveries.of_job(services.jobs.record("default", job_id)) == [], (
        "its own URL hears of its end"
    )


def test_a_script_that_is_sent_twice_tells_once(services: Services) -> None:
    webhook = endpoint(services, *TERMINAL, "job.queued", "job.started")
    submit(services)
    lease = claim(services)
    services.jobs.finish(lease, JobState.SUCCEEDED)
    services.jobs.finish(lease, JobState.SUCCEEDED)
    assert [item.event for item in told(services, webhook)] == ["job.queued", "job.started", "job.succeeded"]


def test_a_project_without_webhooks_writes_nothing(services: Services) -> None:
    endpoint(services, project="another")
    before = set(services.database.scan_iter())
    ended(services)
    made = set(services.database.scan_iter()) - before
    assert not {key for key in made if "deliver" in key or "webhook" in key}


def test_one_wake_up_lies_in_the_queue_however_much_there_is_to_deliver(services: Services) -> None:
    endpoint(services)
    endpoint(services)
    for _ in range(3):
        ended(services)
    name = queue.queue_name(queue.WEBHOOKS)
    [text] = services.database.lrange(name, 0, -1)
    assert queue.is_wake_up(text, name)


def test_a_delivery_is_taken_once(services: Services) -> None:
    endpoint(services)
    ended(services)
    found: list[Taken | None] = []
    threads = [threading.Thread(target=lambda: found.append(services.deliveries.take())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([taken for taken in found if taken]) == 1


def test_take_sent_twice_answers_the_same(services: Services) -> None:
    endpoint(services)
    endpoint(services)
    ended(services)
    twice = store(services, lease_seconds=30.0, new_token=lambda: "the-same-token")
    first, second = twice.take(), twice.take()
    assert first
    assert second
    assert first.delivery == second.delivery


def test_an_endpoint_is_called_by_one_courier_at_a_time_and_in_order(services: Services) -> None:
    webhook, other = endpoint(services), endpoint(services)
    jobs = []
    for _ in range(3):
        jobs.append(ended(services))
        time.sleep(0.002)
    first, second = take(services), take(services)
    assert {first.delivery["webhook"], second.delivery["webhook"]} == {webhook, other}
    assert services.deliveries.take() is None
    services.deliveries.record(first, GOOD, next_seconds=None, pause_seconds=0)
    third = take(services)
    assert third.delivery["webhook"] == first.delivery["webhook"]
    assert [first.delivery["job"], third.delivery["job"]] == jobs[:2]


def test_a_project_that_is_busy_is_passed_over(services: Services) -> None:
    endpoint(services)
    endpoint(services, project="another")
    ended(services)
    ended(services, project="another")
    assert take(services, pass_over=["default"]).project == "another"
    assert services.deliveries.take(pass_over=["default"]) is None
    assert take(services).project == "default"


def test_success_ends_a_delivery(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    tried(services, GOOD)
    [delivery] = told(services, webhook)
    assert (delivery.status, delivery.next_attempt_at) == ("succeeded", None)
    assert [(line.status, line.error) for line in delivery.attempts] == [(200, None)]
    assert services.deliveries.take() is None
    assert services.database.zcard(keys.WEBHOOKS) == 0


def test_failure_is_tried_again_when_its_time_comes_under_the_same_id(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    first = tried(services, BAD, again=0.15)
    assert services.deliveries.take() is None
    [delivery] = told(services, webhook)
    assert delivery.status == "pending"
    assert delivery.next_attempt_at
    second = eventually(services.deliveries.take)
    assert second
    assert second.delivery["message"] == first.delivery["message"]
    assert second.tries == 2


def test_the_last_failure_ends_a_delivery(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    tried(services, BAD, again=0)
    tried(services, BAD)
    [delivery] = told(services, webhook)
    assert delivery.status == "failed"
    assert [line.error for line in delivery.attempts] == ["http_500", "http_500"]
    assert services.deliveries.take() is None


def test_what_a_lost_courier_held_is_delivered_again_and_it_comes_too_late(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    short = store(services)
    lost = short.take()
    assert lost
    again = eventually(short.take)
    assert again
    assert again.delivery["message"] == lost.delivery["message"]
    assert not short.record(lost, GOOD, next_seconds=None, pause_seconds=0)
    assert short.record(again, BAD, next_seconds=None, pause_seconds=0)
    [delivery] = told(services, webhook)
    assert (delivery.status, [line.error for line in delivery.attempts]) == (
        "failed",
        ["worker_lost", "http_500"],
    )


def test_a_delivery_that_loses_every_courier_ends(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    short = store(services, lease_seconds=0.02)
    eventually(lambda: short.take() is None and told(services, webhook)[0].status == "failed", every=0.03)
    assert [line.error for line in told(services, webhook)[0].attempts] == ["worker_lost"] * 3


def test_record_sent_twice_is_sent_once(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    taken = take(services)
    for _ in range(2):
        assert services.deliveries.record(taken, BAD, next_seconds=60, pause_seconds=0)
    [delivery] = told(services, webhook)
    assert len(delivery.attempts) == 1
    assert services.database.hget(keys.webhook("default", webhook), "failures") == "1"


def test_an_endpoint_is_left_alone_for_a_while_after_a_slow_failure(services: Services) -> None:
    endpoint(services)
    ended(services)
    ended(services)
    tried(services, BAD, again=60, pause=0.2)
    ended(services)
    assert services.deliveries.take() is None
    assert eventually(services.deliveries.take)


def test_410_switches_the_endpoint_off_and_discards_what_waits(services: Services) -> None:
    webhook, other = endpoint(services), endpoint(services, "job.failed")
    for _ in range(3):
        ended(services)
    tried(services, GONE, again=5)
    found = services.webhooks.get("default", webhook)
    assert (found.status, found.disabled_reason) == ("disabled", "gone")
    assert found.disabled_at
    assert [item.status for item in told(services, webhook)] == ["failed", "discarded", "discarded"]
    ended(services)
    assert len(told(services, webhook)) == 3, "nothing more is written for it"
    assert services.webhooks.get("default", other).status == "enabled"
    assert services.deliveries.take() is None


def test_410_of_a_jobs_own_url_ends_what_waits_for_it_and_the_next_job_may_name_it_again(
    services: Services,
) -> None:
    first, second = (ended(services, webhook_url=URL) for _ in range(2))
    tried(services, GONE)

    def status(job_id: str) -> str:
        return services.deliveries.of_job(services.jobs.record("default", job_id))[0].status

    assert [status(first), status(second)] == ["failed", "discarded"]
    third = ended(services, webhook_url=URL)
    tried(services, GOOD)
    assert status(third) == "succeeded"


def test_an_endpoint_that_fails_for_days_is_switched_off(services: Services) -> None:
    webhook = endpoint(services)
    days = store(services, lease_seconds=30.0, disable_seconds=0.3)
    for _ in range(12):
        ended(services)
    for place in range(12):
        if place == 9:
            time.sleep(0.35)
        taken = days.take()
        if taken is None:
            break
        days.record(taken, BAD, next_seconds=60, pause_seconds=0)
    found = services.webhooks.get("default", webhook)
    assert (found.status, found.disabled_reason) == ("disabled", "failing")
    assert place == 10, "ten failures in a row, for long enough"


def test_one_success_in_between_keeps_an_endpoint(services: Services) -> None:
    webhook = endpoint(services)
    days = store(services, lease_seconds=30.0, disable_seconds=0.0)
    for place in range(20):
        ended(services)
        taken = days.take()
        assert taken
        days.record(taken, GOOD if place % 9 == 8 else BAD, next_seconds=None, pause_seconds=0)
    assert services.webhooks.get("default", webhook).status == "enabled"


def test_a_disabled_endpoint_gets_nothing_and_can_be_enabled_again(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    off = services.webhooks.change("default", webhook, WebhookPatch(disabled=True))
    assert (off.status, off.disabled_reason) == ("disabled", "by_request")
    assert services.deliveries.take() is None
    assert [item.status for item in told(services, webhook)] == ["discarded"]
    with pytest.raises(Conflict):
        services.deliveries.test("default", webhook)
    with pytest.raises(Conflict):
        services.deliveries.replay("default", webhook, told(services, webhook)[0].id)
    on = services.webhooks.change("default", webhook, WebhookPatch(disabled=False))
    assert (on.status, on.disabled_reason, on.disabled_at) == ("enabled", None, None)
    services.deliveries.replay("default", webhook, told(services, webhook)[0].id)
    tried(services, GOOD)
    assert [item.status for item in told(services, webhook)] == ["succeeded"]


def test_replay_delivers_again_under_the_same_id_with_all_tries(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    first = tried(services, GOOD)
    again = services.deliveries.replay("default", webhook, first.delivery["id"])
    assert again.status == "pending"
    second = tried(services, BAD, again=60)
    assert second.delivery["message"] == first.delivery["message"]
    assert second.tries == 1
    assert services.deliveries.take() is None
    services.deliveries.replay("default", webhook, first.delivery["id"])
    assert take(services).delivery["id"] == first.delivery["id"], "what waits is tried at once"
    with pytest.raises(NotFound):
        services.deliveries.replay("default", webhook, "dlv_" + "0" * 26)


def test_a_delivery_of_another_endpoint_cannot_be_replayed(services: Services) -> None:
    mine, other = endpoint(services), endpoint(services, "job.failed")
    ended(services)
    [delivery] = told(services, mine)
    with pytest.raises(NotFound):
        services.deliveries.replay("default", other, delivery.id)


def test_replay_since_takes_what_failed_from_then_on(services: Services) -> None:
    webhook = endpoint(services)
    outcomes = [BAD, GOOD, BAD, BAD]
    for answer in outcomes:
        ended(services)
        tried(services, answer)
        time.sleep(0.005)
    found = told(services, webhook)
    assert services.deliveries.replay_since("default", webhook, found[2].created_at) == 2
    assert [item.status for item in told(services, webhook)] == ["failed", "succeeded", "pending", "pending"]
    assert services.deliveries.replay_since("default", webhook, datetime.now(UTC) + timedelta(days=1)) == 0
    assert services.deliveries.replay_since("default", webhook, datetime(1980, 1, 1, tzinfo=UTC)) == 1


def test_the_log_of_an_endpoint_is_bounded_and_what_waits_stays(services: Services) -> None:
    webhook = endpoint(services)
    few = store(services, lease_seconds=30.0)
    ended(services)
    held = few.take()
    assert held
    few.record(held, BAD, next_seconds=600, pause_seconds=0)
    for _ in range(12):
        time.sleep(0.002)
        ended(services)
        taken = few.take()
        assert taken
        few.record(taken, GOOD, next_seconds=None, pause_seconds=0)
    found = told(services, webhook)
    assert len(found) == 6
    assert found[0].id == held.delivery["id"]
    assert len(list(services.database.scan_iter("*:delivery:*"))) == 6


def test_attempts_that_are_logged_are_bounded(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    for number in range(25):
        tried(services, Answer("http_500", 0.01, 500 + number), again=0)
        if number == 8 or number % 8 == 0:
            services.deliveries.replay("default", webhook, told(services, webhook)[0].id)
    [delivery] = told(services, webhook)
    assert [line.status for line in delivery.attempts] == list(range(505, 525))


def test_old_deliveries_expire_but_for_those_that_wait(services: Services) -> None:
    webhook = endpoint(services)
    ended(services)
    tried(services, GOOD)
    ended(services)
    tried(services, BAD, again=600)
    job_id = ended(services, webhook_url=URL)
    taken = [take(services), take(services)]
    for item in taken:
        services.deliveries.record(item, GOOD, next_seconds=None, pause_seconds=0)
    later = int(time.time() * 1000) + 60_000
    assert services.deliveries.expire("default", int(time.time() * 1000) - 60_000) == 0
    assert services.deliveries.expire("default", later) == 3
    assert [item.status for item in told(services, webhook)] == ["pending"]
    assert services.deliveries.of_job(services.jobs.record("default", job_id)) == []
    assert not list(services.database.scan_iter("*webhook:url_*")), (
        "the URL is forgotten with its last delivery"
    )
    assert not services.database.exists(keys.webhook_urls("default"))


def test_a_deleted_endpoint_leaves_nothing(services: Services) -> None:
    before = set(services.database.scan_iter())
    webhook = endpoint(services)
    ended(services)
    taken = take(services)
    services.webhooks.delete("default", webhook)
    assert not services.deliveries.record(taken, GOOD, next_seconds=None, pause_seconds=0)
    left = {
        key for key in set(services.database.scan_iter()) - before if "webhook" in key or "deliver" in key
    }
    assert left <= {queue.queue_name(queue.WEBHOOKS)}
    for act in (services.webhooks.get, services.webhooks.delete):
        with pytest.raises(NotFound):
            act("default", webhook)


def test_a_project_has_no_more_endpoints_than_its_limit(services: Services) -> None:
    for _ in range(services.settings.max_webhooks):
        endpoint(services)
    with pytest.raises(TooMany):
        endpoint(services)
    endpoint(services, project="another")


def test_an_endpoint_of_another_project_is_unknown(services: Services) -> None:
    webhook = endpoint(services, project="another")
    for act in (
        lambda: services.webhooks.get("default", webhook),
        lambda: services.webhooks.change("default", webhook, WebhookPatch(disabled=True)),
        lambda: services.webhooks.rotate("default", webhook, overlap_seconds=0),
        lambda: services.webhooks.delete("default", webhook),
    ):
        with pytest.raises(NotFound):
            act()
    assert services.webhooks.get("another", webhook).status == "enabled"


def test_a_url_of_jobs_is_no_endpoint(services: Services) -> None:
    ended(services, webhook_url=URL)
    [found] = services.database.zrange(keys.webhook_urls("default"), 0, -1)
    with pytest.raises(NotFound):
        services.webhooks.get("default", found)
    assert services.webhooks.page("default", limit=10) == ([], False)


def test_secrets_are_nowhere_in_redis_and_rotate_with_an_overlap(services: Services) -> None:
    from shared.contracts.webhooks import WebhookBody

    made, first = services.webhooks.create(
        "default", WebhookBody.model_validate({"url": URL, "events": ["job.succeeded"]})
    )
    ended(services)
    taken = take(services)
    now = int(time.time() * 1000)

    def signing(moment: int = now) -> list[str]:
        record = services.database.hgetall(keys.webhook("default", made.id))
        return services.webhooks.signing_secrets(record, taken.of_jobs, moment)

    assert signing() == [first]
    _, second = services.webhooks.rotate("default", made.id, overlap_seconds=3600)
    assert signing() == [second, first]
    assert signing(now + 3_700_000) == [second]
    rotated, third = services.webhooks.rotate("default", made.id, overlap_seconds=0)
    assert signing() == [third], "without an overlap all of before end at once"
    assert rotated.rotated_at
    everything = "".join(
        json.dumps(services.database.hgetall(key))
        for key in services.database.scan_iter()
        if services.database.type(key) == "hash"
    )
    for secret in (first, second, third):
        assert secret.startswith("whsec_")
        assert secret.removeprefix("whsec_") not in everything


def test_the_secret_of_jobs_is_the_projects_own(services: Services) -> None:
    assert services.webhooks.secret_of_jobs("default").rotated_at is None
    mine = services.webhooks.rotate_secret_of_jobs("default", overlap_seconds=0)
    theirs = services.webhooks.rotate_secret_of_jobs("another", overlap_seconds=0)
    assert mine != theirs
    assert services.webhooks.secret_of_jobs("default").rotated_at
    ended(services, webhook_url=URL)
    taken = take(services)
    now = int(time.time() * 1000)
    assert services.webhooks.signing_secrets(taken.endpoint, taken.of_jobs, now) == [mine]


def test_a_url_that_may_not_be_called_is_refused(services: Services) -> None:
    with pytest.raises(InvalidInput) as refused:
        endpoint(services, url="https://127.0.0.1/")
    assert refused.value.errors[0].pointer == "/url"
    webhook = endpoint(services)
    with pytest.raises(InvalidInput):
        services.webhooks.change("default", webhook, WebhookPatch(url="http://example.com/"))
    assert services.webhooks.get("default", webhook).url == URL


def test_a_test_event_is_delivered(services: Services) -> None:
    webhook = endpoint(services, "job.failed")
    delivery = services.deliveries.test("default", webhook)
    assert (delivery.event, delivery.status, delivery.job) == ("webhook.test", "pending", None)
    assert tried(services, GOOD).delivery["id"] == delivery.id


def test_attempts_are_counted_once_by_project_and_outcome(services: Services) -> None:
    endpoint(services)
    endpoint(services, project="another")
    ended(services)
    taken = take(services)
    for _ in range(2):
        services.deliveries.record(taken, BAD, next_seconds=0, pause_seconds=0)
    tried(services, GOOD)
    ended(services, project="another")
    tried(services, GONE)
    assert services.deliveries.counts() == [
        ("another", "gone", 1),
        ("default", "failed", 1),
        ("default", "succeeded", 1),
    ]
    assert services.deliveries.counts("another") == [("another", "gone", 1)]
