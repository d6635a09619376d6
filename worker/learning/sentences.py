"""What the numbers of a report mean, and what to do next: one sentence each, for whoever owns the data.

Sentences are made from the JSON that they explain, so that they cannot say anything else. Those of the shift are in
`shift_sentences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.learning.wording import listed, points, quantity, signed

#: Columns that a sentence names.
NAMED = 3

_BASELINE = {"source_only": "the source model as it is", "scratch": "training from scratch on the target"}
_LABEL = {
    "source_only": "The source as it is",
    "scratch": "A model trained on the target alone",
    "fine_tuned": "The fine-tuned model",
    "majority": "Always answering the commonest label",
}


def of_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """{headline, advice, scores: {source_only, …}, gain, candidates} of a transfer report with its measurements."""
    return {
        "headline": _headline(report),
        "advice": _advice(report),
        "gain": _gain(report),
        "scores": {name: _score(name, report) for name in _LABEL if report.get(name)},
        "candidates": _candidates(report),
    }


def of_forgetting(found: Mapping[str, Any]) -> dict[str, str]:
    before, after = points(found["before"] or 0.0), points(found["after"] or 0.0)
    rows = quantity(found["n_test"], "held-out source row")
    moved = f"On {rows} the {found['metric']} goes from {before} to {after} ({signed(found['change'])})"
    if found["high"] < 0:
        return {
            "sentence": f"{moved}: the new model has forgotten part of what the source could do.",
            "advice": "Keep the source for source data and route by origin, or fine-tune with strategy augment, which "
            "learns from both.",
        }
    if found["low"] > 0:
        return {
            "sentence": f"{moved}: the target's rows have helped the source's task as well.",
            "advice": "One model may serve both; compare them on newer source rows before you retire the source.",
        }
    return {
        "sentence": f"{moved}, which is within chance: nothing is known to be forgotten.",
        "advice": "One model may serve both source and target.",
    }


def of_explanation(found: Mapping[str, Any]) -> dict[str, str]:
    features = found["features"]
    leaders = [item for item in features if item["fine_tuned"]["matters"]][:NAMED]
    changed = sorted(
        (item for item in features if item["changed"]), key=lambda item: -abs(item["difference"]["value"])
    )
    if not leaders:
        return {
            "sentence": f"Of {quantity(len(features), 'column')} none alone matters beyond chance on "
            f"{quantity(found['rows'], 'row')}: they stand in for one another, or the rows are too few to tell.",
            "advice": "Don't drop columns on the strength of this; look at related columns together or label more.",
        }
    named = [f"{item['column']} ({signed(item['fine_tuned']['importance']).lstrip('+')})" for item in leaders]
    sentence = f"The fine-tuned model goes by {listed(named)} most: so much is lost when they are shuffled"
    if not changed:
        return {
            "sentence": f"{sentence}; the source goes by the same.",
            "advice": "Nothing to do: the model still works for the reasons that you know.",
        }
    moved = [
        f"{item['column']} {'more' if item['difference']['value'] > 0 else 'less'}"
        for item in changed[:NAMED]
    ]
    return {
        "sentence": f"{sentence}. Compared with the source it uses {listed(moved)}.",
        "advice": f"Ask someone who knows the data whether {changed[0]['column']} should matter "
        f"{'more' if changed[0]['difference']['value'] > 0 else 'less'} in the target; if not, look for a leak.",
    }


def of_labels_needed(found: Mapping[str, Any]) -> dict[str, str]:
    rows = quantity(found["n_train"], "labelled row")
    if not found["extrapolation"]:
        return {
            "sentence": f"What more labels would bring cannot be said: {found['reason']}.",
            "advice": "Label twice as many rows and fine-tune again.",
        }
    furthest = found["extrapolation"][-1]
    if found["outcome"] == "flat":
        return {
            "sentence": f"The curve is flat at {rows}: {furthest['labels']:,} of them would bring "
            f"{signed(furthest['gain']['high'])} at best.",
            "advice": "Don't pay for more labels of this kind; better columns or another kind of model may help more.",
        }
    if found["outcome"] == "unknown":
        double = next(item for item in found["extrapolation"] if item["labels"] >= 2 * found["n_train"])
        gain = double["gain"]
        return {
            "sentence": f"Twice as many labels as the {rows} would bring {signed(gain['value'])}, but anything from "
            f"{signed(gain['low'])} to {signed(gain['high'])} fits the scores.",
            "advice": f"Label {found['n_train']:,} more rows if they are cheap, and look at this curve again.",
        }
    there = next(
        item for item in found["extrapolation"] if item["labels"] == found["n_train"] + found["more_labels"]
    )
    behind = ""
    if found["beats_source_at"]:
        behind = f" The source as it is would be passed at about {found['beats_source_at']:,} labels."
    return {
        "sentence": f"{quantity(found['more_labels'], 'more label')} would bring {signed(there['gain']['value'])} "
        f"(80 % sure of {signed(there['gain']['low'])} to {signed(there['gain']['high'])}).{behind}",
        "advice": f"If that is worth it, label {found['more_labels']:,} more rows and fine-tune again.",
    }


def _headline(report: Mapping[str, Any]) -> str:
    """The verdict's reason; and, where fine-tuning holds its own, what it means against the other baseline."""
    told = _reason(report)
    other = "source_only" if report["gain"]["over"] == "scratch" else "scratch"
    ours, theirs = ((report.get(name) or {}).get(report["metric"]) for name in ("fine_tuned", other))
    if report["verdict"] == "negative_transfer" or ours is None or theirs is None:
        return told
    return f"{told} Against {_BASELINE[other]}: {signed(ours - theirs)}."


