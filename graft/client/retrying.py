"""When a call is made again, and after how long.

| what happened | calls that are made again |
|---|---|
| there was no connection, so nothing was sent | all |
| 429 `rate_limited`: refused before anything was done | all |
| 502, 503, 504; the connection broke; no answer in time | those that may come twice |

May come twice: GET, and PUT, PATCH and DELETE without a condition, and a POST that has an `Idempotency-Key` or that
changes nothing. A change with `If-Match` is not made again: it would meet its own work and be told 412.

The pause is what `Retry-After` says, or 0.25, 0.5, 1, 2 … s, each times a random number from 0.5 to 1.5 (so that
clients that fell together do not rise together). A server that asks for more than `LONGEST_SECONDS` is not waited for.
"""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from graft.client import errors

RETRIES = 4
LONGEST_SECONDS = 60.0
_FIRST_SECONDS = 0.25
_MOST_SECONDS = 8.0


class Retrying:
    """Counts down the retries of one call."""

    def __init__(self, retries: int, *, may_come_twice: bool) -> None:
        self._left = retries
        self._twice = may_come_twice
        self._pause = _FIRST_SECONDS
        self.has_been_sent = False
        """Whether the server may have done it in an earlier try."""

    def pause_or_raise(self, error: errors.GraftError) -> None:
        """Wait until the call is to be made again. Raises the error if it is not."""
        if self._left <= 0 or not self._helps(error):
            raise error
        seconds = _asked_pause(error)
        if seconds is None:
            seconds, self._pause = self._pause, min(2 * self._pause, _MOST_SECONDS)
            seconds *= random.uniform(0.5, 1.5)
        elif seconds > LONGEST_SECONDS:
            raise error
        else:
            seconds += random.uniform(0, min(0.1 * seconds, 1))
        self._left -= 1
        self.has_been_sent = self.has_been_sent or not isinstance(error, errors.NoConnection)
        time.sleep(seconds)

    def _helps(self, error: errors.GraftError) -> bool:
        if isinstance(error, errors.NoConnection):
            return True
        if isinstance(error, errors.TooMany):
            return error.code in {"rate_limited", ""}
        is_away = isinstance(error, errors.ConnectionBroken | errors.TimedOut | errors.Unavailable)
        return is_away and self._twice


def retry_after(response: httpx.Response) -> float | None:
    """Seconds, of either form of the header (RFC 9110, section 10.2.3); None if it says nothing."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _asked_pause(error: errors.GraftError) -> float | None:
    return error.retry_after if isinstance(error, errors.TooMany | errors.Unavailable) else None
