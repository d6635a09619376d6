"""Cron in a time zone, against an oracle that knows neither cronsim nor its algorithm.

The oracle walks the zone's real minutes, looks at what its clock reads, and matches fields by tables that it has
expanded itself. A fixed time of day is looked for on every date of the calendar instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.cron import Cron, CronError, zones

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


# The oracle


def values(text: str, low: int, high: int) -> frozenset[int]:
    """The numbers that a field stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first)
            end = _number(last) if dash else (high if step else begin)
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(word: str) -> int:
    if word in MONTHS:
        return MONTHS.index(word) + 1
    return DAYS.index(word) if word in DAYS else int(word)


class Oracle:
    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        fields = expression.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            values(field, *bounds) for field, bounds in zip(fields, RANGES, strict=True)
        )
        self.weekdays = {number % 7 for number in weekdays}
        self.both_days = fields[2].startswith("*") or fields[4].startswith("*")
        self.follows_clock = fields[0].startswith("*") or fields[1].startswith("*")
        self.zone = zone

    def on(self, day: date) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (
            (in_month and in_week) if self.both_days else (in_month or in_week)
        )

    def between(self, first: datetime, last: datetime) -> list[datetime]:
        """Occurrences from `first` to `last`, both whole minutes and included."""
        found = self._readings(first, last) if self.follows_clock else self._times_of_day(first, last)
        return sorted({moment for moment in found if first <= moment <= last})

    def _readings(self, first: datetime, last: datetime) -> Iterator[datetime]:
        moment = first
        while moment <= last:
            reads = moment.astimezone(self.zone)
            if reads.minute in self.minutes and reads.hour in self.hours and self.on(reads.date()):
                yield moment
            moment += MINUTE

    def _times_of_day(self, first: datetime, last: datetime) -> Iterator[datetime]:
        day, until = (first - 2 * DAY).date(), (last + 2 * DAY).date()
        while day <= until:
            if self.on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        yield self._first_instant_not_before(
                            datetime(day.year, day.month, day.day, hour, minute)
                        )
            day += DAY

    def _first_instant_not_before(self, wanted: datetime) -> datetime:
        """The first instant at which the clock reads that time or, where it is set forward over it, a later one."""
        moment = wanted.replace(tzinfo=UTC) - 15 * HOUR  # no zone is further ahead
        step = HOUR
        while self._reads(moment) < wanted:
            if self._reads(moment + step) >= wanted and step > MINUTE:
                step = MINUTE
            moment += step
        return moment

    def _reads(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)


# What is drawn


@cache
def transitions(name: str) -> tuple[datetime, ...]:
    """The minutes between 2024 and 2030 in which the zone's offset changes."""
    zone, found, moment = ZoneInfo(name), [], FIRST
    while moment < LAST:
        if moment.astimezone(zone).utcoffset() != (moment + DAY).astimezone(zone).utcoffset():
            low, high = moment, moment + DAY
            while high - low > MINUTE:
                middle = low + (high - low) // 2 // MINUTE * MINUTE
                same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        moment += DAY
    return tuple(found)


def fields(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high)
    item = st.one_of(
        number.map(str),
        span,
        st.tuples(st.one_of(st.just("*"), span, number.map(str)), step).map(
            lambda parts: f"{parts[0]}/{parts[1]}"
        ),
        *([st.sampled_from(names)] if names else []),
    )
    return st.one_of(st.just("*"), item, st.lists(item, min_size=1, max_size=3).map(",".join))


# Hours at which clocks are moved are drawn more often than the others.
hours = st.one_of(fields(0, 23), st.sampled_from(("0", "1", "2", "3", "23", "0-3", "*/2", "1,2", "*")))
months = st.one_of(st.just("*"), st.just("*"), fields(1, 12, MONTHS))
weekdays = st.one_of(st.just("*"), fields(0, 7, DAYS))
days = st.one_of(st.just("*"), fields(1, 31))
expressions = st.tuples(fields(0, 59), hours, days, months, weekdays).map(" ".join)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """Any minute of these years, most often one about which the zone's clock is moved."""
    changes = transitions(zone)
    if changes and draw(st.integers(0, 3)):
        return draw(st.sampled_from(changes)) + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE
    return FIRST + draw(st.integers(0, int((LAST - FIRST) / MINUTE))) * MINUTE


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, datetime]:
    zone = draw(st.sampled_from(sorted(zones())))
    return draw(expressions), zone, draw(moments(zone))


