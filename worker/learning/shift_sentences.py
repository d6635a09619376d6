"""What each number of `shift` means, and what to do next, in sentences for whoever owns the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.learning.unshared_labels import MAP
from worker.learning.wording import amount, listed, percent, points, quantity, signed

#: Columns that a sentence names.
NAMED = 3


def of_shift(found: Mapping[str, Any]) -> dict[str, Any]:
    """`sentences`, one for each part, and the `sentence` and `advice` that sum them up."""
    return {
        "sentences": {
            "domain_classifier": _domain(found["domain_classifier"]),
            "features": _features(found["features"]),
            "label_shift": _labels(found["label_shift"]),
            "source_loss": _source(found["source_loss"], found["label_shift"]),
            "unseen_categories": _unseen(found["unseen_categories"], found["rows"]["target"]),
            "columns": _columns(found["columns"]),
        },
        "sentence": _headline(found),
        "advice": _advice(found),
    }


def _headline(found: Mapping[str, Any]) -> str:
    inputs = found["domain_classifier"]["flagged"]
    shifted = [entry for entry in found["features"] if entry["shifted"]]
    labels = found["label_shift"]["shifted"]
    seen = []
    if inputs or shifted:
        seen.append(
            f"the inputs ({quantity(len(shifted), 'column')})" if shifted else "the inputs as a whole"
        )
    if share_no_label(found["label_shift"]):
        seen.append("the labels, of which they share none")
    elif labels:
        seen.append("the labels' shares" if "labels" in found["label_shift"] else "the amounts")
    if seen:
        return f"Source and target differ in {listed(seen)}."
    if inputs is None:
        return "No difference between source and target was found, but without the source's rows little can be tested."
    return "No difference between source and target was found that is beyond chance."


def _advice(found: Mapping[str, Any]) -> str:
    if share_no_label(found["label_shift"]):
        return f"If the labels mean the same, {MAP}; until then nothing is known of how the answers have changed."
    missing = found["columns"]["missing"]
    if missing:
        return f"Supply {listed(missing, NAMED)}, or map a column to it with column_map: the source relies on it."
    shifted = [entry["column"] for entry in found["features"] if entry["shifted"]]
    if shifted:
        return (
            f"Look at {listed(shifted, NAMED)} first: a changed unit or encoding is mended in the data, "
            "a changed population is what fine-tuning is for."
        )
    if found["domain_classifier"]["flagged"]:
        return (
            "No single column stands out, so look at how columns go together, such as a changed correlation."
        )
    if found["label_shift"]["shifted"]:
        return "Compare how target rows were chosen: other shares of answers need other thresholds, not another model."
    if _lost(found["source_loss"]):
        return "The source does worse though its inputs look alike: the same inputs now mean other answers. Fine-tune."
    return "The source can be expected to hold here; fine-tune only if the report shows a gain."


def share_no_label(found: Mapping[str, Any]) -> bool:
    """Whether all of the target's labels are strange to the source, by a `label_shift`."""
    return bool(found.get("labels")) and not any(
        item["source"] and item["target"] for item in found["labels"]
    )


def _domain(found: Mapping[str, Any]) -> str:
    if found["linear"] is None:
        return f"Whether rows of source and target can be told apart is not known: {found['reason']}."
    linear, boosting = found["linear"], found["boosting"]
    both = f"{linear['auc']:.2f} (linear) and {boosting['auc']:.2f} (boosting), where 0.5 is a coin and 1 is always"
    told = f"A classifier tells target rows from source rows with an area under the curve of {both}"
    if linear["flagged"]:
        return f"{told}: the inputs have moved."
    if boosting["flagged"]:
        return f"{told}: no average has moved, but spreads or relations between columns have."
    return f"{told}: it does no better than chance would."


def _features(entries: list[Mapping[str, Any]]) -> str:
    shifted = [entry for entry in entries if entry["shifted"]]
    if not entries:
        return "There is no column to compare."
    if not shifted:
        return f"None of {quantity(len(entries), 'column')} has shifted beyond what chance does."
    named = [f"{entry['column']} (PSI {entry['psi']:.2f})" for entry in shifted[:NAMED]]
    more = f" and {len(shifted) - NAMED} more" if len(shifted) > NAMED else ""
    return f"{len(shifted)} of {quantity(len(entries), 'column')} have shifted, most of all {', '.join(named)}{more}."


def _labels(found: Mapping[str, Any]) -> str:
    if found["shifted"] is None:
        return f"Whether the answers have shifted is not known: {found['reason']}."
    if "labels" not in found:
        here, there = found["source"]["mean"], found["target"]["mean"]
        verdict = "differ" if found["shifted"] else "do not differ beyond chance"
        return f"The amounts {verdict}: on average {amount(here)} in the source and {amount(there)} in the target."
    if share_no_label(found):
        return "No label of the target is one of the source's, so their shares cannot be compared."
    distance = percent(found["distance"])
    if not found["shifted"]:
        return f"The labels' shares do not differ beyond chance ({distance} of the rows)."
    most = max(found["labels"], key=lambda item: abs(item["target"] - item["source"]))
    moved = f"{most['label']!r} most, from {percent(most['source'])} to {percent(most['target'])}"
    return f"The labels' shares differ for {distance} of the rows, {moved}."


def _source(found: Mapping[str, Any] | None, labels: Mapping[str, Any]) -> str:
    if found is None or found["on_target"] is None:
        return "How the source does on the target is not known."
    if share_no_label(labels):
        return "The source has none of the target's labels to give, so its score on the target says nothing."
    here, there = found["on_source"], found["on_target"]
    told = f"The source as it is reaches {found['metric']} {points(there)} on {quantity(found['n_test'], 'target row')}"
    if here is None:
        return f"{told}."
    if _lost(found):
        return (
            f"{told}, against {points(here)} at home: it loses {signed(here - there).lstrip('+')} by moving."
        )
    return f"{told}, against {points(here)} at home: it holds."


def _lost(found: Mapping[str, Any] | None) -> bool:
    if found is None or found["on_source"] is None or found["on_target"] is None:
        return False
    return bool(found["on_source"] - found["on_target"] > 0.05)


def _unseen(found: list[Mapping[str, Any]], rows: int) -> str:
    if not found:
        return "The target has no category that the source has not seen."
    first = found[0]
    values = listed([repr(item["value"]) for item in first["values"]], NAMED)
    cells = sum(item["rows"] for item in first["values"])
    return (
        f"{quantity(len(found), 'column')} hold categories that the source has not seen, such as {values} in "
        f"{first['column']} ({cells} of {rows} rows): the source ignores them, and only fine-tuning can learn them."
    )


def _columns(found: Mapping[str, Any]) -> str:
    parts = []
    if found["missing"]:
        parts.append(f"{listed(found['missing'], NAMED)} missing, and filled with the source's average")
    if found["extra"]:
        parts.append(f"{listed(found['extra'], NAMED)} not known to the source, and ignored")
    if found["mistyped"]:
        parts.append(
            f"{listed([item['column'] for item in found['mistyped']], NAMED)} of another type, and cast"
        )
    return (
        f"Of the target's columns: {'; '.join(parts)}."
        if parts
        else "The target has exactly the source's columns."
    )
