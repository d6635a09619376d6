"""What stands above a project's list of jobs: counts by state, queues, and how many ended lately. One call to Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import keys, queue
from shared.database import Database
from shared.states import JobState

BUCKET_MINUTES = 10
"""How finely it is counted when jobs ended (`count_ended` in `_prelude.lua`)."""
_BUCKET_MS = BUCKET_MINUTES * 60_000
_A_DAY = 24 * 60 // BUCKET_MINUTES
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How many jobs ended within one bucket of time."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Overview:
    """Of one moment. `ended` is oldest first, the last being the bucket that is now."""

    jobs: int
    states: Mapping[str, int]
    waiting: Mapping[str, int]
    """Ready jobs in each queue, by priority."""
    ended: Sequence[Ended]


@dataclass(frozen=True, slots=True)
class Whole:
    """Of all projects together. `soonest_ms`: when the first lease runs out; `redis`: what it says of itself."""

    leases: int
    delayed: int
    soonest_ms: float | None
    redis: Mapping[str, Any]


class OverviewStore:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._redis = database
        self._overview = database.script("overview")

    def of(self, project: str, *, hours: int = 12) -> Overview:
        """`hours`: how far back to count what ended, a day at most."""
        now, jobs, states, waiting, held = self._overview(
            keys=[
                keys.jobs(project),
                *(keys.jobs_by(project, "status", state) for state in JobState),
                *(keys.ready_of(name, project) for name in queue.PRIORITIES),
            ],
            args=[len(JobState), len(queue.PRIORITIES)],
        )
        today = now // _DAY_MS
        counts = _counts({today - 1: held[0], today: held[1]})
        last = now // _BUCKET_MS
        first = last - hours * 60 // BUCKET_MINUTES + 1
        return Overview(
            jobs=jobs,
            states=dict(zip((state.value for state in JobState), states, strict=True)),
            waiting=dict(zip(queue.PRIORITIES, waiting, strict=True)),
            ended=[Ended(**counts.get(bucket, {})) for bucket in range(first, last + 1)],
        )

    def whole(self) -> Whole:
        """For operators. One call."""
        with self._redis.pipeline() as pipe:
            pipe.zcard(keys.LEASES)
            pipe.zcard(keys.DELAYED)
            pipe.zrange(keys.LEASES, 0, 0, withscores=True)
            pipe.info()
            leases, delayed, soonest, info = pipe.execute()
        return Whole(leases, delayed, soonest[0][1] if soonest else None, info)


def _counts(days: Mapping[int, Sequence[str]]) -> dict[int, dict[str, int]]:
    """By bucket since 1970 and state, from the fields `ended:<bucket of the day>:<state>`."""
    found: dict[int, dict[str, int]] = {}
    for day, flat in days.items():
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            what, *of = name.split(":")
            if what == "ended":
                found.setdefault(day * _A_DAY + int(of[0]), {})[of[1]] = int(value)
    return found
