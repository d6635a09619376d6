"""Reports in the words that they have themselves (docs/report.md, docs/transfer.md), as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from graft.commands.showing import show_table, show_text

_MODELS = {
    "majority": "the usual answer",
    "source_only": "source as it is",
    "scratch": "from scratch",
    "fine_tuned": "fine-tuned",
}
_PARTS = ("labels_needed", "shift", "explanation", "forgetting")


def show_report(report: Mapping[str, Any]) -> None:
    """Of a fine-tune: verdict and gain, the models and candidates, and what each part says and advises."""
    words, metric = report.get("summary") or {}, report["metric"]
    show_text(f"{report['verdict']}: {words.get('headline', '')}")
    show_text(f"gain: {gain(report)}")
    typer.echo()
    rows = [
        (name, f"{report[key][metric]:.3f}" if metric in report[key] else None)
        for key, name in _MODELS.items()
        if report.get(key)
    ]
    show_table(("on the same held-out rows", metric), rows, empty="")
    if len(tried := report.get("candidates") or []) > 1:
        typer.echo()
        show_table(("candidate", "best score", "weight in the blend"), _strategies(tried), empty="")
    for advice in _advice(words, report):
        typer.echo()
        show_text(advice)


def show_shift(report: Mapping[str, Any]) -> None:
    """Of a shift report: what differs and what to do about it, then a sentence on each part."""
    show_text(f"{report['sentence']} {report['advice']}")
    typer.echo()
    for sentence in report["sentences"].values():
        show_text(sentence)


def show_ranking(report: Mapping[str, Any]) -> None:
    """Of rank_sources: where to start, the models beside one another, and those that could not be tried."""
    show_text(report["sentence"])
    typer.echo()
    heads = (f"{report['metric']} on these rows", "as it is", "corrected", "fine-tuned", "behind the first")
    show_table(heads, [_standing(entry) for entry in report["ranking"]], empty="")
    for one in report.get("left_out") or ():
        show_text(f"left out: {one['model']}: {one['reason']}")


def gain(report: Mapping[str, Any]) -> str:
    """In points, over which baseline, with its interval."""
    found = report["gain"]
    value, low, high = (f"{100 * found[name]:+.1f}" for name in ("value", "low", "high"))
    over = _MODELS.get(found["over"], found["over"])
    return f"{value} points over {over} ({100 * found['confidence']:.0f} % interval {low} to {high})"


def _standing(entry: Mapping[str, Any]) -> tuple[object, ...]:
    model, behind = entry["model"], entry["behind"]
    scores = [(entry[way] or {}).get("score") for way in ("own", "stacked", "fine_tuned")]
    return (
        f"{model['name']}:{model['version']}",
        *(None if score is None else f"{score:.3f}" for score in scores),
        behind
        and f"{100 * behind['value']:.1f} points ({100 * behind['low']:.1f} to {100 * behind['high']:.1f})",
    )


def _strategies(candidates: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Each strategy once, the heaviest first: the best score of its settings, and their weight together."""
    best: dict[str, float] = {}
    weight: dict[str, float] = {}
    for one in candidates:
        name = one["strategy"]
        best[name] = max(one["cv_score"], best.get(name, one["cv_score"]))
        weight[name] = weight.get(name, 0.0) + (one.get("weight") or 0.0)
    ranked = sorted(best, key=lambda name: (-weight[name], -best[name]))
    return [(name, f"{best[name]:.3f}", f"{weight[name]:.2f}" if weight[name] else "-") for name in ranked]


def _advice(words: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    found = [words, *(report.get(part) or {} for part in _PARTS)]
    told = [" ".join(str(part[name]) for name in ("sentence", "advice") if part.get(name)) for part in found]
    return [text for text in told if text]
