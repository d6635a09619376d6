"""The few SVG shapes that the report's plots are made of. Every piece of text is escaped on its way in.

Plots are drawn 360 units wide, the width of a phone, so that their text is as large there as the page's own. Colours
are classes, which the page's style gives a value for light and for dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from markupsafe import Markup

WIDTH = 360.0


def figure(height: float, title: str, description: str, shapes: Iterable[Markup]) -> Markup:
    """A plot with its name and what it shows in words, for those who do not see it."""
    number = f"{crc32(title.encode()):x}"  # titles are unique on a page
    return Markup(
        '<svg class="plot" viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="t{id} d{id}">'
        '<title id="t{id}">{title}</title><desc id="d{id}">{description}</desc>{shapes}</svg>'
    ).format(
        width=WIDTH,
        height=height,
        id=number,
        title=title,
        description=description,
        shapes=Markup().join(shapes),
    )


def rect(x: float, y: float, width: float, height: float, style: str, *, opacity: float = 1.0) -> Markup:
    """A filled box; one without extent is left out."""
    if width <= 0 or height <= 0:
        return Markup()
    faint = Markup(' fill-opacity="{:.2f}"').format(opacity) if opacity < 1 else Markup()
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" class="{}"{}/>').format(
        x, y, width, height, style, faint
    )


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(
        x1, y1, x2, y2, style
    )


def circle(x: float, y: float, radius: float, style: str) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" class="{}"/>').format(x, y, radius, style)


def path(points: Iterable[tuple[float, float]], style: str, *, closed: bool = False) -> Markup:
    """Straight lines from point to point."""
    steps = Markup(" L").join(Markup("{:.1f} {:.1f}").format(x, y) for x, y in points)
    return Markup('<path d="M{}{}" class="{}"/>').format(steps, " Z" if closed else "", style)


def text(
    x: float, y: float, words: object, style: str = "label", *, anchor: str = "start", turn: float = 0.0
) -> Markup:
    turned = Markup(' transform="rotate({:g} {:.1f} {:.1f})"').format(turn, x, y) if turn else Markup()
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}"{}>{}</text>').format(
        x, y, anchor, style, turned, words
    )


def titled(words: object, shapes: Iterable[Markup]) -> Markup:
    """Shapes that say these words when pointed at."""
    return Markup("<g><title>{}</title>{}</g>").format(words, Markup().join(shapes))


def shortened(words: object, characters: int) -> str:
    """The text, or its beginning and an ellipsis."""
    plain = str(words)
    return plain if len(plain) <= characters else plain[: characters - 1] + "…"
