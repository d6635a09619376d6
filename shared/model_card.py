"""A version's model card in Markdown (Mitchell et al., "Model Cards for Model Reporting", FAT* 2019).

Everything that people have named is escaped, so that it is read as text and not as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.contracts.base import rfc3339
from shared.contracts.models import ModelVersion

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:$^=@])")
_MOST_COLUMNS = 200
_MOST_CATEGORIES = 10


def card(version: ModelVersion, report: Mapping[str, Any] | None) -> str:
    """The card; `report` is a fine-tune's transfer report, if there is one."""
    parts = (
        _head(version),
        _about(version),
        _data(version),
        _schema(version),
        _metrics(version),
        _transfer(report) if report else "",
        _limits(version),
        _lineage(version),
        _libraries(version),
        _use(version),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: object) -> str:
    """As text: on one line, without any markup, invisible controls left out."""
    words = " ".join(str(value).split())
    return _MARKUP.sub(r"\\\1", "".join(letter for letter in words if letter.isprintable()))


def _head(version: ModelVersion) -> str:
    described = text(version.description) or "No description has been given."
    tags = ", ".join(f"{text(key)}: {text(value)}" for key, value in sorted(version.tags.items()))
    licence = next((v for k, v in version.tags.items() if k.lower() in ("license", "licence")), None)
    lines = [f"# {text(version.name)}, version {version.version}", described]
    if tags:
        lines.append(f"Tags: {tags}")
    lines.append(
        f"Licence: {text(licence)}"
        if licence
        else "Licence: none is recorded (set the tag `license`); ask the model's owner before you pass it on."
    )
    return "\n\n".join(lines)


def _about(version: ModelVersion) -> str:
    made = {
        "task": version.task,
        **version.estimator,
        **{f"preprocessing, {k}": v for k, v in version.preprocessing.items()},
    }
    rows = [(text(name), text(value)) for name, value in made.items() if value is not None]
    return "## What it is\n\n" + _table(("", ""), rows)


def _data(version: ModelVersion) -> str:
    rows = version.baseline.get("rows")
    size = f"{rows:,} training rows of the dataset" if isinstance(rows, int) else "The dataset"
    return (
        f"## Data\n\n{size} {text(version.dataset)}, by the job {text(version.job)} on "
        f"{rfc3339(version.created_at)} with the seed {version.seed}. Its target is {text(version.target)}."
    )


def _schema(version: ModelVersion) -> str:
    inputs = version.schema_.get("inputs", [])
    rows = [(text(item["name"]), item["type"], _values(item)) for item in inputs[:_MOST_COLUMNS]]
    more = f"\n\n… and {len(inputs) - _MOST_COLUMNS} more columns." if len(inputs) > _MOST_COLUMNS else ""
    output = version.schema_.get("output") or {}
    classes = output.get("classes")
    says = f"One of {_listed(classes)}." if classes else "A number."
    return (
        "## Input and output\n\n"
        + _table(("column", "type", "values"), rows)
        + more
        + f"\n\nOutput: {text(output.get('name', version.target))}. {says}"
    )


def _values(item: Mapping[str, Any]) -> str:
    known = _listed(item["categories"]) if item.get("categories") else ""
    missing = "may be missing" if item.get("nullable") else "must not be missing"
    return "; ".join(part for part in (known, missing) if part)


def _metrics(version: ModelVersion) -> str:
    rows = [
        (text(name), f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in version.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return "## Measured on rows it was not fitted on\n\n" + _table(("metric", "value"), rows) if rows else ""


def _transfer(report: Mapping[str, Any]) -> str:
    summary = report.get("summary") or {}
    said = [summary.get("headline"), summary.get("gain"), summary.get("advice")]
    said += [(report.get(part) or {}).get("sentence") for part in ("shift", "forgetting", "labels_needed")]
    sentences = [f"- {text(sentence)}" for sentence in said if isinstance(sentence, str) and sentence]
    return f"## Transfer: {text(report.get('verdict', ''))}\n\n" + "\n".join(sentences)


def _limits(version: ModelVersion) -> str:
    limits = [
        "It was measured on rows of its own dataset; on other data it may do worse (watch its drift).",
        "Texts that training never saw, and numbers beyond the training range, are extrapolated.",
    ]
    if version.task == "classification":
        limits.append("Probabilities are the model's own; check their calibration before you set thresholds.")
    if version.verdict == "negative_transfer":
        limits.append("Fine-tuning made it worse than what it was made from.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in limits)


def _lineage(version: ModelVersion) -> str:
    parent = version.parent
    source = (
        f"fine-tuned from {text(parent.name)}, version {parent.version}" if parent else "trained from scratch"
    )
    return f"## Lineage\n\n{text(version.dataset)} → {text(version.job)} → this version, {source}."


def _libraries(version: ModelVersion) -> str:
    rows = [(text(name), text(found)) for name, found in sorted(version.library_versions.items())]
    digest = f"SHA-256 of the artifact: `{version.sha256}` ({version.bytes:,} bytes)."
    return "## Made with\n\n" + _table(("library", "version"), rows) + f"\n\n{digest}"


def _use(version: ModelVersion) -> str:
    here = f"/v1/models/{version.name}/versions/{version.version}"
    return f"""## How to use it

Over HTTP: `POST /v1/models/{version.name}:{version.version}/predict`.

Without Graft, with scikit-learn and skops alone, from `GET {here}/export?format=skops`:

```python
import skops.io

model = skops.io.load("{version.name}-{version.version}.skops", trusted=[
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
])
model.predict(X)  # the columns of the table above, in that order; NaN or None is missing
```

With ONNX Runtime, from `…/export?format=onnx`: the inputs `column_0`, `column_1`, … are the columns, (rows, 1) each."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _listed(values: Sequence[object]) -> str:
    shown = ", ".join(text(value) for value in values[:_MOST_CATEGORIES])
    return shown + (f" and {len(values) - _MOST_CATEGORIES} more" if len(values) > _MOST_CATEGORIES else "")
