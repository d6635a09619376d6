"""Which of a schedule's occurrences that are due get a job, and which have been missed.

    late by at most a minute      on time
    by more, `catch_up: none`     by at most 90 minutes: late, and done nevertheless, so that a clock that jumps by an
                                  hour loses nothing; by more: missed, and skipped
    by more, `catch_up: latest`   the newest occurrence that is due is done; those before it are skipped
    by more, `catch_up: all`      the newest `catch_up_limit` are done; those before them are skipped
    while paused                  skipped

Of very many, the oldest become one entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from shared.schedule_records import Standing

ON_TIME_MS = 60_000
GRACE_MS = 90 * 60_000
MOST_SKIPPED_SINGLY = 100
_MOST_WITHIN_GRACE = GRACE_MS // 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An occurrence whose time has come. `code` and `reason` say why it is skipped; else it is to be done."""

    nominal_ms: int
    through_ms: int | None = None
    """It stands for all from `nominal_ms` to this one."""
    caught_up: bool = False
    """Nothing of its schedule could run at its time, so it waits for others rather than be skipped as overlapping."""
    code: str | None = None
    reason: str | None = None


def backlog(standing: Standing, now_ms: int) -> list[Due]:
    """Oldest first, from the one that is next."""
    if standing.next_ms is None or standing.due_ms is None or standing.due_ms > now_ms:
        return []
    most = max(standing.body.catch_up_limit, _MOST_WITHIN_GRACE) + MOST_SKIPPED_SINGLY
    newest = _newest(standing, now_ms, most)
    older: list[Due] = []
    last = standing.timetable.before(newest[-1]) if len(newest) == most else None
    if last is not None and last >= standing.next_ms:
        older = [_skipped(standing.next_ms, "missed", "they were too many to be done", through_ms=last)]
    elif standing.next_ms not in newest:  # the zone's rules have changed since it was worked out
        newest.append(standing.next_ms)
    due = list(takewhile(lambda item: standing.timetable.due_ms(item) <= now_ms, reversed(newest)))
    return older + [_judged(standing, due, position, now_ms) for position in range(len(due))]


def _newest(standing: Standing, now_ms: int, most: int) -> list[int]:
    """The latest nominal times up to now, newest first."""
    found: list[int] = []
    nominal = standing.timetable.before(now_ms + 1)
    while nominal is not None and nominal >= (standing.next_ms or 0) and len(found) < most:
        found.append(nominal)
        nominal = standing.timetable.before(nominal)
    return found


def _judged(standing: Standing, due: list[int], position: int, now_ms: int) -> Due:
    nominal, after_it = due[position], len(due) - position - 1
    late_ms = now_ms - standing.timetable.due_ms(nominal)
    body = standing.body
    if body.paused:
        return _skipped(nominal, "paused", "the schedule was paused")
    if late_ms <= ON_TIME_MS or (body.catch_up == "none" and late_ms <= GRACE_MS):
        return Due(nominal_ms=nominal)
    if body.catch_up == "none":
        return _skipped(nominal, "missed", "no worker ran at its time, and catch_up is none")
    if body.catch_up == "latest" and after_it > 0:
        return _skipped(nominal, "missed", "a later occurrence is done in its place, as catch_up is latest")
    if after_it >= body.catch_up_limit:
        return _skipped(nominal, "missed", f"catch_up_limit is {body.catch_up_limit}")
    return Due(nominal_ms=nominal, caught_up=True)


def _skipped(nominal_ms: int, code: str, reason: str, *, through_ms: int | None = None) -> Due:
    return Due(nominal_ms=nominal_ms, through_ms=through_ms, code=code, reason=reason)
