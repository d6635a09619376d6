"""What a report says where target and source share no label: most of its comparisons are then of no use.

`ja` and `nein` beside `yes` and `no` are learned as labels of their own. The source cannot be right on such rows, so
that any fine-tune seems to gain much, to forget all, and to want more rows; what it wants is a `label_map`. Numbers
stay as they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.modeling.model import Label
from worker.learning.labels import label_text
from worker.learning.wording import listed, points, quantity

#: Labels that a sentence names, and how many letters of each.
_NAMED = 5
_LONGEST = 40

#: What to do.
MAP = "say which is which with label_map (`--label theirs=ours` of `graft fine-tune`)"


def warning(target: Sequence[Label], source: Sequence[Label]) -> str:
    """The job's warning."""
    told = f"the target's labels ({_named(target)}) are all unknown to the source, which has {_named(source)}"
    return f"{told}; if they mean the same, {MAP}"


def retold(report: Mapping[str, Any]) -> dict[str, Any]:
    """A whole transfer report whose labels are all new, with the sentences that would mislead replaced."""
    labels = report["labels"]
    words = report["summary"]
    summary = words | {"headline": _headline(report), "advice": _advice(report)}
    summary["scores"] = words["scores"] | {
        "source_only": "The source as it is has none of the target's labels to give, so it is never right."
    }
    found = dict(report) | {"summary": summary}
    if report.get("forgetting"):
        found["forgetting"] = report["forgetting"] | _forgetting(report["forgetting"])
    found["labels_needed"] = report["labels_needed"] | {
        "advice": "Label no more rows before it is clear whether the labels only have to be mapped: "
        f"{_named(labels['new'])} are learned from these rows alone."
    }
    return found


def _headline(report: Mapping[str, Any]) -> str:
    labels = report["labels"]
    return (
        f"Source and target share no label: the target has {_named(labels['new'])}, the source "
        f"{_named(labels['absent'])}. They were taken for labels of their own, so the source could not be right on any "
        "row, and comparing with it says nothing."
    )


def _advice(report: Mapping[str, Any]) -> str:
    told = f"If they mean the same, fine-tune again and {MAP}."
    if report["verdict"] == "negative_transfer":
        return f"{told} Do not use this version; an alias moves here only with force: true."
    return f"{told} If they are labels of their own, compare this version with training from scratch alone."


def _forgetting(found: Mapping[str, Any]) -> dict[str, str]:
    before, after = points(found["before"] or 0.0), points(found["after"] or 0.0)
    rows = quantity(found["n_test"], "held-out source row")
    return {
        "sentence": f"On {rows} the {found['metric']} goes from {before} to {after}, since the new model may answer "
        "with the target's labels, none of which stand there: how much it has lost is not known.",
        "advice": "Map the labels if they mean the same; if not, keep the source for source data.",
    }


def _named(labels: Sequence[Label]) -> str:
    texts = [label_text(label) for label in labels]
    return listed([text if len(text) <= _LONGEST else text[:_LONGEST] + "…" for text in texts], _NAMED)
