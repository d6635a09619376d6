"""Many jobs while workers die: 40, and 10,000 in the soak (CHAOS_JOBS: another number)."""

from __future__ import annotations

import os
import signal
import time
from itertools import cycle

import pytest

from tests.chaos.conftest import SOAK
from tests.chaos.rig import Rig

JOBS = int(os.environ.get("CHAOS_JOBS", "10000" if SOAK else "40"))
KILL_SECONDS = 20.0 if JOBS > 1000 else 4.0


@pytest.mark.timeout(3 * 3600 if SOAK else 300)
def test_every_job_of_a_burst_ends_with_one_effect_though_workers_are_killed(rig: Rig) -> None:
    body = rig.quick(model={"name": "burst"}, max_attempts=10)
    for _ in range(JOBS):
        rig.submit(body)
    kills, victims = 0, cycle(rig.workers.values())
    with rig.stopwatch(f"{JOBS} jobs, a worker killed every {KILL_SECONDS:g} s → all ended"):
        killed_at = time.monotonic()
        while live(rig):
            time.sleep(0.2)
            if time.monotonic() - killed_at > KILL_SECONDS:
                victim = next(victims)
                victim.hurt(signal.SIGKILL)
                victim.start()
                kills, killed_at = kills + 1, time.monotonic()
    assert kills > 0
    assert rig.graft.get("/v1/models/burst").json()["latest_version"] == JOBS


def live(rig: Rig) -> int:
    """Queued and running jobs."""
    return sum(
        len(rig.graft.get("/v1/jobs", params={"status": state, "limit": 1}).json()["data"])
        for state in ("queued", "running")
    )
