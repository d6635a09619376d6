"""Did it help? The models on the same target rows, the gain, and every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.report_page.bars import Bar, Group, Mark, bar_chart
from api.report_page.parts import (
    MAX_ROWS,
    Json,
    Plot,
    Section,
    Table,
    floor_of,
    listed,
    metric_name,
    percent,
    score,
    signed,
)

NAMES = {
    "majority": "Without a model: the usual answer",
    "source_only": "Source as it is",
    "scratch": "From scratch, target rows only",
    "fine_tuned": "Fine-tuned",
}
_TONES = {"majority": "muted", "source_only": "source", "scratch": "scratch", "fine_tuned": "tuned"}


def help_section(report: Json) -> Section:
    words = report.get("summary") or {}
    metric = report["metric"]
    bars = [
        Group(NAMES[name], (Bar(report[name].get(metric), score(report[name].get(metric)), _TONES[name]),))
        for name in NAMES
        if report.get(name)
    ]
    low = floor_of([bar.value for group in bars for bar in group.bars])
    plots = [
        Plot(
            bar_chart(
                bars,
                low,
                1.0,
                title=f"{metric} of the models on the same target rows",
                description=listed((group.label, group.bars[0].shown) for group in bars),
            ),
            f"{metric_name(metric)} on {report['n_test']:,} target rows that the models were not fitted on",
        ),
        _gain(report),
    ]
    tried = report.get("candidates") or []
    if len(tried) > 1:
        plots.append(_candidates(tried, metric))
    scores = words.get("scores") or {}
    sentences = [words.get("gain"), *(scores.get(name) for name in NAMES), words.get("candidates")]
    return Section(
        "help",
        "Did fine-tuning help?",
        tuple(sentence for sentence in sentences if sentence),
        None,
        tuple(plots),
        (_metrics(report), *([_candidate_table(tried)] if tried else [])),
    )


def _gain(report: Json) -> Plot:
    gain = report["gain"]
    tone = {"improved": "tuned", "negative_transfer": "bad"}.get(report["verdict"], "muted")
    reach = max(abs(gain["low"]), abs(gain["high"]), 0.05) * 1.15
    over = NAMES.get(gain["over"], str(gain["over"]))
    shown = signed(gain["value"])
    bar = Bar(gain["value"], f"{100 * gain['value']:+.1f}", tone, gain["low"], gain["high"])
    group = Group(f"Over: {over}", (bar,))
    words = f"{shown}, between {signed(gain['low'])} and {signed(gain['high'])}"
    drawing = bar_chart(
        [group],
        -reach,
        reach,
        title="Gain over the better baseline",
        description=words,
        marks=[Mark(0.0, "no difference")],
    )
    return Plot(drawing, f"Gain with its {percent(gain['confidence'])} interval: {words}")


def _candidates(tried: Sequence[Json], metric: str) -> Plot:
    best = sorted(tried, key=lambda item: -item["cv_score"])[:MAX_ROWS]
    groups = []
    for item in best:
        spread = item.get("cv_std") or 0.0
        found = item["cv_score"]
        tone = "tuned" if (item.get("weight") or 0) > 0.005 else "muted"
        groups.append(
            Group(_candidate(item), (Bar(found, score(found), tone, found - spread, found + spread),))
        )
    low = floor_of([bar.value for group in groups for bar in group.bars])
    drawing = bar_chart(
        groups,
        low,
        1.0,
        title="Candidates in cross-validation",
        description=listed((group.label, group.bars[0].shown) for group in groups),
    )
    legend = (("tuned", "in the model, with its share"), ("muted", "tried"))
    return Plot(
        drawing, f"{metric_name(metric)} out of fold on training rows, ± one deviation over folds", legend
    )


def _candidate(item: Json) -> str:
    """Its strategy, what it was given, and its share of a blend."""
    given = [_parameter(name, value) for name, value in (item.get("parameters") or {}).items()]
    weight = item.get("weight")
    parts = [str(item["strategy"]), *(word for word in given if word)]
    share = f" · {percent(weight)}" if weight and 0.005 < weight < 0.995 else ""
    return ", ".join(parts) + share


def _parameter(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _candidate_table(tried: Sequence[Json]) -> Table:
    rows = tuple(
        (
            _candidate({**item, "weight": None}),
            score(item["cv_score"]),
            score(item.get("cv_std")),
            "" if item.get("weight") is None else percent(item["weight"]),
        )
        for item in tried
    )
    return Table("Every candidate", ("candidate", "score", "deviation", "weight"), rows)


def _metrics(report: Json) -> Table:
    present = [name for name in NAMES if report.get(name)]
    hidden = {"confusion_matrix", "classes", "n_test"}
    metrics = [name for name in report["fine_tuned"] if name not in hidden]
    rows = tuple((metric, *(score(report[name].get(metric)) for name in present)) for metric in metrics)
    return Table("Every metric", ("metric", *(NAMES[name] for name in present)), rows)
