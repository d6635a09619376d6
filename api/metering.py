"""How often a project, a key or an address may ask.

An API process takes the right to some requests at a time and hands it out itself for a second, so that most requests
of a busy client ask Redis nothing: twenty of 120,000 a minute, one alone of small limits. What is then left of it is
given up. So processes do not exceed a limit together, and who comes near it may find it lower by what they hold.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.rates import WINDOW_SECONDS, Limit, Rates

_LEASE_SECONDS = 1.0
_LEASES_A_MINUTE = 6_000
_MOST_LEASED = 50
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on; if not, after how many seconds to ask again."""

    limit: Limit
    left: int
    retry_after: int | None = None


def headers(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Each limit, what is left of it, and when there is more (draft-ietf-httpapi-ratelimit-headers-10)."""
    policies, standings = [], []
    for verdict in verdicts:
        name = f'"{verdict.limit.name}"'
        policies.append(f"{name};q={verdict.limit.a_minute};w={WINDOW_SECONDS}")
        until = "" if verdict.retry_after is None else f";t={verdict.retry_after}"
        standings.append(f"{name};r={verdict.left}{until}")
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(standings)} if policies else {}


@dataclass(slots=True)
class _Lease:
    """What this process may still admit, and until when it need not ask; of a refusal, when there is more."""

    free: int
    until: float
    left: int = 0
    more_at: float = 0.0


class Meter:
    """One for each process. Safe to share between threads."""

    def __init__(self, rates: Rates, now: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._now = now
        self._lock = threading.Lock()
        self._leases: dict[tuple[str, str], _Lease] = {}

    def admit(self, limit: Limit, who: str) -> Verdict:
        """Count one request, if it is not too many. Raises Temporary."""
        with self._lock:
            lease = self._leases.get((limit.name, who))
            if lease and self._now() < lease.until and (lease.free or lease.more_at):
                return self._spend(limit, lease)
        lease = self._ask(limit, who)
        with self._lock:
            if len(self._leases) >= _MOST_REMEMBERED:
                self._forget_what_is_over()
            held = self._leases.get((limit.name, who))
            if held and self._now() < held.until:  # another thread has asked, too: what it got is not lost
                lease.free += held.free
            self._leases[limit.name, who] = lease
            return self._spend(limit, lease)

    def refusal(self, limit: Limit, who: str) -> Verdict | None:
        """If this process knows that nothing is left; asks nobody and counts nothing."""
        with self._lock:
            lease = self._leases.get((limit.name, who))
            refused = lease and not lease.free and self._now() < lease.more_at
            return self._spend(limit, lease) if lease and refused else None

    def _spend(self, limit: Limit, lease: _Lease) -> Verdict:
        if not lease.free:
            return Verdict(limit, 0, max(1, math.ceil(lease.more_at - self._now())))
        lease.free -= 1
        return Verdict(limit, lease.left + lease.free)

    def _ask(self, limit: Limit, who: str) -> _Lease:
        several = min(max(1, limit.a_minute // _LEASES_A_MINUTE), _MOST_LEASED)
        taken = next((count for count in (several, 1) if self._rates.take(limit, who, count)), 0)
        standing, now = self._rates.standing(limit, who), self._now()
        if taken:
            return _Lease(taken, now + _LEASE_SECONDS, left=standing.left)
        wait = max(standing.more_in_seconds, 0.01)
        return _Lease(0, now + min(wait, _LEASE_SECONDS), more_at=now + wait)

    def _forget_what_is_over(self) -> None:
        now = self._now()
        kept = {who: lease for who, lease in self._leases.items() if now < max(lease.until, lease.more_at)}
        self._leases = kept if len(kept) < _MOST_REMEMBERED else {}
