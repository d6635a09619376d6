"""The nominal times of one schedule, and when each is due. Times are milliseconds since the epoch, as in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.contracts.base import from_ms
from shared.contracts.schedules import ScheduleBody
from shared.cron import Cron


@dataclass(frozen=True, slots=True)
class Timetable:
    """A cron between two moments, both included, each occurrence of it put off by a jitter of its own."""

    cron: Cron
    zone: ZoneInfo
    salt: str
    jitter_seconds: int
    start_ms: int | None
    end_ms: int | None

    def after(self, moment_ms: int) -> int | None:
        """The first nominal time after that moment."""
        if self.start_ms is not None:
            moment_ms = max(moment_ms, self.start_ms - 1)
        found = _to_ms(self.cron.after(from_ms(moment_ms)))
        return None if found is None or (self.end_ms is not None and found > self.end_ms) else found

    def before(self, moment_ms: int) -> int | None:
        """The last nominal time before that moment."""
        if self.end_ms is not None:
            moment_ms = min(moment_ms, self.end_ms + 1)
        found = _to_ms(self.cron.before(from_ms(moment_ms)))
        return None if found is None or (self.start_ms is not None and found < self.start_ms) else found

    def due_ms(self, nominal_ms: int) -> int:
        """When the occurrence is to have its job: the same in every worker, spread evenly over the jitter."""
        if not self.jitter_seconds:
            return nominal_ms
        drawn = hashlib.sha256(f"{self.salt}/{nominal_ms}".encode()).digest()
        return nominal_ms + int.from_bytes(drawn[:8]) * self.jitter_seconds * 1000 // 2**64

    def local(self, nominal_ms: int) -> datetime:
        """The nominal time as the schedule's zone tells it."""
        return from_ms(nominal_ms).astimezone(self.zone)


def timetable(schedule_id: str, body: ScheduleBody) -> Timetable:
    zone = ZoneInfo(body.timezone)
    return Timetable(
        cron=Cron(body.cron, zone),
        zone=zone,
        salt=schedule_id,
        jitter_seconds=body.jitter_seconds,
        start_ms=_to_ms(body.start),
        end_ms=_to_ms(body.end),
    )


def _to_ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
