"""Lineage as a graph from left to right: what something came of stands to the left of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from api.dashboard import wording
from api.report_page import svg
from shared.contracts.models import Lineage, LineageEdge, LineageNode

_WIDE, _TALL, _GAP_X, _GAP_Y, _MARGIN = 156.0, 42.0, 44.0, 14.0, 6.0


def drawn(lineage: Lineage) -> Markup:
    """Boxes lead to the pages of what they stand for. What is deleted has a broken outline, and leads nowhere."""
    ranks = _ranks(lineage.nodes, lineage.edges)
    columns: dict[int, list[LineageNode]] = defaultdict(list)
    for node in lineage.nodes:
        columns[ranks[node.id]].append(node)
    places = {
        node.id: (_MARGIN + rank * (_WIDE + _GAP_X), _MARGIN + row * (_TALL + _GAP_Y))
        for rank, nodes in columns.items()
        for row, node in enumerate(nodes)
    }
    shapes = [
        _edge(places[edge.source], places[edge.target])
        for edge in lineage.edges
        if {edge.source, edge.target} <= set(places)
    ]
    shapes += [_box(node, *places[node.id], is_root=node.id == lineage.root) for node in lineage.nodes]
    width = max(x for x, _ in places.values()) + _WIDE + _MARGIN
    height = max(y for _, y in places.values()) + _TALL + _MARGIN
    return Markup(
        '<svg class="lineage" width="{:g}" height="{:g}" viewBox="0 0 {:g} {:g}" role="group" '
        'aria-label="Lineage of {}">{}</svg>'
    ).format(width, height, width, height, lineage.root, Markup().join(shapes))


def _ranks(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> dict[str, int]:
    """How many steps something is from what came of nothing, the longest way. Nothing comes of itself."""
    ranks = {node.id: 0 for node in nodes}
    for _ in nodes:
        moved = False
        for edge in edges:
            if edge.source in ranks and ranks.get(edge.target, len(nodes)) < ranks[edge.source] + 1 <= len(
                nodes
            ):
                ranks[edge.target] = ranks[edge.source] + 1
                moved = True
        if not moved:
            break
    return ranks


def _edge(source: tuple[float, float], target: tuple[float, float]) -> Markup:
    x1, y1 = source[0] + _WIDE, source[1] + _TALL / 2
    x2, y2 = target[0], target[1] + _TALL / 2
    bend = max((x2 - x1) / 2, 20.0)
    return Markup(
        '<path class="edge" d="M{:.0f} {:.0f} C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}"/>'
    ).format(x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2)


def _box(node: LineageNode, x: float, y: float, *, is_root: bool) -> Markup:
    style = "box" + (" root" if is_root else "") + (" gone" if node.deleted else "")
    what = wording.job_type(node.type) if node.type else node.kind
    name = node.id if node.kind == "version" else node.name or f"…{node.id[-6:]}"
    shapes = Markup().join(
        [
            Markup('<rect x="{:.0f}" y="{:.0f}" width="{:.0f}" height="{:.0f}" rx="7" class="{}"/>').format(
                x, y, _WIDE, _TALL, style
            ),
            svg.text(x + 10, y + 16, what + (" (deleted)" if node.deleted else ""), "kind"),
            svg.text(x + 10, y + 32, svg.shortened(name, 20), "label"),
        ]
    )
    where = _where(node)
    if where is None:
        return svg.titled(f"{what} {name}, deleted" if node.deleted else name, [shapes])
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(where, f"{what} {name}", shapes)


def _where(node: LineageNode) -> str | None:
    if node.deleted:
        return None
    match node.kind:
        case "dataset":
            return f"/datasets/{node.id}"
        case "job":
            return f"/jobs/{node.id}"
        case "version":
            return f"/models/{node.name}/{node.version}"
    return f"/jobs/{node.job}" if node.job else None
