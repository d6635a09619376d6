"""The learning curve: what was measured, what the power laws expect of more labels, and what the source reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from api.report_page import svg

_LEFT, _RIGHT, _TOP, _BOTTOM = 36.0, svg.WIDTH - 8, 10.0, 190.0


def learning_curve(found: Mapping[str, Any], *, title: str, description: str) -> Markup:
    """`found`: the report's labels_needed with points and extrapolation. The axis of labels is logarithmic."""
    points, ahead = found["points"], found["extrapolation"]
    source = found["source_score"]
    values = [item["score"] for item in (*points, *ahead)] + ([] if source is None else [source])
    values += [item["low"] for item in ahead] + [item["high"] for item in ahead]
    low, high = _range(values)
    first, last = points[0]["labels"], (ahead or points)[-1]["labels"]

    def x(labels: float) -> float:
        share = math.log(labels / first) / math.log(last / first) if last > first else 0.5
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(score: float) -> float:
        return _BOTTOM - (min(max(score, low), high) - low) / (high - low) * (_BOTTOM - _TOP)

    shapes = [*_grid(low, high, y), *_labels_axis([first, found["n_train"], last], x)]
    if ahead:
        start = (x(found["n_train"]), y(ahead[0]["score"] - ahead[0]["gain"]["value"]))
        band = [(x(item["labels"]), y(item["high"])) for item in ahead]
        band += [(x(item["labels"]), y(item["low"])) for item in reversed(ahead)]
        shapes.append(svg.path([start, *band], "band", closed=True))
        shapes.append(
            svg.path([start, *((x(item["labels"]), y(item["score"])) for item in ahead)], "expected")
        )
    if source is not None:
        shapes.append(svg.line(_LEFT, y(source), _RIGHT, y(source), "source-line"))
        shapes.append(svg.text(_RIGHT, y(source) - 4, "source as it is", "tick", anchor="end"))
    shapes.append(svg.path([(x(item["labels"]), y(item["score"])) for item in points], "measured"))
    for item in points:
        here, error = x(item["labels"]), item["error"]
        spread = svg.line(here, y(item["score"] - error), here, y(item["score"] + error), "whisker")
        words = f"{item['labels']} labels: {item['score']:.3f} ± {error:.3f}"
        shapes.append(svg.titled(words, [spread, svg.circle(here, y(item["score"]), 3.5, "fill-tuned")]))
    return svg.figure(_BOTTOM + 34, title, description, shapes)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """A little wider than the values, in tenths; R² is cut off at -1."""
    low, high = max(min(values), -1.0), min(max(values), 1.0)
    low, high = math.floor(low * 10 - 0.2) / 10, math.ceil(high * 10 + 0.2) / 10
    return max(low, -1.0), max(min(high, 1.0), low + 0.1)


def _grid(low: float, high: float, y: Any) -> list[Markup]:
    step = 0.1 if high - low <= 0.5 else 0.2
    shapes = []
    for number in range(round((high - low) / step) + 1):
        score = min(low + number * step, high)
        shapes.append(svg.line(_LEFT, y(score), _RIGHT, y(score), "grid"))
        shapes.append(svg.text(_LEFT - 5, y(score) + 4, f"{score:.1f}", "tick", anchor="end"))
    return shapes


def _labels_axis(labels: Sequence[int], x: Any) -> list[Markup]:
    shapes = []
    for number in dict.fromkeys(labels):
        anchor = "start" if x(number) < _LEFT + 12 else "end" if x(number) > _RIGHT - 12 else "middle"
        shapes.append(svg.line(x(number), _BOTTOM, x(number), _BOTTOM + 4, "grid"))
        shapes.append(svg.text(x(number), _BOTTOM + 16, f"{number:,}", "tick", anchor=anchor))
    shapes.append(
        svg.text((_LEFT + _RIGHT) / 2, _BOTTOM + 31, "labelled target rows", "tick", anchor="middle")
    )
    return shapes
