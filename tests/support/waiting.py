"""Waiting on a condition, never on a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Machines that tests share stand still for seconds. What took how long is measured and printed; a limit only
#: tells what hangs.
PATIENCE = 3


def eventually(look: Callable[[], T], seconds: float = 20.0, every: float = 0.02) -> T:
    """What `look` answers as soon as it is true. Fails when `PATIENCE` times as many seconds are over."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"it did not come true within {seconds} seconds"
        time.sleep(every)
