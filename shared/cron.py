"""When a cron expression fires in a time zone.

Fields and matching are cronsim's, which follows Debian's cron; so do the rules for a clock that is set forward or back:

    an hour or minute field     follows the clock: it fires at every real minute at which the clock reads a
    that begins with *          matching time, so an hourly cron fires every real hour
    any other (`30 2 * * *`)    is a fixed time of day: where a clock is set forward over it, it fires at the first
                                valid instant; where one is set back over it, once, the first time

cronsim is asked for local times alone, and the zone is applied here: its own handling misses times where a clock moves
by half an hour (`*/15 3 * * *` in Australia/Lord_Howe), and can answer an instant before the one that it was given.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
_LONGEST = 200
_MINUTE = timedelta(minutes=1)


_SPAN_WITH_STEP = re.compile(r"(\w+)-(\w+)/[0-9]+")


class CronError(ValueError):
    """This is no cron expression; the message says why."""


@cache
def zones() -> frozenset[str]:
    """The names of all time zones of the IANA database."""
    return frozenset((files("tzdata") / "zones").read_text().split())


class Cron:
    """An expression of five fields in a zone. Takes aware datetimes, answers in UTC; immutable."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Raises CronError."""
        fields = expression.split()
        if len(fields) != _FIELDS:
            raise CronError(f"should have five fields (minute hour day month weekday), not {len(fields)}")
        if len(expression) > _LONGEST:
            raise CronError(f"should have at most {_LONGEST} characters")
        expression = _SPAN_WITH_STEP.sub(_of_one_value, expression)
        try:
            CronSim(expression, datetime.min)
        except CronSimError as error:
            raise CronError(str(error)) from error
        self._expression = expression
        self._zone = zone
        self._follows_clock = fields[0].startswith("*") or fields[1].startswith("*")

    def after(self, moment: datetime) -> datetime | None:
        """The first occurrence after an instant; None if fifty years have none."""
        return self._nearest(moment, reverse=False)

    def before(self, moment: datetime) -> datetime | None:
        """The last occurrence before an instant; None if fifty years have none."""
        return self._nearest(moment, reverse=True)

    def _nearest(self, moment: datetime, *, reverse: bool) -> datetime | None:
        """Local times are tried in order. The instants that they stand for are in order too, but for those of an
        overlap, so the first one found is held until no other can come before it."""
        nearest = max if reverse else min
        best: datetime | None = None
        for local in CronSim(self._expression, self._start(moment, reverse), reverse):
            instants = self._instants(local)
            if best and instants and nearest(best, *instants) == best:
                return best
            for instant in instants:
                if instant < moment if reverse else instant > moment:
                    best = nearest(best or instant, instant)
        return best

    def _start(self, moment: datetime, reverse: bool) -> datetime:
        """A local time from which on no occurrence is missed: in an overlap, one outside of it."""
        here = moment.astimezone(self._zone)
        offsets = [here.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        overlap = max(offsets[0] - offsets[1], timedelta())
        return here.replace(tzinfo=None) + (overlap if reverse else -overlap)

    def _instants(self, local: datetime) -> list[datetime]:
        """When it fires for a matching local time, in order: never, once or (in an overlap) twice."""
        if self._follows_clock:
            return self._readings(local)
        while not (found := self._readings(local)):
            local += _MINUTE
        return found[:1]

    def _readings(self, local: datetime) -> list[datetime]:
        """The instants at which the zone's clock reads that time, in order."""
        found = {local.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        return sorted(
            instant for instant in found if instant.astimezone(self._zone).replace(tzinfo=None) == local
        )


def _of_one_value(span: re.Match[str]) -> str:
    """`5-5/2` is 5. cronsim takes it for `5/2`, which is 5, 7, 9 and so on."""
    first, last = (text.lstrip("0").upper() for text in span.groups())
    return span[1] if first == last else span[0]
