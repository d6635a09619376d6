"""Which queue a worker looks into first, so that `high` goes before `low` and yet does not keep it waiting for ever.

While jobs of all three wait, sixteen of `high` begin for every four of `normal` and one of `low`; of two that have
jobs, they share in the same proportion. A queue that was empty saves nothing up, and one that is alone gets everything.

This is stride scheduling (Waldspurger and Weihl, 1995): each queue has a time of its own, which goes on by the inverse
of its weight when it is served, and the one that is furthest behind is next. kombu asks for the order before each
BRPOP, and says which queue it got a message from; all that stood before that one were empty.
"""

from __future__ import annotations

from fractions import Fraction

from shared import queue

WEIGHTS = {"high": 16, "normal": 4, "low": 1}


class Turns:
    """What kombu calls a cycle, of the names of queues: Celery's `queue_order_strategy` names it."""

    def __init__(self) -> None:
        self._times: dict[str, Fraction] = {}

    def update(self, names: list[str]) -> None:
        """These queues are consumed from now on."""
        known = sorted(names, key=lambda name: -_weight(name))
        self._times = {name: self._times.get(name, Fraction(0)) for name in known}

    def consume(self, count: int) -> list[str]:
        """The first so many queues, in the order in which to look into them; of equals the weightiest first."""
        return sorted(self._times, key=lambda name: self._times[name])[:count]

    def rotate(self, served: str) -> None:
        """A message came from this queue."""
        now = self._times.get(served)
        if now is None:
            return
        for name, time in self._times.items():
            self._times[name] = max(time, now)
        self._times[served] = now + Fraction(1, _weight(served))


def _weight(name: str) -> int:
    return WEIGHTS.get(queue.priority_of(name), 1)
