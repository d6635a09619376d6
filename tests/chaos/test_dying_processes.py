"""SIGKILL: of a job's child, of the forkserver, of a whole worker; and a job that kills its process every time."""

from __future__ import annotations

import signal
import time
from datetime import datetime

from tests.chaos.rig import TAKEOVER_SECONDS, Rig
from tests.support.waiting import eventually


def test_a_killed_child_is_replaced_within_15_seconds_and_a_neighbour_is_undisturbed(rig: Rig) -> None:
    neighbour = rig.submit(rig.long(1_200))  # a worker that has just started takes seconds to begin the other
    rig.computing(neighbour)
    hunted = rig.submit(rig.long())
    worker = rig.computing(hunted)
    with rig.stopwatch("SIGKILL of a child → next attempt"):
        worker.children()[0].kill()
        rig.attempt(hunted, 2, 15)
    assert rig.graft.ended(hunted)["status"] == "succeeded"
    assert rig.graft.ended(neighbour)["attempt"] == 1
    assert rig.events(hunted) == ["submitted", "claimed", "requeued", "claimed", "succeeded"]


def test_a_killed_forkserver_costs_an_attempt_and_nothing_more(rig: Rig) -> None:
    worker = rig.only("a")
    job_id = rig.submit(rig.long())
    rig.computing(job_id)
    with rig.stopwatch("SIGKILL of the forkserver → next attempt"):
        forkserver = worker.forkserver()
        assert forkserver
        forkserver.kill()
        rig.attempt(job_id, 2, 15)
    assert rig.graft.ended(job_id)["status"] == "succeeded"


def test_a_killed_worker_leaves_no_orphan_and_its_job_goes_on_elsewhere(rig: Rig) -> None:
    job_id = rig.submit(rig.long())
    worker = rig.computing(job_id)
    eventually(lambda: (rig.graft.job(job_id)["usage"] or {}).get("wall_seconds", 0) > 1.5, 20)
    orphans = worker.children()
    assert orphans
    with rig.stopwatch("SIGKILL of a worker → job runs elsewhere"):
        worker.hurt(signal.SIGKILL)
        killed_at = time.monotonic()
        eventually(lambda: not any(orphan.is_running() for orphan in orphans), 5)
        rig.attempt(job_id, 2, TAKEOVER_SECONDS - (time.monotonic() - killed_at))
    job = rig.graft.ended(job_id)
    assert job["status"] == "succeeded"
    assert job["worker"] != worker.known_as
    events = rig.graft.get(f"/v1/jobs/{job_id}/events").json()["data"]
    at = {event["event"]: datetime.fromisoformat(event["at"]) for event in events}
    claimed, ended = at["claimed"], at["succeeded"]  # for the last time
    assert job["usage"]["wall_seconds"] > (ended - claimed).total_seconds(), "the lost attempt counts, too"


def test_a_poison_job_fails_after_its_attempts_and_the_queue_moves_on(rig: Rig) -> None:
    worker = rig.only("a")
    poison = rig.submit(rig.long(max_attempts=2))
    after = rig.submit(rig.quick())
    for attempt in (1, 2):
        rig.computing(poison, attempt=attempt)
        worker.children()[0].kill()
    job = rig.graft.ended(poison)
    assert (job["status"], job["attempt"], job["error"]["code"]) == ("failed", 2, "worker_lost")
    assert rig.graft.ended(after)["status"] == "succeeded"


def test_a_job_that_kills_its_whole_worker_every_time_fails_in_the_end(rig: Rig) -> None:
    poison = rig.submit(rig.long(max_attempts=2))
    for attempt in (1, 2):
        rig.computing(poison, attempt=attempt, seconds=TAKEOVER_SECONDS).hurt(signal.SIGKILL)
    rig.mend()
    job = rig.graft.ended(poison)
    assert (job["status"], job["attempt"], job["error"]["code"]) == ("failed", 2, "worker_lost")
