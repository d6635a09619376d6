"""Time, memory and disk run out: told apart, not retried for ever, cleaned up, and no neighbour's business."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chaos.rig import Rig

MIB = 2**20


def test_a_time_limit_ends_the_job_and_its_child(rig: Rig) -> None:
    neighbour = rig.submit(rig.long())
    job_id = rig.submit(rig.long(epochs=100_000, timeout_seconds=2))
    worker = rig.computing(job_id)
    job = rig.graft.ended(job_id, 30)
    assert (job["status"], job["error"]["code"], job["attempt"]) == ("failed", "timed_out", 1)
    assert not worker.children()
    assert rig.graft.ended(neighbour)["status"] == "succeeded"


def test_a_memory_limit_ends_the_job_and_leaves_nothing_behind(rig: Rig) -> None:
    neighbour = rig.submit(rig.long())
    with rig.extra_worker(GRAFT_CHILD_MEMORY_BYTES=str(48 * MIB)) as worker:
        job = rig.graft.ended(rig.submit(rig.long(priority="low")), 30)
        assert (job["status"], job["error"]["code"], job["attempt"]) == ("failed", "out_of_memory", 1)
        assert not worker.children()
        assert not list(temp_dir(worker.service.env).iterdir())
    job = rig.graft.ended(neighbour)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


def test_a_full_disk_is_told_and_the_temporary_files_are_gone(rig: Rig, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True
    ).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        with rig.extra_worker(GRAFT_TEMP_DIR=str(small)):
            job = rig.graft.ended(rig.submit(rig.long(priority="low", max_attempts=2)), 30)
            assert (job["status"], job["error"]["code"]) == ("failed", "disk_full")
            assert not list(small.iterdir())
            os.statvfs(small)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_worker_without_its_temporary_folder_says_so(rig: Rig, tmp_path: Path) -> None:
    """Not even the attempt's folder can be made: that is an error of the job's like any other, not a lost worker."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    with rig.extra_worker(GRAFT_TEMP_DIR=str(folder)):
        shutil.rmtree(folder)
        job = rig.graft.ended(rig.submit(rig.quick(priority="low", max_attempts=2)), 40)
        assert job["status"] == "failed"
        assert job["error"]["code"] != "worker_lost"


def temp_dir(env: object) -> Path:
    return Path(env["GRAFT_TEMP_DIR"])  # type: ignore[index]
