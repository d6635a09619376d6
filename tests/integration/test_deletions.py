"""What refers to a version, a model or a dataset keeps it; what goes leaves its number and its lineage."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from shared import keys, scheduled_jobs, submission
from shared import services as composition
from shared.conditions import Condition
from shared.config import Settings
from shared.contracts.jobs import SubmitBody
from shared.contracts.schedules import ScheduleBody
from shared.errors import Conflict, InUse, InvalidInput, NotFound, PreconditionFailed
from shared.job_records import NewJob
from shared.services import Services
from shared.states import JobState
from tests.support.schedules import DATASET, a_dataset
from tests.support.versions import PROJECT, finish, publish
from tests.support.waiting import eventually
from worker.upkeep import sweeper


@pytest.fixture
def churn(services: Services) -> Services:
    """A model with three versions, and a dataset that they can score."""
    a_dataset(services)
    for _ in range(3):
        publish(services, dataset=DATASET)
    return services


def checked(services: Services, **body: Any) -> NewJob:
    """A job that has passed every check but has not been accepted yet."""
    whole = {"type": "batch_predict", "model": "churn:2", "input": {"dataset": DATASET}, **body}
    return submission.check(services, PROJECT, SubmitBody.model_validate(whole).root, request_id=None)


def scheduled(services: Services, **body: Any) -> str:
    job = {"type": "batch_predict", "model": "churn:2", "input": {"dataset": DATASET}, **body}
    yearly = ScheduleBody.model_validate({"name": "yearly", "cron": "0 0 1 1 *", "job": job})
    scheduled_jobs.check(services, PROJECT, yearly, request_id="r")
    return services.schedules.create(PROJECT, yearly)[0].id


def referrers(act: Callable[[], Any]) -> list[tuple[str, str]]:
    with pytest.raises(InUse) as caught:
        act()
    assert caught.value.status == 409
    return [(item.kind, item.id) for item in caught.value.referrers]


def numbers(services: Services, name: str = "churn") -> list[int]:
    return [item.version for item in services.models.versions(PROJECT, name, limit=50)[0]]


def delete(services: Services, number: int, **how: Any) -> None:
    services.deletions.version(PROJECT, "churn", number, **how)


def test_a_version_goes_and_its_number_is_not_given_out_again(churn: Services) -> None:
    delete(churn, 3)
    assert (numbers(churn), churn.models.get(PROJECT, "churn").latest_version) == ([2, 1], 2)
    assert churn.models.resolve(PROJECT, "churn") == ("churn", 2)
    for look in (churn.models.version, churn.models.artifact, churn.models.version_revision):
        with pytest.raises(NotFound):
            look(PROJECT, "churn", 3)
    with pytest.raises(NotFound):
        delete(churn, 3)
    assert churn.models.next_number(PROJECT, "churn") == 4, "what a signature is made for"
    assert publish(churn) == 4
    delete(churn, 1)
    assert (numbers(churn), churn.models.get(PROJECT, "churn").latest_version) == ([4, 2], 4)


def test_the_only_version_goes_with_its_model(churn: Services) -> None:
    delete(churn, 1)
    delete(churn, 2)
    with pytest.raises(Conflict) as caught:
        delete(churn, 3)
    assert caught.value.code == "only_version"
    assert numbers(churn) == [3]
    churn.deletions.model(PROJECT, "churn")
    with pytest.raises(NotFound):
        churn.models.get(PROJECT, "churn")


def test_a_model_goes_with_its_versions_and_a_new_one_of_its_name_counts_on(churn: Services) -> None:
    delete(churn, 3)
    before = int(churn.models.revision(PROJECT, "churn"))
    churn.deletions.model(PROJECT, "churn")
    assert churn.models.page(PROJECT, limit=5) == ([], False)
    for number in (1, 2, 3):
        with pytest.raises(NotFound):
            churn.models.version(PROJECT, "churn", number)
    with pytest.raises(NotFound):
        churn.deletions.model(PROJECT, "churn")
    assert churn.models.next_number(PROJECT, "churn") == 4
    assert publish(churn, signed_for=3) == 4, "3 was signed for, but is taken"
    assert numbers(churn) == [4]
    assert int(churn.models.revision(PROJECT, "churn")) > before, "an ETag never comes back"


@pytest.mark.parametrize("what", ["version", "model"])
def test_an_alias_a_job_and_a_schedule_keep_what_they_refer_to(churn: Services, what: str) -> None:
    def act() -> None:
        if what == "version":
            delete(churn, 2)
        else:
            churn.deletions.model(PROJECT, "churn")

    churn.aliases.set(PROJECT, "churn", "champion", 2)
    job, _ = churn.jobs.submit(checked(churn))
    schedule = scheduled(churn)
    assert referrers(act) == [("alias", "champion"), ("job", job.id), ("schedule", schedule)]
    assert numbers(churn) == [3, 2, 1]
    churn.aliases.delete(PROJECT, "churn", "champion")
    churn.jobs.cancel(PROJECT, job.id)
    assert referrers(act) == [("schedule", schedule)]
    churn.schedules.delete(PROJECT, schedule)
    act()
    assert numbers(churn, "churn") == [3, 1] if what == "version" else True


def test_another_version_is_not_kept(churn: Services) -> None:
    churn.aliases.set(PROJECT, "churn", "champion", 2)
    churn.jobs.submit(checked(churn))
    scheduled(churn)
    delete(churn, 1)
    delete(churn, 3)
    assert numbers(churn) == [2]


@pytest.mark.parametrize("ref", ["churn", "churn@champion"])
def test_a_schedule_that_names_no_number_keeps_the_model_alone(churn: Services, ref: str) -> None:
    churn.aliases.set(PROJECT, "churn", "champion", 2)
    schedule = scheduled(churn, model=ref)
    delete(churn, 3)
    assert ("schedule", schedule) in referrers(lambda: churn.deletions.model(PROJECT, "churn"))


def test_a_job_that_will_make_a_version_keeps_the_model(churn: Services) -> None:
    job, _ = churn.jobs.submit(NewJob(project=PROJECT, type="train", spec={}, model="churn"))
    assert referrers(lambda: churn.deletions.model(PROJECT, "churn")) == [("job", job.id)]
    lease = churn.jobs.claim("normal", "w")
    assert lease
    assert referrers(lambda: churn.deletions.model(PROJECT, "churn")) == [("job", job.id)]


def test_a_schedule_keeps_what_its_job_names_now(churn: Services) -> None:
    schedule = scheduled(churn)
    changed = {"type": "batch_predict", "model": "churn:3", "input": {"dataset": DATASET}}

    def update(**fields: Any) -> None:
        churn.schedules.update(PROJECT, schedule, lambda seen: seen.body.model_copy(update=fields))

    update(paused=True)
    assert referrers(lambda: delete(churn, 2)) == [("schedule", schedule)]
    update(job=changed)
    delete(churn, 2)
    assert referrers(lambda: delete(churn, 3)) == [("schedule", schedule)]
    assert referrers(lambda: churn.datasets.delete(PROJECT, DATASET)) == [("schedule", schedule)]
    with pytest.raises(InvalidInput) as caught:
        update(job=changed | {"model": "churn:2"})
    assert [error.pointer for error in caught.value.errors] == ["/job/model"]
    assert churn.schedules.get(PROJECT, schedule).body.job == changed
    churn.schedules.delete(PROJECT, schedule)
    delete(churn, 3)
    churn.datasets.delete(PROJECT, DATASET)


def test_a_schedule_whose_job_names_nothing_any_more_can_still_be_paused(churn: Services) -> None:
    schedule = scheduled(churn)
    churn.database.delete(keys.model_version(PROJECT, "churn", 2))
    churn.schedules.update(PROJECT, schedule, lambda seen: seen.body.model_copy(update={"paused": True}))
    assert churn.schedules.get(PROJECT, schedule).body.paused


def test_a_dataset_is_kept_by_what_reads_it(churn: Services) -> None:
    job, _ = churn.jobs.submit(checked(churn))
    schedule = scheduled(churn)
    assert referrers(lambda: churn.datasets.delete(PROJECT, DATASET)) == [
        ("job", job.id),
        ("schedule", schedule),
    ]
    churn.jobs.cancel(PROJECT, job.id)
    churn.schedules.delete(PROJECT, schedule)
    churn.datasets.delete(PROJECT, DATASET)
    left = churn.database.keys(f"{keys.dataset(PROJECT, DATASET)}*")
    assert left == []


def test_a_deletion_names_a_hundred_of_what_refers_to_it(churn: Services) -> None:
    for number in range(120):
        churn.aliases.set(PROJECT, "churn", f"alias-{number:03d}", 2)
    assert len(referrers(lambda: delete(churn, 2))) == 100


def test_only_what_was_seen_is_deleted(churn: Services) -> None:
    seen = churn.models.version_revision(PROJECT, "churn", 2)
    model = churn.models.revision(PROJECT, "churn")
    churn.models.update_version(PROJECT, "churn", 2, {"description": "look at this first"})
    churn.models.update(PROJECT, "churn", {"description": "and at this"})
    with pytest.raises(PreconditionFailed):
        delete(churn, 2, condition=Condition(f'"{seen}"'))
    with pytest.raises(PreconditionFailed):
        churn.deletions.model(PROJECT, "churn", condition=Condition(f'"{model}"'))
    delete(churn, 2, condition=Condition(f'"{churn.models.version_revision(PROJECT, "churn", 2)}"'))
    assert numbers(churn) == [3, 1]


# Races


@pytest.mark.parametrize("what", ["version", "model"])
def test_a_job_that_was_checked_before_its_version_went_is_refused(churn: Services, what: str) -> None:
    new = checked(churn)
    if what == "version":
        delete(churn, 2)
    else:
        churn.deletions.model(PROJECT, "churn")
    with pytest.raises(InvalidInput) as caught:
        churn.jobs.submit(new)
    assert [error.pointer for error in caught.value.errors] == ["/model"]
    assert churn.database.zcard(keys.jobs_by(PROJECT, "status", "queued")) == 0
    assert not churn.database.exists(keys.version_users(PROJECT, "churn", 2)), "it holds nothing either"


def test_a_version_that_a_job_was_accepted_with_stays(churn: Services) -> None:
    job, _ = churn.jobs.submit(checked(churn))
    assert referrers(lambda: delete(churn, 2)) == [("job", job.id)]


@pytest.mark.parametrize("rival", ["job", "schedule", "alias"])
def test_whoever_comes_first_decides_and_nothing_dangles(churn: Services, rival: str) -> None:
    """Many rounds of both at once: a version goes, or something refers to it; never both, never neither."""
    won = {"deletion": 0, "rival": 0}
    for _ in range(25):
        number = publish(churn, dataset=DATASET)
        ref = f"churn:{number}"
        new, barrier = checked(churn, model=ref), Barrier(2)
        body = {"type": "batch_predict", "model": ref, "input": {"dataset": DATASET}}
        yearly = ScheduleBody.model_validate({"name": "yearly", "cron": "0 0 1 1 *", "job": body})

        def refer(
            number: int = number, new: NewJob = new, yearly: ScheduleBody = yearly, barrier: Barrier = barrier
        ) -> bool:
            barrier.wait()
            try:
                if rival == "job":
                    churn.jobs.submit(new)
                elif rival == "schedule":
                    churn.schedules.create(PROJECT, yearly)
                else:
                    churn.aliases.set(PROJECT, "churn", f"a{number}", number)
            except (InvalidInput, NotFound):
                return False
            return True

        def go(number: int = number, barrier: Barrier = barrier) -> bool:
            barrier.wait()
            try:
                delete(churn, number)
            except InUse:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            referred, deleted = pool.submit(refer), pool.submit(go)
            assert referred.result() != deleted.result()
        assert (number in numbers(churn)) is referred.result()
        won["rival" if referred.result() else "deletion"] += 1
        if rival == "job" and referred.result():
            claimed = churn.jobs.claim("normal", "w")
            assert claimed
            churn.jobs.finish(claimed[0], JobState.FAILED)
    assert sum(won.values()) == 25


def test_a_list_that_is_read_while_things_go_leaves_them_out(churn: Services) -> None:
    """As if the deletion came between the read of the index and that of the records."""
    publish(churn, "gone")
    churn.database.delete(keys.model(PROJECT, "gone"), keys.model_version(PROJECT, "churn", 2))
    assert numbers(churn) == [3, 1]
    assert [model.name for model in churn.models.page(PROJECT, limit=5)[0]] == ["churn"]
    assert [model.name for model in churn.models.page(PROJECT, limit=5, task="classification")[0]] == [
        "churn"
    ]


def test_a_deletion_that_is_sent_twice_is_done_once(churn: Services, monkeypatch: Any) -> None:
    for store, script in (
        (churn.deletions, "_delete_version"),
        (churn.deletions, "_delete_model"),
        (churn.datasets, "_delete"),
    ):
        once = getattr(store, script)

        def twice(once: Callable[..., Any] = once, **call: Any) -> Any:
            assert once(**call) == ["deleted"]
            return once(**call)

        monkeypatch.setattr(store, script, twice)
    delete(churn, 3)
    churn.deletions.model(PROJECT, "churn")
    churn.datasets.delete(PROJECT, DATASET)


# What stays, and what the sweeper takes


def test_what_was_fine_tuned_from_it_stays_and_a_tombstone_says_where_it_came_from(churn: Services) -> None:
    parent = {"name": "churn", "version": 3}
    assert publish(churn, "south", parent=parent, dataset="ds_2") == 1
    job = churn.models.version(PROJECT, "churn", 3).job
    delete(churn, 3, by="key_1")
    assert churn.models.version(PROJECT, "south", 1).parent is not None
    left = churn.database.hgetall(keys.tombstone(PROJECT, "churn", 3))
    assert (left["job"], left["dataset"], left["deleted_by"]) == (job, DATASET, "key_1")
    assert not churn.database.exists(
        keys.model_version(PROJECT, "churn", 3), keys.version_users(PROJECT, "churn", 3)
    )


@pytest.fixture
def eager(settings: Settings) -> Services:
    """Sweeps whatever nothing refers to, at once; jobs are kept."""
    eager = composition.build(settings.model_copy(update={"orphan_seconds": 0}))
    eager.database.flushall()
    # What other tests left in the store, down to this second's.
    eventually(lambda: sweeper.sweep(eager) == ([], []))
    return eager


def test_the_sweeper_takes_the_artifact_and_then_the_job(eager: Services, tmp_path: Path) -> None:
    """The script deletes no object: whoever asked for it may die at once, and nothing is left behind."""
    file = tmp_path / "model.joblib"
    file.write_bytes(b"artifact")
    for _ in range(2):
        publish(eager)
        key = eager.models.artifact(PROJECT, "churn", eager.models.get(PROJECT, "churn").latest_version).key
        eager.objects.put(key, file)
    job = eager.models.version(PROJECT, "churn", 2).job
    eager.deletions.version(PROJECT, "churn", 2)
    assert eager.objects.size(key) == 8
    assert sweeper.sweep(eager) == ([], [key])
    with pytest.raises(NotFound):
        eager.objects.size(key)
    assert eager.jobs.get(PROJECT, job).status == "succeeded"
    later = eager.settings.model_copy(update={"retention_seconds": 0})
    assert sweeper.sweep(replace(eager, settings=later)) == ([job], [])
    kept = eager.models.artifact(PROJECT, "churn", 1)
    assert eager.objects.size(kept.key) == 8
    assert eager.jobs.record(PROJECT, kept.job_id)["status"] == "succeeded"
    with pytest.raises(NotFound):
        eager.jobs.record(PROJECT, job)


def test_a_job_that_finishes_later_makes_the_model_anew_with_the_next_number(churn: Services) -> None:
    """A job that made another model when it was submitted: whatever happens, no number comes twice."""
    churn.jobs.submit(NewJob(project=PROJECT, type="train", spec={}, model="other"))
    churn.deletions.model(PROJECT, "churn")
    assert finish(churn) == 4
    assert json.loads(churn.database.hget(keys.model_version(PROJECT, "churn", 4), "metrics")) == {}
