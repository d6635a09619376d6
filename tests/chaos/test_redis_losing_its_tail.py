"""Redis comes back without the last thing it wrote: what a power cut may do to an append-only file."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.rig import Rig


def incremental_file(rig: Rig) -> Path:
    """The append-only file that Redis writes to now."""
    folder = rig.redis.service.cwd / "appendonlydir"
    return max(folder.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)


def restart_with_only(rig: Rig, size: int) -> None:
    """Redis anew, with the first `size` bytes of its file; a command or transaction that was cut is left out."""
    rig.redis.kill()
    with incremental_file(rig).open("r+b") as file:
        assert size < file.seek(0, 2)
        file.truncate(size)
    rig.redis.restart()


def size_of_file(rig: Rig) -> int:
    return incremental_file(rig).stat().st_size


def exists(rig: Rig, job_id: str) -> bool:
    return rig.graft.get(f"/v1/jobs/{job_id}").status_code == 200


def lost(rig: Rig, *job_ids: str) -> None:
    """Acknowledged after the last byte that was kept: nobody promised these."""
    for job_id in job_ids:
        if not exists(rig, job_id):
            rig.acknowledged.remove(job_id)


def test_jobs_acknowledged_before_the_lost_tail_all_end_and_have_one_effect(rig: Rig) -> None:
    before = [rig.submit(rig.quick()) for _ in range(6)]
    kept = size_of_file(rig)
    after = [rig.submit(rig.quick()) for _ in range(6)]
    rig.all_ended()
    restart_with_only(rig, kept)
    lost(rig, *after)
    with rig.stopwatch("AOF without its tail → everything from before it has ended"):
        for job_id in before:
            assert rig.graft.ended(job_id, 60)["status"] == "succeeded"


def test_a_claim_that_redis_forgot_is_no_ones_and_the_job_runs_again(rig: Rig) -> None:
    """The worker holds a token that Redis has never heard of."""
    rig.small, rig.digits  # noqa: B018 (uploaded before the tail)
    worker = rig.only("a")
    first = rig.submit(rig.long(epochs=200))
    rig.computing(first)
    waiting = rig.submit(rig.long(epochs=600))
    kept = size_of_file(rig)
    rig.graft.ended(first)
    rig.computing(waiting)
    stale = worker.children()
    restart_with_only(rig, kept)
    rig.mend()
    for job_id in (first, waiting):
        assert rig.graft.ended(job_id)["status"] == "succeeded"
    assert not any(child.is_running() for child in stale)


def test_an_end_that_redis_forgot_is_reached_again_with_the_same_version(rig: Rig) -> None:
    job_id = rig.submit(rig.long(epochs=200))
    rig.computing(job_id)
    kept = size_of_file(rig)
    seen = rig.graft.ended(job_id)
    assert seen["status"] == "succeeded"
    digest = rig.graft.get("/v1/models/long/versions/1").json()["sha256"]
    restart_with_only(rig, kept)
    again = rig.graft.ended(job_id)
    assert (again["status"], again["result"], again["usage"]) == ("succeeded", seen["result"], seen["usage"])
    assert "recovered" in rig.events(job_id), "the store still knew what had been made"
    assert rig.graft.get("/v1/models/long").json()["latest_version"] == 1
    assert rig.graft.get("/v1/models/long/versions/1").json()["sha256"] == digest


def test_a_file_cut_in_the_middle_of_a_command_can_be_read(rig: Rig) -> None:
    before = rig.submit(rig.quick())
    kept = size_of_file(rig)
    after = rig.submit(rig.quick())
    rig.all_ended()
    for cut in (1, 7):
        restart_with_only(rig, max(kept, size_of_file(rig) - cut))
        rig.mend()
    lost(rig, after)
    assert rig.graft.ended(before)["status"] == "succeeded"
