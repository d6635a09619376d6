"""The Prefer header (RFC 7240): how long a client would wait for a job, and that it would rather not.

A preference is a wish: one that is malformed, unknown or cannot be met is ignored, never refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request
from werkzeug.http import parse_list_header, parse_options_header, unquote_header_value

LONGEST_WAIT_SECONDS = 30
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was asked for, in bounds. `wait` is in seconds, None if nobody asked."""

    wait: int | None = None
    respond_async: bool = False

    def applied_to(self, response: Response, *names: str) -> None:
        """Say in the answer which of them were honoured."""
        told = []
        if "respond-async" in names and self.respond_async:
            told.append("respond-async")
        if "wait" in names and self.wait is not None:
            told.append(f"wait={self.wait}")
        if told:
            response.headers["Preference-Applied"] = ", ".join(told)


_NONE = Preferences()


def preferences() -> Preferences:
    """Of the request that is being answered."""
    header = request.headers.get("Prefer")
    return parse(header) if header else _NONE


def parse(header: str) -> Preferences:
    """The preferences of a Prefer header; several headers come here as one, with commas between.

    Of a preference that comes twice the first counts (RFC 7240, section 2).
    """
    found: dict[str, str] = {}
    for item in parse_list_header(header):
        preference, _ = parse_options_header(item)  # parameters mean nothing to these two
        name, _, value = preference.partition("=")
        found.setdefault(name.strip().lower(), unquote_header_value(value.strip()))
    return Preferences(wait=_seconds(found.get("wait", "")), respond_async=found.get("respond-async") == "")


def _seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        return None
    return min(int(text), LONGEST_WAIT_SECONDS)
