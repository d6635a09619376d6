"""What the servers behind us have failed at: counted where it becomes an error of ours, and told to whoever listens.

A process has its own ears: the API counts into its metrics, a worker into tallies that it adds to Redis by and by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Trouble:
    """One operation that failed because a server is away, refuses us or is full."""

    server: Literal["redis", "store"]
    operation: str
    """A script's name or a command of Redis; `put`, `get`, … of the store. There are few."""
    kind: str
    """The class of the client's error, or the code that the store answered."""


OnTrouble = Callable[[Trouble], None]


def ignore(_: Trouble) -> None:
    """For those who count nothing."""
