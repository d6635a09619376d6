"""Horizontal bars with intervals, alone or side by side under one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.report_page import svg

_BAR, _GAP, _LABEL, _SPACE = 9.0, 3.0, 16.0, 8.0
_VALUE_WIDTH = 62.0
_ROOM = svg.WIDTH - _VALUE_WIDTH


@dataclass(frozen=True, slots=True)
class Bar:
    """value: where it ends, None for an unknown one. low, high: its interval. shown: the number as text. tick: a
    threshold of its own."""

    value: float | None
    shown: str
    tone: str
    low: float | None = None
    high: float | None = None
    tick: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under one label."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line through all bars, such as what chance reaches."""

    value: float
    label: str


def bar_chart(
    groups: Sequence[Group],
    low: float,
    high: float,
    *,
    title: str,
    description: str,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Bars from zero (or `low`, if that is above) on an axis from low to high; what is outside is cut off."""
    reach = _Axis(low, high)
    shapes: list[Markup] = []
    top = 16.0 if marks else 0.0
    bottom = top + sum(_height(group) for group in groups) - _SPACE + 4
    for mark in marks:
        x = reach(mark.value)
        anchor = "start" if x < 40 else "end" if x > _ROOM - 40 else "middle"
        shapes.append(svg.text(x, 9, mark.label, "tick", anchor=anchor))
    y = top
    for group in groups:
        label = svg.text(0, y + 11, svg.shortened(group.label, 44))
        rows = [_bar(bar, y + _LABEL + place * (_BAR + _GAP), reach) for place, bar in enumerate(group.bars)]
        under = y + _LABEL + len(group.bars) * (_BAR + _GAP)
        lines = [
            svg.line(reach(mark.value), y + _LABEL - 1, reach(mark.value), under, "mark") for mark in marks
        ]
        shapes.append(svg.titled(group.label, [label, *rows, *lines]))
        y += _height(group)
    return svg.figure(bottom, title, description, shapes)


def _height(group: Group) -> float:
    return _LABEL + len(group.bars) * (_BAR + _GAP) + _SPACE


class _Axis:
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high if high > low else low + 1.0

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0) * _ROOM


def _bar(bar: Bar, y: float, reach: _Axis) -> Markup:
    shapes = [svg.rect(0, y, _ROOM, _BAR, "track")]
    if bar.value is not None:
        zero, end = reach(max(0.0, reach.low)), reach(bar.value)
        shapes.append(svg.rect(min(zero, end), y, max(abs(end - zero), 1.5), _BAR, f"fill-{bar.tone}"))
    if bar.low is not None and bar.high is not None:
        left, right, middle = reach(bar.low), reach(bar.high), y + _BAR / 2
        shapes.append(svg.line(left, middle, right, middle, "whisker"))
        shapes += [svg.line(x, middle - 3, x, middle + 3, "whisker") for x in (left, right)]
    if bar.tick is not None and reach.low <= bar.tick <= reach.high:
        shapes.append(svg.line(reach(bar.tick), y - 2, reach(bar.tick), y + _BAR + 2, "tick-line"))
    shapes.append(svg.text(svg.WIDTH, y + _BAR - 0.5, bar.shown, "value", anchor="end"))
    return Markup().join(shapes)
