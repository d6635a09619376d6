"""Dates that are not written as in ISO 8601 are text to Graft: whether texts look like such, and what to say then."""

from __future__ import annotations

import re
from collections.abc import Sequence

WANTED = "dates are read where they are written like 2024-05-31 or 2024-05-31T12:00:00Z (ISO 8601)"

_DATE = re.compile(
    r"(\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./]\d{1,2}[./]\d{1,2})([ T]\d{1,2}:\d{2}(:\d{2})?)?"
)
_LONGEST = 30


def look_like_dates(texts: Sequence[str]) -> bool:
    """Whether most of them are numbers as people write days: 31.5.2024, 05/31/24, 2024/05/31 12:00."""
    return bool(texts) and 2 * sum(_DATE.fullmatch(text.strip()) is not None for text in texts) > len(texts)


def form(text: str) -> str:
    """How a cell is written, without what it says: 9 for each digit, a for each letter."""
    shown = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text.strip()))
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
