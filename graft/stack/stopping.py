"""The wish to stop: SIGTERM, SIGINT or a closed terminal, noticed between two steps of the supervisor."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self


class StopRequested(Exception):
    """Raised out of a wait, so that a start that is under way is given up."""


class StopSignals:
    """Counts the signals while it is entered: the first asks for a clean stop, the second hurries it."""

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._count += 1

    def hurried(self) -> bool:
        return self._count > 1

    def pause(self, seconds: float) -> None:
        """Sleep, unless someone wants to stop."""
        if self._count:
            raise StopRequested
        time.sleep(seconds)
        if self._count:
            raise StopRequested
