"""What projects have used, by the day.

The scripts that end a job add to the day (UTC, by Redis's clock) on which it ends: so a job counts once, with all that
its attempts used. Requests are counted by the API's processes, which write them down every second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from shared import keys
from shared.contracts.usage import DayUsage, Stored, Totals, UsageReport
from shared.database import Database

_EPOCH = date(1970, 1, 1)
_FORGOTTEN_AT_ONCE = 400


class UsageStore:
    """Usage in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database

    def today(self) -> date:
        """By Redis's clock, in UTC."""
        return datetime.fromtimestamp(self._redis.time()[0], UTC).date()

    def report(self, project: str, first: date, last: date, stored: Stored) -> UsageReport:
        """Of the days from the first to the last, both included."""
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        with self._redis.pipeline() as pipe:
            for day in days:
                pipe.hgetall(keys.usage(project, _number(day)))
            held = pipe.execute()
        used = [(day, fields) for day, fields in zip(days, held, strict=True) if fields]
        return UsageReport(
            project=project,
            stored=stored,
            from_=first,
            to=last,
            total=_totals(fields for _, fields in used),
            days=[DayUsage(date=day, **_totals([fields]).model_dump()) for day, fields in used],
        )

    def count_requests(self, counts: Mapping[str, int]) -> None:
        """Add what came in lately from each project to today. Raises Temporary."""
        day = _number(self.today())
        with self._redis.pipeline(transaction=True) as pipe:
            for project, count in counts.items():
                pipe.hincrby(keys.usage(project, day), "requests", count)
            pipe.execute()

    def forget(self, project: str, *, days: int) -> None:
        """Drop what is older than so many days."""
        oldest = _number(self.today()) - days
        self._redis.unlink(*(keys.usage(project, day) for day in range(oldest - _FORGOTTEN_AT_ONCE, oldest)))


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _totals(days: Iterable[Mapping[str, str]]) -> Totals:
    total = Totals()
    for fields in days:
        for name, value in fields.items():
            what, *of = name.split(":")
            if what == "jobs":
                kind, state = of
                states = total.jobs.setdefault(kind, {})
                states[state] = states.get(state, 0) + int(value)
        total.wall_seconds += int(fields.get("wall_ms", 0)) / 1000
        total.cpu_seconds += int(fields.get("cpu_ms", 0)) / 1000
        total.rows_scored += int(fields.get("rows_scored", 0))
        total.requests += int(fields.get("requests", 0))
        total.peak_rss_bytes = max(total.peak_rss_bytes, int(fields.get("peak_rss_bytes", 0)))
    total.wall_seconds, total.cpu_seconds = round(total.wall_seconds, 3), round(total.cpu_seconds, 3)
    return total
