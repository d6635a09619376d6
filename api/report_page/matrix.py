"""A confusion matrix as a heat map: rows are the true labels, columns the predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from api.report_page import svg

#: More labels than this cannot be read on a phone; those that are confused most are shown.
MAX_LABELS = 12
_LETTERS = 9


def confusion_matrix(
    matrix: Sequence[Sequence[int]],
    labels: Sequence[Any],
    chosen: Sequence[Any],
    *,
    title: str,
    description: str,
) -> Markup:
    """Of the labels `chosen`, in that order. A cell is as dark as its share of the true label's rows."""
    places = [labels.index(label) for label in chosen]
    names = [svg.shortened(labels[place], _LETTERS) for place in places]
    longest = max((len(name) for name in names), default=0)
    left, top = 12.0 + 5.5 * longest, 14.0 + 4.5 * longest
    side = min((svg.WIDTH - left) / max(len(places), 1), 46.0)
    shapes: list[Markup] = []
    for row, (truth, name) in enumerate(zip(places, names, strict=True)):
        x, y = left + row * side, top + row * side
        shapes.append(svg.text(left - 6, y + side / 2 + 4, name, "tick", anchor="end"))
        shapes.append(svg.text(x + side * 0.6, top - 6, name, "tick", turn=-45))
        total = sum(matrix[truth]) or 1
        for column, predicted in enumerate(places):
            place = (left + column * side, y)
            shapes.append(_cell(matrix[truth][predicted], total, labels, (truth, predicted), place, side))
    return svg.figure(top + len(places) * side + 2, title, description, shapes)


def most_confused(matrices: Sequence[tuple[Sequence[Sequence[int]], Sequence[Any]]]) -> list[Any]:
    """The labels to show: all, or those with the most mistakes in any of the matrices, in the first one's order."""
    order: dict[Any, int] = {}
    for matrix, labels in matrices:
        for place, label in enumerate(labels):
            missed = sum(matrix[place]) + sum(row[place] for row in matrix) - 2 * matrix[place][place]
            order[label] = order.get(label, 0) + missed
    if len(order) <= MAX_LABELS:
        return list(order)
    kept = set(sorted(order, key=lambda label: -order[label])[:MAX_LABELS])
    return [label for label in order if label in kept]


def _cell(
    rows: int,
    total: int,
    labels: Sequence[Any],
    pair: tuple[int, int],
    place: tuple[float, float],
    side: float,
) -> Markup:
    truth, predicted = pair
    share = rows / total
    x, y = place
    right = truth == predicted
    words = f"{labels[truth]} taken for {labels[predicted]}: {rows} of {total}"
    if right:
        words = f"{labels[truth]} recognized: {rows} of {total}"
    shapes = [svg.rect(x + 1, y + 1, side - 2, side - 2, "track")]
    if rows:
        shapes.append(
            svg.rect(
                x + 1,
                y + 1,
                side - 2,
                side - 2,
                "fill-tuned" if right else "fill-bad",
                opacity=0.15 + 0.85 * share,
            )
        )
        style = "cell-strong" if share > 0.55 else "cell"
        shapes.append(svg.text(x + side / 2, y + side / 2 + 4, rows, style, anchor="middle"))
    return svg.titled(words, shapes)
