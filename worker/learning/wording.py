"""Numbers and lists as a sentence writes them."""

from __future__ import annotations

from collections.abc import Sequence


def percent(share: float) -> str:
    """0.1234 → 12 %; small shares keep a digit."""
    return (
        f"{share:.0%}".replace("%", " %") if share >= 0.1 or share == 0 else f"{share:.1%}".replace("%", " %")
    )


def points(score: float) -> str:
    """A score or a difference of scores, with what three digits tell: 0.873."""
    return f"{score:.3f}".replace("-0.000", "0.000")


def signed(difference: float) -> str:
    """A difference with its sign, in hundredths of a score (percentage points of accuracy): +3.4 points."""
    return f"{100 * difference:+.1f} points".replace("-0.0", "+0.0")


def amount(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def quantity(number: int, noun: str) -> str:
    """1 row, 2 rows, 10,000 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str], most: int | None = None) -> str:
    """a, b and c; or the first ones and how many more."""
    if most is not None and len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
