"""Small charts as SVG, of the shapes that the reports are made of (`api.report_page.svg`).

Each has a title and says in words what it shows. Colours are classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from api.report_page import svg
from shared.overview import BUCKET_MINUTES, Ended

_MOST_POINTS: Final = 240


def throughput(ended: Sequence[Ended]) -> Markup:
    """A bar for every ten minutes: what succeeded, and on top of it what failed or was cancelled."""
    width, height = 6.0 * len(ended), 40.0
    most = max((one.total for one in ended), default=0)
    total, failed = sum(one.total for one in ended), sum(one.failed for one in ended)
    hours = len(ended) * BUCKET_MINUTES // 60
    shapes = [svg.rect(0, height - 1, width, 1, "track")]
    for place, one in enumerate(ended):
        top = height - 1
        for amount, style in (
            (one.succeeded, "fill-tuned"),
            (one.cancelled, "fill-muted"),
            (one.failed, "fill-bad"),
        ):
            tall = amount / most * (height - 2) if most else 0
            top -= tall
            shapes.append(svg.rect(6.0 * place, top, 4.5, tall, style))
    words = f"{total} jobs ended in the last {hours} hours, {failed} of them failed; {most} at most in ten minutes."
    return drawing(width, height, "Jobs ended", words, shapes, "spark", stretched=True)


def loss_curve(points: Sequence[tuple[int, float]], unit: str) -> Markup | None:
    """The running loss over what is completed; None while there is no line to draw."""
    points = _thinned(points)
    if len(points) < 2:
        return None
    losses = [loss for _, loss in points]
    low, high = min(losses), max(losses)
    first, last = points[0][0], points[-1][0]
    left, right, top, bottom = 46.0, 352.0, 10.0, 132.0

    def place(point: tuple[int, float]) -> tuple[float, float]:
        x = left + (point[0] - first) / max(last - first, 1) * (right - left)
        y = bottom - (point[1] - low) / ((high - low) or 1.0) * (bottom - top)
        return x, y

    shapes = [svg.line(left, bottom, right, bottom, "grid"), svg.line(left, top, right, top, "grid")]
    shapes.append(svg.path([place(point) for point in points], "measured"))
    shapes.append(svg.circle(*place(points[-1]), 3.5, "fill-tuned"))
    shapes += [
        svg.text(left - 6, top + 4, f"{high:.3g}", "tick", anchor="end"),
        svg.text(left - 6, bottom + 4, f"{low:.3g}", "tick", anchor="end"),
        svg.text(left, bottom + 18, f"{first:,}", "tick"),
        svg.text(right, bottom + 18, f"{last:,} {unit}", "tick", anchor="end"),
    ]
    words = f"From {losses[0]:.4g} at {first} to {losses[-1]:.4g} at {last} {unit}; the lowest is {low:.4g}."
    return drawing(360, 156, "Running loss", words, shapes)


def over_versions(name: str, points: Sequence[tuple[int, float]]) -> Markup:
    """One metric over the versions of a model, oldest first, as (version, value)."""
    values = [value for _, value in points]
    low, high = min(values), max(values)
    room = (high - low) or abs(high) or 1.0
    left, right, top, bottom = 14.0, 346.0, 24.0, 84.0

    def place(number: int, value: float) -> tuple[float, float]:
        x = left + number / max(len(points) - 1, 1) * (right - left) if len(points) > 1 else 180.0
        return x, bottom - (value - low) / room * (bottom - top)

    places = [place(number, value) for number, value in enumerate(values)]
    shapes = [svg.line(left, bottom + 8, right, bottom + 8, "grid")]
    if len(places) > 1:
        shapes.append(svg.path(places, "measured"))
    for (version, value), (x, y) in zip(points, places, strict=True):
        shapes.append(svg.titled(f"version {version}: {value:.4g}", [svg.circle(x, y, 4, "fill-tuned")]))
    if len(points) <= 12:
        anchors = ["start", *["middle"] * (len(points) - 2), "end"] if len(points) > 1 else ["middle"]
        for (version, value), (x, y), anchor in zip(points, places, anchors, strict=True):
            shapes.append(svg.text(x, y - 9, f"{value:.3g}", "value", anchor=anchor))
            shapes.append(svg.text(x, bottom + 24, f"v{version}", "tick", anchor=anchor))
    words = "; ".join(f"version {version}: {value:.4g}" for version, value in points[-12:])
    return drawing(360, 112, f"{name} over versions", words, shapes)


def histogram(name: str, counts: Sequence[int], words: str) -> Markup:
    """Bars without axes, for a cell of a table."""
    most = max(counts, default=0) or 1
    step = 120.0 / max(len(counts), 1)
    shapes = [svg.rect(0, 31, 120, 1, "track")]
    for place, amount in enumerate(counts):
        tall = max(amount / most * 30, 1.0) if amount else 0.0
        shapes.append(svg.rect(step * place + 0.5, 31 - tall, max(step - 1, 0.5), tall, "fill-source"))
    return drawing(120, 32, f"Distribution of {name}", words, shapes, "mini")


def drawing(
    width: float,
    height: float,
    title: str,
    words: str,
    shapes: Sequence[Markup],
    style: str = "plot",
    *,
    stretched: bool = False,
) -> Markup:
    """A chart that says what it shows to those who do not see it. Its label needs no id, of which a page that is
    renewed in parts could have two."""
    stretch = Markup(' preserveAspectRatio="none"') if stretched else Markup()
    return Markup('<svg class="{}" viewBox="0 0 {:g} {:g}"{} role="img" aria-label="{}">{}</svg>').format(
        style, width, height, stretch, f"{title}: {words}", Markup().join(shapes)
    )


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Evenly, the newest always among them."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(_MOST_POINTS)]
