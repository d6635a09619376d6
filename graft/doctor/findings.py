"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, `found` there, and `advice` if it is not well."""

    what: str
    outcome: Outcome
    found: str
    advice: str = ""


def ok(what: str, found: str) -> Finding:
    return Finding(what, "ok", found)


def warning(what: str, found: str, advice: str) -> Finding:
    return Finding(what, "warning", found, advice)


def failed(what: str, found: str, advice: str) -> Finding:
    return Finding(what, "failed", found, advice)
