"""The parts of the page, each from its part of the report: a question, its answer in words, what to do, a plot.

A part that the report lacks is left out, and one that could not be computed says why. Nothing is computed here but
where things are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.report_page.bars import Bar, Group, Mark, bar_chart
from api.report_page.curve import learning_curve
from api.report_page.matrix import confusion_matrix, most_confused

#: Rows of a plot; the table below it has all of them.
MAX_ROWS = 12

Json = Mapping[str, Any]
NAMES = {
    "majority": "Commonest answer, without a model",
    "source_only": "Source as it is",
    "scratch": "From scratch, target rows only",
    "fine_tuned": "Fine-tuned",
}
_TONES = {"majority": "muted", "source_only": "source", "scratch": "scratch", "fine_tuned": "tuned"}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing, its caption, and what its colours mean as (tone, word)."""

    drawing: Markup
    caption: str
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a plot."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One question of the reader."""

    id: str
    question: str
    sentences: tuple[str, ...]
    advice: str | None = None
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


def sections(report: Json) -> list[Section]:
    """In the order in which a reader asks."""
    made = (
        _help(report),
        _labels_needed(report),
        _shift(report),
        _explanation(report),
        _forgetting(report),
        _mistakes(report),
    )
    return [section for section in made if section is not None]


def _help(report: Json) -> Section:
    words = report.get("summary") or {}
    metric = report["metric"]
    bars = [
        Group(NAMES[name], (Bar(report[name].get(metric), _score(report[name].get(metric)), _TONES[name]),))
        for name in NAMES
        if report.get(name)
    ]
    low = _floor([bar.value for group in bars for bar in group.bars])
    plots = [
        Plot(
            bar_chart(
                bars,
                low,
                1.0,
                title=f"{metric} of the models on the same target rows",
                description=_listed((group.label, group.bars[0].shown) for group in bars),
            ),
            f"{_metric(metric)} on {report['n_test']:,} target rows that the models were not fitted on",
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
    shown = _signed(gain["value"])
    bar = Bar(gain["value"], f"{100 * gain['value']:+.1f}", tone, gain["low"], gain["high"])
    group = Group(f"Over: {over}", (bar,))
    words = f"{shown}, between {_signed(gain['low'])} and {_signed(gain['high'])}"
    drawing = bar_chart(
        [group],
        -reach,
        reach,
        title="Gain over the better baseline",
        description=words,
        marks=[Mark(0.0, "no difference")],
    )
    return Plot(drawing, f"Gain with its {_percent(gain['confidence'])} interval: {words}")


def _candidates(tried: Sequence[Json], metric: str) -> Plot:
    best = sorted(tried, key=lambda item: -item["cv_score"])[:MAX_ROWS]
    groups = []
    for item in best:
        spread = item.get("cv_std") or 0.0
        score = item["cv_score"]
        tone = "tuned" if (item.get("weight") or 0) > 0.005 else "muted"
        groups.append(
            Group(_candidate(item), (Bar(score, _score(score), tone, score - spread, score + spread),))
        )
    low = _floor([bar.value for group in groups for bar in group.bars])
    drawing = bar_chart(
        groups,
        low,
        1.0,
        title="Candidates in cross-validation",
        description=_listed((group.label, group.bars[0].shown) for group in groups),
    )
    legend = (("tuned", "part of the model"), ("muted", "tried"))
    return Plot(
        drawing, f"{_metric(metric)} out of fold on training rows, ± one deviation over folds", legend
    )


def _candidate(item: Json) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in (item.get("parameters") or {}).items())
    weight = item.get("weight")
    parts = [str(item["strategy"]), f"({parameters})" if parameters else ""]
    parts.append(f"· {_percent(weight)} of the blend" if weight and weight < 0.995 else "")
    return " ".join(part for part in parts if part)


def _candidate_table(tried: Sequence[Json]) -> Table:
    rows = tuple(
        (
            _candidate({**item, "weight": None}),
            _score(item["cv_score"]),
            _score(item.get("cv_std")),
            "" if item.get("weight") is None else _percent(item["weight"]),
        )
        for item in tried
    )
    return Table("Every candidate", ("candidate", "score", "deviation", "weight"), rows)


def _metrics(report: Json) -> Table:
    present = [name for name in NAMES if report.get(name)]
    hidden = {"confusion_matrix", "classes", "n_test"}
    metrics = [name for name in report["fine_tuned"] if name not in hidden]
    rows = tuple((metric, *(_score(report[name].get(metric)) for name in present)) for metric in metrics)
    return Table("Every metric", ("metric", *(NAMES[name] for name in present)), rows)


def _shift(report: Json) -> Section | None:
    found = report.get("shift")
    if not found:
        return None
    words = found.get("sentences") or {}
    order = ("domain_classifier", "features", "label_shift", "source_loss", "unseen_categories", "columns")
    sentences = [found.get("sentence"), *(words.get(name) for name in order)]
    plots = [
        plot for plot in (_classifier(found), _features(found), _label_shares(found)) if plot is not None
    ]
    return Section(
        "shift",
        "How does the target differ from the source?",
        tuple(sentence for sentence in sentences if sentence),
        found.get("advice"),
        tuple(plots),
        tuple(table for table in (_feature_table(found), _label_table(found)) if table is not None),
    )


def _classifier(found: Json) -> Plot | None:
    classifier = found.get("domain_classifier") or {}
    groups = []
    for name, label in (("linear", "Linear classifier"), ("boosting", "Gradient boosting")):
        area = classifier.get(name)
        if area:
            auc, reach = area["auc"], 3 * area["se"]
            tone = "warn" if area["flagged"] else "muted"
            groups.append(Group(label, (Bar(auc, f"{auc:.2f}", tone, auc - reach, auc + reach),)))
    if not groups:
        return None
    drawing = bar_chart(
        groups,
        0.4,
        1.0,
        title="Can source and target rows be told apart?",
        description=_listed((group.label, group.bars[0].shown) for group in groups),
        marks=[Mark(0.5, "a coin")],
    )
    legend = (("warn", "beyond chance"), ("muted", "within chance"))
    return Plot(drawing, "Area under the curve, ± three standard errors", legend)


def _features(found: Json) -> Plot | None:
    entries = [entry for entry in found.get("features") or [] if entry.get("psi") is not None][:MAX_ROWS]
    if not entries:
        return None
    groups = [
        Group(
            entry["column"],
            (
                Bar(
                    entry["psi"],
                    f"{entry['psi']:.2f}",
                    "warn" if entry["shifted"] else "muted",
                    tick=entry["psi_threshold"],
                ),
            ),
        )
        for entry in entries
    ]
    high = max(max(entry["psi"], entry["psi_threshold"]) for entry in entries)
    drawing = bar_chart(
        groups,
        0.0,
        high,
        title="Shift of each column",
        description=_listed((group.label, group.bars[0].shown) for group in groups),
    )
    total = len(found["features"])
    which = f"the {len(entries)} most shifted of {total} columns" if total > len(entries) else "all columns"
    legend = (("warn", "shifted"), ("muted", "within chance"))
    return Plot(
        drawing, f"Population stability index, {which}; the stroke is each column's threshold", legend
    )


def _label_shares(found: Json) -> Plot | None:
    labels = (found.get("label_shift") or {}).get("labels")
    if not labels:
        return None
    shown = sorted(labels, key=lambda item: -abs(item["target"] - item["source"]))[:MAX_ROWS]
    groups = [
        Group(
            str(item["label"]),
            (
                Bar(item["source"], _percent(item["source"]), "source"),
                Bar(item["target"], _percent(item["target"]), "tuned"),
            ),
        )
        for item in shown
    ]
    drawing = bar_chart(
        groups,
        0.0,
        max(max(item["source"], item["target"]) for item in shown),
        title="Shares of labels",
        description=_listed(
            (group.label, " then ".join(bar.shown for bar in group.bars)) for group in groups
        ),
    )
    return Plot(drawing, "Share of rows with each label", (("source", "source"), ("tuned", "target")))


def _feature_table(found: Json) -> Table | None:
    entries = found.get("features")
    if not entries:
        return None
    rows = []
    for entry in entries:
        test = entry.get("ks") or entry.get("chi_square") or {}
        missing = entry.get("missing") or {}
        rows.append(
            (
                str(entry["column"]),
                {True: "yes", False: "no"}.get(entry["shifted"], "unknown"),
                _score(entry.get("psi")),
                _score(entry.get("psi_threshold")),
                _score(test.get("statistic")),
                _score(test.get("p_adjusted")),
                _percent(missing.get("source")),
                _percent(missing.get("target")),
                ", ".join(str(item["value"]) for item in entry.get("unseen") or []),
            )
        )
    head = ("column", "shifted", "PSI", "threshold", "KS or distance", "p (corrected)")
    return Table("Every column", (*head, "missing in source", "missing in target", "unseen"), tuple(rows))


def _label_table(found: Json) -> Table | None:
    labels = (found.get("label_shift") or {}).get("labels")
    if not labels:
        return None
    rows = tuple(
        (
            str(item["label"]),
            _percent(item["source"]),
            _percent(item["target"]),
            _percent(item.get("estimated")),
        )
        for item in labels
    )
    return Table("Every label", ("label", "source", "target", "guessed by the source without labels"), rows)


def _explanation(report: Json) -> Section | None:
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
        description=_listed(
            (group.label, " then ".join(bar.shown for bar in group.bars)) for group in groups
        ),
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


def _forgetting(report: Json) -> Section | None:
    found = report.get("forgetting")
    if not found:
        return None
    bars = [
        Group(label, (Bar(found[key], _score(found[key]), tone),))
        for label, key, tone in (
            ("Before (source)", "before", "source"),
            ("After (fine-tuned)", "after", "tuned"),
        )
    ]
    drawing = bar_chart(
        bars,
        _floor([found["before"], found["after"]]),
        1.0,
        title=f"{found['metric']} on source rows, before and after",
        description=_listed((group.label, group.bars[0].shown) for group in bars),
    )
    plot = Plot(drawing, f"{_metric(found['metric'])} on {found['n_test']:,} held-out source rows")
    return Section("forgetting", "What has it forgotten?", (found["sentence"],), found["advice"], (plot,))


def _labels_needed(report: Json) -> Section | None:
    found = report.get("labels_needed")
    if not found:
        return None
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    if found.get("points"):
        drawing = learning_curve(found, title="Learning curve", description=found["sentence"])
        caption = (
            f"{_metric(found['metric'])} against labelled rows; the band holds 80 % of what the scores allow"
        )
        plots = (Plot(drawing, caption, (("tuned", "measured, and expected further on"),)),)
        measured = [(f"{item['labels']:,}", _score(item["score"]), "measured") for item in found["points"]]
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


def _mistakes(report: Json) -> Section | None:
    before, after = report["source_only"], report["fine_tuned"]
    if not before.get("confusion_matrix") or not after.get("confusion_matrix"):
        return None
    both = [(side["confusion_matrix"], side["classes"]) for side in (before, after)]
    chosen = most_confused(both)
    plots = []
    for (matrix, labels), name in zip(both, ("Before: source as it is", "After: fine-tuned"), strict=True):
        kept = [label for label in chosen if label in labels]
        right, total = sum(row[place] for place, row in enumerate(matrix)), sum(map(sum, matrix))
        drawing = confusion_matrix(
            matrix,
            labels,
            kept,
            title=f"Confusion matrix, {name}",
            description=f"{right} of {total} rows are right",
        )
        plots.append(Plot(drawing, f"{name}: {right:,} of {total:,} right"))
    known = max(len(labels) for _, labels in both)
    which = (
        f" The {len(chosen)} labels with the most mistakes of {known} are shown."
        if known > len(chosen)
        else ""
    )
    sentence = f"Each row is a true label, each column a predicted one; what is off the diagonal is a mistake.{which}"
    advice = "Look for a pair of labels that is confused both before and after: it needs better columns, not more fits."
    legend_free = tuple(plots)
    return Section("mistakes", "Which mistakes are left?", (sentence,), advice, legend_free)


def _floor(values: Sequence[float | None]) -> float:
    """Where a score's axis begins: at 0, or below it for a negative R², at -1 the latest."""
    return max(min([0.0, *(value for value in values if value is not None)]), -1.0)


def _metric(name: str) -> str:
    return "R²" if name == "r2" else name.capitalize()


def _score(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 1 if 0 < abs(value) < 0.1 else 0
    return f"{100 * value:.{digits}f} %"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f} points"


def _spread(value: float, spread: float) -> str:
    return f"{100 * value:.2f} ± {100 * spread:.2f}"


def _listed(pairs: Any) -> str:
    return "; ".join(f"{name}: {value}" for name, value in pairs)
