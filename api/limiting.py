"""Requests that are too many are refused before anything is done for them: 429 with `Retry-After`.

A project has a limit, each of its keys may have one, and an address from which requests without a good key come is
refused every request for a while: so nobody tries keys one by one. Public pages (`auth.PUBLIC`) are not counted.
"""

from __future__ import annotations

import math
import time
from typing import Any, NoReturn

from flask import Request, g
from werkzeug.datastructures import Headers

from api.auth import Keyring, Principal, authenticate
from api.metering import Meter, Verdict, headers
from shared.api_keys import ApiKeyStore
from shared.config import Settings
from shared.errors import Temporary, TooMany, Unauthenticated
from shared.rates import Limit, Rates

_OUTAGE_SECONDS = 1.0
_TRIED_TOO_OFTEN = "too many requests without a good key came from this address"


class Limiter:
    """The limits of the settings, as they are met by requests."""

    def __init__(self, settings: Settings, rates: Rates) -> None:
        self._meter = Meter(rates)
        self._project = Limit("project", settings.rate_limit)
        self._key = Limit("key", settings.rate_limit_per_key)
        self._failures = Limit("failures", settings.rate_limit_failures)
        self._failed_at = -math.inf

    def authenticate(self, keyring: Keyring, stored: ApiKeyStore, key: str, asked: Request) -> None:
        """Set `g.principal` from the text of a key. Raises Unauthenticated, and TooMany at an address from which that
        came too often."""
        address = asked.remote_addr or ""
        if refusal := self._meter.refusal(self._failures, address):
            _refuse(refusal, _TRIED_TOO_OFTEN)
        try:
            authenticate(keyring, stored, key)
        except Temporary:
            self._failed_at = time.monotonic()
            raise
        except Unauthenticated:
            self._failed_at = time.monotonic()
            if self._failures.a_minute:
                self._count_failure(address)
            raise

    def _count_failure(self, address: str) -> None:
        verdict = self._meter.admit(self._failures, address)
        if verdict.retry_after:
            _refuse(verdict, _TRIED_TOO_OFTEN)

    def admit(self, principal: Principal, asked: Request) -> None:
        """Count the request. Raises TooMany if it is one too many for its key or its project.

        While Redis is away nobody is counted and all are refused (Temporary), but for the metrics, which are to say
        just that: of those who ask for them one a second goes on, with a bad key or a good one, so that no key is
        found by trying.
        """
        try:
            self._count(principal)
        except Temporary:
            now = time.monotonic()
            quiet, self._failed_at = now - self._failed_at, now
            if asked.endpoint != "metrics.show" or quiet < _OUTAGE_SECONDS:
                raise

    def _count(self, principal: Principal) -> None:
        for limit, who in (
            (self._key, principal.key_id or principal.label),
            (self._project, principal.project),
        ):
            if limit.a_minute:
                verdict = self._meter.admit(limit, who)
                if verdict.retry_after:
                    _refuse(verdict, f"this {limit.name} may send {limit.a_minute} requests a minute")
                _told().append(verdict)


def tell(held: Any, answered: Headers) -> None:
    """Say in the answer how the limits stand. held: Flask's `g`."""
    for name, value in headers(held.get("rates", ())).items():
        answered.add(name, value)


def _told() -> list[Verdict]:
    """What this request was told of limits."""
    verdicts: list[Verdict] = g.setdefault("rates", [])
    return verdicts


def _refuse(verdict: Verdict, why: str) -> NoReturn:
    _told().append(verdict)
    raise TooMany(f"{why}; ask again later", code="rate_limited", retry_after=verdict.retry_after or 1)
