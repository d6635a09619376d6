"""One server as a child process: started in a session of its own, probed, restarted, and ended for good.

A `Service` says how a server is run; a `RunningServer` is that service over all its lives, on the
same port and data. Tests use it as the stack does, and to hurt it: `kill`, `pause`, `restart`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from graft.stack import die_with_parent, logs, sessions
from graft.stack.errors import ServerFailed
from graft.stack.readiness import POLL_SECONDS, READY_SECONDS, wait_until_ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server as its clients see it, whoever runs it."""

    name: str
    url: str = field(repr=False)  # Redis carries its password in here
    #: The GRAFT_* variables by which Graft's processes find it, credentials included.
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: An authenticated call: None if the server is ready, else why it is not yet.
    probe: Callable[[], str | None] = lambda: None

    def why_not_ready(self) -> str | None:
        return self.probe()

    def log_tail(self) -> str:
        return ""  # kept by whoever runs it


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How one server is run. Secrets go into `env` or a private file, never into `argv`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    endpoint: Endpoint
    grace_seconds: float = 10.0
    #: What the kernel sends it when its supervisor dies (Linux).
    orphan_signal: signal.Signals = signal.SIGTERM

    @property
    def name(self) -> str:
        return self.endpoint.name


class RunningServer:
    """A service's process. Leaving the `with` block stops it and everything that it started."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._process: subprocess.Popen[bytes] | None = None
        self._session_may_live = False

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def url(self) -> str:
        return self.service.endpoint.url

    @property
    def settings(self) -> Mapping[str, str]:
        return self.service.endpoint.settings

    @property
    def pid(self) -> int:
        """Of the present or, between two lives, the last process."""
        if self._process is None:
            raise ServerFailed(f"{self.name} was never started")
        return self._process.pid

    def log_tail(self) -> str:
        return logs.tail(self.service.log)

    def start(self) -> None:
        """A new process, after the end of what is left of the last one; `wait_ready` waits for it.

        To be called from a thread that outlives the server (see `die_with_parent`).
        """
        self.kill()
        with logs.open_log(self.service.log) as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*_bound_to_us(self.service.orphan_signal), *self.service.argv],
                env=dict(self.service.env),
                cwd=self.service.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor alone
            )
        self._session_may_live = True

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll() if self._process else None

    def why_not_ready(self) -> str | None:
        """None once it answers; raises ServerFailed, with the log's end, if it has ended."""
        code = self.exit_code()
        if code is not None:
            raise ServerFailed(f"{self.name} ended with {describe(code)}\n{self.log_tail()}")
        return self.service.endpoint.probe()

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> Self:
        wait_until_ready([self], timeout_seconds)
        return self

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """SIGTERM and `grace_seconds` (none once `hurry()` is true), then SIGKILL for all that is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            self.resume()  # a paused process cannot obey
            deadline = time.monotonic() + self.service.grace_seconds
            while self._process.poll() is None and time.monotonic() < deadline and not hurry():
                time.sleep(POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, to the process and everything that it started."""
        if self._process is not None and self._session_may_live:
            sessions.kill(self._process.pid)
            self._process.wait()
            self._session_may_live = False  # from now on the pid may be someone else's

    def restart(self, timeout_seconds: float = READY_SECONDS) -> None:
        """A new life on the same port and data, ready on return. Stops the old one if it still runs."""
        self.stop()
        self.start()
        self.wait_ready(timeout_seconds)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, signal_number: signal.Signals) -> None:
        if self._session_may_live:
            sessions.send(self.pid, signal_number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def describe(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:  # the real-time signals have no names
        return f"signal {-exit_code}"


def _bound_to_us(orphan_signal: signal.Signals) -> list[str]:
    wrapper = [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(int(orphan_signal))]
    return [*wrapper, str(os.getpid())]
