"""Ids that tell things apart and are no secrets: of requests, and of wake-ups."""

from __future__ import annotations

import random


def fresh_id() -> str:
    """128 random bits in hex.

    Not from the system's source: each call of that is one in which other threads go first. Python seeds the generator
    from it, anew in each process that is forked.
    """
    return f"{random.getrandbits(128):032x}"
