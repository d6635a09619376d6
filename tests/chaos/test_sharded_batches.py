"""A batch that is split, while what runs its shards dies, is cut off, stops, or loses its store: each row once."""

from __future__ import annotations

import signal
import time

import pytest

from tests.chaos.conftest import soak
from tests.chaos.invariants import PROJECT
from tests.chaos.rig import LEASE_SECONDS, Rig, Worker
from tests.chaos.test_step_boundaries import around, in_soak, restart_the_dead
from tests.support.waiting import eventually

ROWS = 12_000


def succeeded(rig: Rig, job_id: str) -> None:
    job = rig.graft.ended(job_id)
    assert job["status"] == "succeeded", job["error"]
    assert rig.numbers(job_id) == list(range(ROWS))


def kill_at_a_shard(rig: Rig, job_id: str, worker: Worker) -> None:
    """SIGKILL, but not between two shards. It is frozen for the look, so that it cannot end the one that is seen."""

    def caught() -> bool:
        worker.hurt(signal.SIGSTOP)
        shards = rig.services.shards.records(PROJECT, job_id)
        if any(shard["status"] == "running" and shard["worker"] == worker.known_as for shard in shards):
            return True
        worker.hurt(signal.SIGCONT)
        return False

    eventually(caught, 60)
    worker.hurt(signal.SIGKILL)


@around
@pytest.mark.parametrize("step", ["split", "finish_shard", "finish", *in_soak("claim", "put", "delete")])
def test_a_worker_dies_around_a_step_of_a_split_batch(rig: Rig, step: str, moment: str) -> None:
    body = rig.batch(ROWS)
    with rig.dies_at(f"{step}.{moment}"):
        job_id = rig.submit(body)
    restart_the_dead(rig)
    succeeded(rig, job_id)


def test_shards_spread_over_the_workers_and_a_killed_worker_costs_one(rig: Rig) -> None:
    job_id = rig.submit(rig.batch(ROWS))
    rig.scoring(job_id, 3_000)
    kill_at_a_shard(rig, job_id, rig.workers["b"])
    succeeded(rig, job_id)
    lines = rig.graft.get(f"/v1/jobs/{job_id}/logs", params={"limit": 100}).json()["data"]
    workers = {line["fields"]["worker"] for line in lines if line["message"] == "attempt_started"}
    assert workers == {worker.known_as for worker in rig.workers.values()}
    assert rig.events(job_id).count("shard_requeued") == 1


@pytest.mark.parametrize("how", ["half_open", pytest.param("refuse", marks=soak)])
def test_a_worker_that_is_cut_off_from_redis_adds_no_row(rig: Rig, how: str) -> None:
    """It goes on scoring and uploads; its shard has been given to the other one meanwhile."""
    rig.direct_worker("b")
    job_id = rig.submit(rig.batch(ROWS))
    rig.scoring(job_id, 2_000)
    rig.to_redis.mode = how
    if how == "refuse":
        rig.to_redis.cut()
    time.sleep(2 * LEASE_SECONDS)
    rig.to_redis.heal()
    rig.to_redis.cut()
    succeeded(rig, job_id)


@soak
def test_workers_that_stop_one_after_the_other_lose_no_shard(rig: Rig) -> None:
    job_id = rig.submit(rig.batch(ROWS))
    rig.scoring(job_id, 2_000)
    for worker in rig.workers.values():
        worker.hurt(signal.SIGTERM)
        worker.wait_exit(20)
        worker.start()
        worker.wait_ready()
    succeeded(rig, job_id)


def test_a_store_that_is_away_for_a_while_holds_a_split_batch_up_and_no_more(rig: Rig) -> None:
    job_id = rig.submit(rig.batch(ROWS))
    rig.scoring(job_id, 2_000)
    rig.to_store.mode = "refuse"
    rig.to_store.cut()
    time.sleep(4)
    rig.to_store.heal()
    succeeded(rig, job_id)


def test_a_cancel_stops_the_shards_on_all_workers(rig: Rig) -> None:
    job_id = rig.submit(rig.batch(2 * ROWS))
    rig.scoring(job_id, 2_000)
    rig.graft.post(f"/v1/jobs/{job_id}/cancel")
    with rig.stopwatch("cancel of a split batch → it has ended"):
        assert rig.graft.ended(job_id, 15)["status"] == "cancelled"
    assert not [child for worker in rig.workers.values() for child in worker.children() if child.is_running()]


def test_a_frozen_worker_wakes_up_to_find_its_shard_taken(rig: Rig) -> None:
    job_id = rig.submit(rig.batch(ROWS))
    rig.scoring(job_id, 2_000)
    frozen = rig.workers["a"]
    frozen.hurt(signal.SIGSTOP)
    time.sleep(2 * LEASE_SECONDS)
    frozen.resume()
    succeeded(rig, job_id)
