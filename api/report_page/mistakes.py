"""Which mistakes are left? Confusion matrices before and after."""

from __future__ import annotations

from api.report_page.matrix import confusion_matrix, most_confused
from api.report_page.parts import (
    Json,
    Plot,
    Section,
)


def mistakes_section(report: Json) -> Section | None:
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
    return Section("mistakes", "Which mistakes are left?", (sentence,), advice, tuple(plots))
