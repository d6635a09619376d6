"""What the model goes by, what it has forgotten, and what more labels would bring."""

from __future__ import annotations

from api.report_page.bars import Bar, Group, bar_chart
from api.report_page.curve import learning_curve
from api.report_page.parts import (
    MAX_ROWS,
    Json,
    Plot,
    Section,
    Table,
    floor_of,
    listed,
    metric_name,
    score,
)


def explanation_section(report: Json) -> Section | None:
    found = report.get("explanation")
    if not found:
        return None
    groups = []
    for item in found["features"][:MAX_ROWS]:
        bars = []
        for side, tone in (("source", "source"), ("fine_tuned", "tuned")):
            value, spread = item[side]["importance"], item[side]["spread"]
            bars.append(Bar(value, f"{100 * value:.1f}", tone, value - 2 * spread, value + 2 * spread))
        groups.append(Group(str(item["column"]), tuple(bars)))
    values = [bar.high or 0.0 for group in groups for bar in group.bars]
    lows = [bar.low or 0.0 for group in groups for bar in group.bars]
    drawing = bar_chart(
        groups,
        min([0.0, *lows]),
        max([0.01, *values]),
        title="Importance of columns",
        description=listed((group.label, " then ".join(bar.shown for bar in group.bars)) for group in groups),
    )
    caption = (
        f"Points lost when a column is shuffled ({found['score']}), ± two spreads, on {found['rows']:,} rows"
    )
    legend = (("source", "source"), ("tuned", "fine-tuned"))
    rows = tuple(
        (
            str(item["column"]),
            *(
                f"{100 * item[side]['importance']:.2f} ± {100 * item[side]['spread']:.2f}"
                for side in ("source", "fine_tuned")
            ),
            f"{100 * item['difference']['value']:+.2f} ± {100 * item['difference']['spread']:.2f}",
            f"{item['source']['rank']} → {item['fine_tuned']['rank']}",
            "yes" if item["changed"] else "no",
        )
        for item in found["features"]
    )
    head = ("column", "source", "fine-tuned", "difference", "rank (ties share one)", "changed")
    return Section(
        "explanation",
        "What does the model go by?",
        (found["sentence"],),
        found["advice"],
        (Plot(drawing, caption, legend),),
        (Table("Importance of every column, in points", head, rows),),
    )


def forgetting_section(report: Json) -> Section | None:
    found = report.get("forgetting")
    if not found:
        return None
    bars = [
        Group(label, (Bar(found[key], score(found[key]), tone),))
        for label, key, tone in (
            ("Before (source)", "before", "source"),
            ("After (fine-tuned)", "after", "tuned"),
        )
    ]
    drawing = bar_chart(
        bars,
        floor_of([found["before"], found["after"]]),
        1.0,
        title=f"{found['metric']} on source rows, before and after",
        description=listed((group.label, group.bars[0].shown) for group in bars),
    )
    plot = Plot(drawing, f"{metric_name(found['metric'])} on {found['n_test']:,} held-out source rows")
    return Section("forgetting", "What has it forgotten?", (found["sentence"],), found["advice"], (plot,))


def labels_section(report: Json) -> Section | None:
    found = report.get("labels_needed")
    if not found:
        return None
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    if found.get("points"):
        drawing = learning_curve(found, title="Learning curve", description=found["sentence"])
        caption = f"{metric_name(found['metric'])} against labelled rows; the band holds 80 % of what the scores allow"
        followed = f"{found.get('strategy') or 'the model'}, measured and then expected"
        plots = (Plot(drawing, caption, (("tuned", followed),)),)
        measured = [(f"{item['labels']:,}", score(item["score"]), "measured") for item in found["points"]]
        expected = [
            (
                f"{item['labels']:,}",
                f"{item['score']:.3f} ({item['low']:.3f} to {item['high']:.3f})",
                "expected",
            )
            for item in found["extrapolation"]
        ]
        tables = (Table("Points of the curve", ("labels", "score", ""), tuple(measured + expected)),)
    return Section("labels", "Would more labels pay?", (found["sentence"],), found["advice"], plots, tables)
