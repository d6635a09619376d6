"""One cell's text as the type a model wants: numbers, truth values, dates. All raise ValueError with a
reason."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

_TRUE = frozenset({"true", "t", "yes", "1"})
_FALSE = frozenset({"false", "f", "no", "0"})


def parse_number(text: str) -> float:
    """A finite decimal number, as JSON or CSV write it; no thousands separators, no infinities."""
    if "_" in text:
        raise ValueError(f"{shown(text)} is not a number")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is not a finite number")
    return value


def parse_boolean(text: str) -> bool:
    """true/false, t/f, yes/no, 1/0, in any case."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{shown(text)} is neither true nor false")


def parse_date(text: str) -> date:
    """An ISO date; of a date with a time, the date."""
    try:
        return (
            date.fromisoformat(text.strip()[:10]) if len(text.strip()) == 10 else parse_datetime(text).date()
        )
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date like 2024-05-31") from None


def parse_datetime(text: str) -> datetime:
    """An ISO date and time in UTC; a time without an offset is read as UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{shown(text)} is not a time like 2024-05-31T12:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown(text: str, limit: int = 40) -> str:
    """The text quoted and shortened, for a message."""
    return repr(text if len(text) <= limit else text[:limit] + "…")
