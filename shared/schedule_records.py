"""What Redis holds of schedules and their occurrences, as records. Times are milliseconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.schedules import Occurrence, OccurrenceStatus, Schedule, ScheduleBody, ScheduleLinks
from shared.job_records import Uses
from shared.timetable import Timetable, timetable

How = Literal["next", "waiting", "manual"]


@dataclass(frozen=True)
class Standing:
    """A schedule as it stands: what was asked for, and how far its timetable has been worked off."""

    project: str
    id: str
    body: ScheduleBody
    revision: int
    created_ms: int
    updated_ms: int
    next_ms: int | None
    """The nominal time that is to be decided next."""
    due_ms: int | None
    """When that one is due: jitter comes on top."""
    last_ms: int | None
    """The nominal time that was decided last, one after the other."""

    @cached_property
    def timetable(self) -> Timetable:
        return timetable(self.id, self.body)

    @property
    def tag(self) -> str:
        """Changes with whatever is told of it (`shared.conditions`)."""
        return f"{self.revision}.{self.next_ms or 0}"

    @property
    def used(self) -> Uses:
        """What its jobs say, so that it is known which of them live."""
        return Uses(
            keys.schedule(self.project, self.id),
            keys.schedule_users(self.project, self.id),
            "/schedule",
            is_remembered=False,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """An occurrence that has no job yet: since when, and for what (the `code` of its record)."""

    nominal_ms: int
    since_ms: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one occurrence."""

    nominal_ms: int
    how: How = "next"
    status: OccurrenceStatus
    at_ms: int
    alone: bool = False
    """Only if no job of the schedule lives and no occurrence waits before it."""
    through_ms: int | None = None
    """It stands for all occurrences from `nominal_ms` to this one."""
    code: str | None = None
    reason: str | None = None


def to_schedule(standing: Standing) -> Schedule:
    """The public form of a schedule."""
    here = f"/v1/schedules/{standing.id}"
    return Schedule(
        id=standing.id,
        project=standing.project,
        **standing.body.model_dump(),
        created_at=from_ms(standing.created_ms),
        updated_at=from_ms(standing.updated_ms),
        next_run_at=None if standing.due_ms is None else from_ms(standing.due_ms),
        links=ScheduleLinks(
            self=here,
            run=f"{here}/run",
            occurrences=f"{here}/occurrences",
            jobs=f"/v1/jobs?schedule={standing.id}",
        ),
    )


def encode_decision(decision: Decision) -> list[str]:
    """Field, value pairs of the occurrence's hash."""
    found: dict[str, Any] = {
        "scheduled_for": decision.nominal_ms,
        "status": decision.status,
        "decided_at": decision.at_ms,
        "through": decision.through_ms,
        "code": decision.code,
        "reason": decision.reason,
        "manual": 1 if decision.how == "manual" else None,
    }
    return [str(part) for pair in found.items() if pair[1] is not None for part in pair]


def to_standing(record: Mapping[str, str]) -> Standing:
    """The record of a schedule's hash."""

    def moment(name: str) -> int | None:
        return int(record[name]) if name in record else None

    return Standing(
        project=record["project"],
        id=record["id"],
        body=ScheduleBody.model_validate_json(record["body"]),
        revision=int(record["revision"]),
        created_ms=int(record["created_at"]),
        updated_ms=int(record["updated_at"]),
        next_ms=moment("next_at"),
        due_ms=moment("due_at"),
        last_ms=moment("last_at"),
    )


def to_occurrence(record: Mapping[str, str]) -> Occurrence:
    """The public form of an occurrence's hash."""
    held: dict[str, Any] = dict(record)
    for name in ("scheduled_for", "through", "decided_at"):
        if name in held:
            held[name] = from_ms(int(held[name]))
    held["manual"] = "manual" in held
    return Occurrence.model_validate(held)
