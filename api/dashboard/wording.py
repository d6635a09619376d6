"""How things are written on the pages. Templates have this module as `say`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from shared.contracts.base import rfc3339

_TYPES = {
    "train": "Train",
    "fine_tune": "Fine-tune",
    "batch_predict": "Batch prediction",
    "evaluate": "Evaluate",
    "shift_report": "Shift report",
    "rank_sources": "Rank sources",
}
_LOWER = ("mse", "rmse", "mae", "log_loss")


def job_type(kind: str) -> str:
    return _TYPES.get(kind, kind)


def words(name: str) -> str:
    """`hidden_layers` as people read it."""
    return name.replace("_", " ").strip().capitalize()


def when(moment: datetime | None) -> Markup:
    """A time as UTC, which the page's script turns into how long ago it was."""
    if moment is None:
        return Markup('<span class="none">-</span>')
    return Markup('<time datetime="{}" data-ago>{}</time>').format(
        rfc3339(moment), f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    )


def at(moment: datetime | None) -> Markup:
    """The same as it stands, for what lies ahead or is to be exact."""
    if moment is None:
        return Markup('<span class="none">-</span>')
    return Markup('<time datetime="{}" data-local>{}</time>').format(
        rfc3339(moment), f"{moment:%Y-%m-%d %H:%M} UTC"
    )


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def between(start: datetime | None, end: datetime | None) -> str:
    return seconds((end - start).total_seconds()) if start and end else "-"


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def count(value: float) -> str:
    return f"{value:,}"


def number(value: Any) -> str:
    """A metric, or any value of a table."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def cell(value: Any) -> str:
    """A value as it stands in a table, of which only what nobody reads is left out."""
    return f"{value:.6g}" if isinstance(value, float) else number(value)


def without_nulls(value: Any) -> Any:
    """A specification without what was left to its default."""
    if isinstance(value, Mapping):
        return {name: without_nulls(held) for name, held in value.items() if held not in (None, {})}
    return value


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def paired(labels: Iterable[Any], chances: Iterable[float]) -> list[tuple[str, float]]:
    """Classes with their probabilities, the likeliest first."""
    pairs = [(number(label), chance) for label, chance in zip(labels, chances, strict=True)]
    return sorted(pairs, key=lambda pair: -pair[1])


def scores(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The metrics that are a number, as (name, value); n_test is no score."""
    return [
        (name, value)
        for name, value in metrics.items()
        if name != "n_test" and isinstance(value, int | float) and not isinstance(value, bool)
    ]


def leading(metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    """The one to show where there is room for one."""
    known = dict(scores(metrics))
    return next(((name, known[name]) for name in ("accuracy", "r2", *known) if name in known), None)


def metric(name: str) -> str:
    return {"r2": "R²", "roc_auc": "ROC AUC", "f1": "F1", "log_loss": "Log loss"}.get(
        name, name.upper() if name in _LOWER else words(name)
    )
