"""Keeping one server alive: a child that ends is started again, later each time it ends soon."""

from __future__ import annotations

import time
from collections.abc import Callable

from graft.stack.servers import RunningServer, describe

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
#: A child that ran this long was well, and its next end starts at the first delay again.
WELL_AFTER_SECONDS = 60.0


class Keeper:
    """Looks after one started server; `look` is called a few times a second."""

    def __init__(
        self,
        server: RunningServer,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self._say = say
        self._clock = clock
        self._started = clock()
        self._delay = 0.0
        self._due: float | None = None
        self._say_started()

    def look(self) -> bool:
        """Whether the server was started again just now."""
        if self._due is None:
            code = self.server.exit_code()
            if code is not None:
                self._schedule(describe(code))
            return False
        return self._clock() >= self._due and self._start()

    def _schedule(self, end: str) -> None:
        self.server.kill()  # what it left behind may hold its port
        now = self._clock()
        self._delay = next_delay(self._delay, now - self._started)
        self._due = now + self._delay
        self._say(f"{self.server.name} ended with {end}; starting it again in {self._delay:g} s")

    def _start(self) -> bool:
        self._started = self._clock()
        self._due = None
        try:
            self.server.start()
        except OSError as error:  # no memory, no process table entry: worth another try
            self._schedule(str(error))
            return False
        self._say_started()
        return True

    def _say_started(self) -> None:
        self._say(f"{self.server.name} runs as pid {self.server.pid}, log {self.server.service.log}")


def next_delay(previous: float, ran_seconds: float) -> float:
    """0.5 s, doubled up to 30 s; 0.5 s again after a minute's run."""
    if previous == 0 or ran_seconds >= WELL_AFTER_SECONDS:
        return FIRST_DELAY_SECONDS
    return min(2 * previous, LONGEST_DELAY_SECONDS)
