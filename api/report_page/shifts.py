"""How does the target differ? Its rows, its columns and its labels."""

from __future__ import annotations

from api.report_page.bars import Bar, Group, Mark, bar_chart
from api.report_page.parts import (
    MAX_ROWS,
    Json,
    Plot,
    Section,
    Table,
    listed,
    percent,
    score,
)


def shift_section(report: Json) -> Section | None:
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
        description=listed((group.label, group.bars[0].shown) for group in groups),
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
        description=listed((group.label, group.bars[0].shown) for group in groups),
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
                Bar(item["source"], percent(item["source"]), "source"),
                Bar(item["target"], percent(item["target"]), "tuned"),
            ),
        )
        for item in shown
    ]
    drawing = bar_chart(
        groups,
        0.0,
        max(max(item["source"], item["target"]) for item in shown),
        title="Shares of labels",
        description=listed((group.label, " then ".join(bar.shown for bar in group.bars)) for group in groups),
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
                score(entry.get("psi")),
                score(entry.get("psi_threshold")),
                score(test.get("statistic")),
                score(test.get("p_adjusted")),
                percent(missing.get("source")),
                percent(missing.get("target")),
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
            percent(item["source"]),
            percent(item["target"]),
            percent(item.get("estimated")),
        )
        for item in labels
    )
    return Table("Every label", ("label", "source", "target", "guessed by the source without labels"), rows)
