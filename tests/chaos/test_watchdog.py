"""A worker that has stopped consuming says so and leaves, for whoever runs it to start it again."""

from __future__ import annotations

from shared import queue
from tests.chaos.rig import Rig, answers
from tests.support.waiting import eventually


def test_a_worker_that_lets_jobs_wait_says_so_and_leaves(rig: Rig) -> None:
    """The wake-up is lost, and the dispatcher is told to wait for an hour before it makes up for one."""
    rig.stop_workers()
    job_id = rig.submit(rig.quick())
    rig.services.database.delete(queue.queue_name("normal"))
    patient = {"GRAFT_STALLED_SECONDS": "3", "GRAFT_REWAKE_SECONDS": "3600"}
    with rig.extra_worker(queues="normal", **patient) as worker:
        eventually(lambda: "stopped consuming" in answers(f"{rig.api.url}/readyz", rig.api_key).text, 30)
        assert worker.wait_exit(10) == 0
    assert rig.graft.job(job_id)["attempt"] == 0