def _reason(report: Mapping[str, Any]) -> str:
    gain, over = report["gain"], _BASELINE.get(report["gain"]["over"], report["gain"]["over"])
    value = signed(gain["value"])
    if gain["value"] == gain["low"] == gain["high"] == 0:
        return f"The fine-tuned model is as good as {over}: it gets the very same rows right."
    if report["verdict"] == "improved":
        return f"Fine-tuning helped: {value} of {report['metric']} over {over}, more than chance explains."
    if report["verdict"] == "negative_transfer":
        return f"Fine-tuning made it worse: {value} of {report['metric']} against {over}, more than chance explains."
    return f"Fine-tuning makes no sure difference: {value} of {report['metric']} against {over}, which may be chance."


def _advice(report: Mapping[str, Any]) -> str:
    over = report["gain"]["over"]
    if report["verdict"] == "improved":
        return "Use this version: point an alias at it."
    if report["verdict"] == "negative_transfer":
        instead = (
            "Keep the source" if over == "source_only" else "Train on the target alone (strategy scratch)"
        )
        return f"Do not use this version. {instead}; an alias moves here only with force: true."
    if report["n_test"] < 50:
        rows = quantity(report["n_test"], "test row")
        return f"Keep what you have, and label more rows: {rows} cannot show a small gain."
    kept = "the source" if over == "source_only" else "a model trained from scratch"
    if report["gain"]["value"] > 0:
        return (
            f"Use this version or {kept}: it scored higher, but only more labelled rows would make that sure."
        )
    return f"Use {kept}, which is simpler and scored no worse, unless other parts of this report speak against it."


def _gain(report: Mapping[str, Any]) -> str:
    gain = report["gain"]
    if gain["value"] == gain["low"] == gain["high"] == 0:
        return "The fine-tuned model and the better of source and scratch are right on the very same rows."
    return (
        f"The fine-tuned model differs by {signed(gain['value'])} from the better of source and scratch; with "
        f"{gain['confidence']:.0%} confidence the true difference is between {signed(gain['low'])} and "
        f"{signed(gain['high'])}, and only an interval without zero is a result."
    ).replace("%", " %")


def _score(name: str, report: Mapping[str, Any]) -> str:
    metric, found = report["metric"], report[name]
    value = found.get(metric)
    what = _LABEL[name]
    if name == "majority" and metric == "r2":
        what = "Always answering the average"
    if value is None:
        return f"{what} has no {metric} on these rows, as the target does not vary in them."
    told = f"{what} reaches {metric} {points(value)} on {quantity(report['n_test'], 'target row')} it was not fitted on"
    if name == "majority":
        return f"{told}: what is no better than this has learned nothing."
    floor = (report.get("majority") or {}).get(metric)
    if floor is not None and value <= floor:
        return f"{told}: no better than not looking at the inputs at all."
    return f"{told}."


def _candidates(report: Mapping[str, Any]) -> str:
    tried = report.get("candidates") or []
    if len(tried) < 2:
        return f"The strategy {report.get('strategy')} was asked for, so nothing else was tried."
    weighted = [item for item in tried if (item.get("weight") or 0) > 0.005]
    best = max(tried, key=lambda item: item["cv_score"])
    told = f"{quantity(len(tried), 'candidate')} were compared on training rows alone; {best['strategy']} scored best"
    if len(weighted) > 1:
        return f"{told}, and {len(weighted)} of them are blended by how likely they made the labels."
    return f"{told}."