@settings(max_examples=1500, derandomize=True, database=None)
@given(case=cases())
@example(case=("*/15 3 * * *", "Australia/Lord_Howe", datetime(2025, 4, 5, 12, tzinfo=UTC)))
@example(case=("*/15 1 * * *", "Australia/Lord_Howe", datetime(2025, 4, 5, 12, tzinfo=UTC)))
@example(case=("15,45 2 * * *", "Europe/Berlin", datetime(2025, 3, 30, tzinfo=UTC)))
@example(case=("45 1 * * *", "America/New_York", datetime(2025, 11, 2, 5, 30, tzinfo=UTC)))
@example(case=("0 0 * * *", "Africa/Cairo", datetime(2025, 4, 24, 12, tzinfo=UTC)))
@example(case=("*/20 0 * * *", "America/Havana", datetime(2026, 3, 8, tzinfo=UTC)))
@example(case=("30 1 * * *", "Antarctica/Troll", datetime(2025, 10, 26, tzinfo=UTC)))
@example(case=("30 23 * * *", "Asia/Almaty", datetime(2024, 2, 29, tzinfo=UTC)))
def test_occurrences_are_those_of_the_oracle(case: tuple[str, str, datetime]) -> None:
    """Two days of them, one after the other and back again."""
    expression, name, moment = case
    zone = ZoneInfo(name)
    try:
        cron = Cron(expression, zone)
    except CronError:
        assert not Oracle(expression, ZoneInfo("UTC")).between(FIRST, FIRST + 1600 * DAY), "it was refused"
        return
    until = moment + 2 * DAY
    expected = Oracle(expression, zone).between(moment + MINUTE, until)[:60]
    found, last = [], moment
    while len(found) < len(expected) and (last := cron.after(last) or LAST + DAY) <= until:
        found.append(last)
    assert found == expected
    if not expected:
        following = cron.after(moment)
        assert following is None or following > until
        return
    back, last = [], expected[-1] + MINUTE
    while len(back) < len(expected) and (last := cron.before(last) or FIRST) > moment:
        back.append(last)
    assert back == expected[::-1]


def local(cron: str, zone: str, first: str, count: int) -> list[str]:
    """The occurrences that follow an instant, as the zone's clock tells them."""
    found, moment = [], datetime.fromisoformat(first)
    for _ in range(count):
        moment = Cron(cron, ZoneInfo(zone)).after(moment) or moment
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def test_a_time_of_day_in_a_gap_fires_at_the_first_valid_instant() -> None:
    found = local("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00:00+01:00", 2)
    assert found == ["30 03:00+0200", "31 02:30+0200"]


def test_a_time_of_day_in_an_overlap_fires_once_the_first_time() -> None:
    found = local("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00+02:00", 2)
    assert found == ["26 02:30+0200", "27 02:30+0100"]


def test_hourly_fires_every_real_hour() -> None:
    forward = local("0 * * * *", "Europe/Berlin", "2025-03-30T00:30:00+01:00", 3)
    back = local("0 * * * *", "Europe/Berlin", "2025-10-26T01:30:00+02:00", 3)
    assert forward == ["30 01:00+0100", "30 03:00+0200", "30 04:00+0200"]
    assert back == ["26 02:00+0200", "26 02:00+0100", "26 03:00+0100"]


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "0 * * * * *", "@daily", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
     "*/0 * * * *", "5-1 * * * *", "x * * * *", "1,,2 * * * *", "0 0 31 2 *", "0 " * 300],
)  # fmt: skip
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        Cron(expression, ZoneInfo("UTC"))


@settings(max_examples=500, derandomize=True, database=None)
@given(
    st.lists(st.text(alphabet="0123456789*/-,#LWMONsun?²", min_size=1, max_size=6), min_size=5, max_size=5)
)
def test_any_text_is_an_expression_or_refused(parts: list[str]) -> None:
    try:
        cron = Cron(" ".join(parts), ZoneInfo("Europe/Berlin"))
    except CronError:
        return
    following = cron.after(FIRST)
    assert following is None or following > FIRST


def test_a_cron_that_comes_once_in_decades_is_found() -> None:
    assert Cron("0 0 29 2 MON", ZoneInfo("UTC")).after(FIRST) == datetime(2024, 2, 5, tzinfo=UTC)
    rare = Cron("0 0 * 2 MON#5", ZoneInfo("UTC"))
    assert rare.after(datetime(2024, 3, 1, tzinfo=UTC)) == datetime(2044, 2, 29, tzinfo=UTC)
