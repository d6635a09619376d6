"""When a delivery is tried again: the operator's pauses with jitter, or later if the receiver asks for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from shared.webhooks.answers import Answer

JITTER = 0.2
_MOST_PAUSE_SECONDS = 60.0


def next_try_seconds(
    pauses: Sequence[float], tries: int, answer: Answer, *, draw: Callable[[], float] = random.random
) -> float | None:
    """After so many tries, all failed; None if that was the last."""
    if tries > len(pauses):
        return None
    pause = pauses[tries - 1] * (1 + JITTER * (2 * draw() - 1))
    return max(pause, answer.retry_after_seconds or 0)


def pause_seconds(answer: Answer) -> float:
    """For how long the endpoint is left alone after an attempt, whatever else waits for it.

    One that fails slowly gets at most half of a courier's time.
    """
    if answer.error is None:
        return 0.0
    return max(float(answer.retry_after_seconds or 0), min(answer.seconds, _MOST_PAUSE_SECONDS))
