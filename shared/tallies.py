"""What has happened in all workers so far, as Redis tallies it for Prometheus; and how the queues and workers stand.

What happens to a job is tallied by the script in which it happens (`lua/_tallies.lua`), so it counts once whatever dies
next. What a worker sees by itself, such as a store that is away, it adds every couple of seconds; a worker that is
killed loses what it has not added yet.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared import keys, queue
from shared.database import Database
from shared.troubles import Trouble
from shared.workers import ALIVE_MS

MOST_PROJECTS_IN_LINE = 10_000
"""Of each queue that are looked at; a survey of so many takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Line:
    """What of one project waits in one queue: jobs, and shards of jobs."""

    project: str
    jobs: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Survey:
    """One moment of the whole of Graft."""

    tallies: Mapping[tuple[str, ...], int]
    """By name and labels."""
    lines: Mapping[str, Sequence[Line]]
    """By queue."""
    delayed: int
    leases: int
    expired_leases: int
    workers: Sequence[Mapping[str, object]]
    """The last words of those that are alive, as `shared.workers` has them."""
    due_endpoints: int


class TallyStore:
    """Tallies in Redis, and what this process has counted for them. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._survey = database.script("survey")
        self._add = database.script("tally_once")
        self._counts: Counter[str] = Counter()
        self._sent: tuple[str, Counter[str]] | None = None
        self._lock = threading.Lock()

    def survey(self) -> Survey:
        """How everything stands. Raises Temporary."""
        now, tallies, delayed, leases, expired, workers, due, *lines = self._survey(
            keys=[
                keys.TALLIES,
                keys.DELAYED,
                keys.LEASES,
                keys.WORKERS,
                keys.WEBHOOKS,
                *(keys.ready(name) for name in queue.PRIORITIES),
            ],
            args=[MOST_PROJECTS_IN_LINE, keys.ready_of("%s", "%s"), *queue.PRIORITIES],
        )
        heard = [json.loads(worker) for worker in workers]
        return Survey(
            tallies={tuple(f.split("|")): int(n) for f, n in zip(tallies[::2], tallies[1::2], strict=True)},
            lines={name: _lines(found, now) for name, found in zip(queue.PRIORITIES, lines, strict=True)},
            delayed=delayed,
            leases=leases,
            expired_leases=expired,
            workers=[worker for worker in heard if now - worker["seen_ms"] <= ALIVE_MS],
            due_endpoints=due,
        )

    def count_trouble(self, trouble: Trouble) -> None:
        """Remember it for the next `flush`. Cheap, and fails for nobody's trouble."""
        with self._lock:
            self._counts["|".join(("troubles", trouble.server, trouble.operation, trouble.kind))] += 1

    def count_fenced(self, kind: str) -> None:
        """Likewise: an attempt at that type of job lives, but has lost its lease."""
        with self._lock:
            self._counts[f"fenced|{kind}"] += 1

    def flush(self) -> None:
        """Add what this process has counted. Raises Temporary, and then the next call sends the same again."""
        with self._lock:
            if self._sent is None and self._counts:
                self._sent, self._counts = (secrets.token_hex(16), self._counts), Counter()
            sent = self._sent
        if sent is None:
            return
        token, counts = sent
        args = [part for field, count in counts.items() for part in (field, count)]
        self._add(keys=[keys.tallied(token), keys.TALLIES], args=args)
        with self._lock:
            self._sent = None


def _lines(found: Sequence[object], now_ms: int) -> list[Line]:
    return [
        Line(str(project), int(str(jobs)), max(0.0, now_ms / 1e3 - float(str(since)) / 1e6) if since else 0.0)
        for project, jobs, since in zip(found[::3], found[1::3], found[2::3], strict=True)
    ]
