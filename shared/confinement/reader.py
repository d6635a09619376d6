"""One reading child, as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from typing import Any, Final, NoReturn

import psutil

from shared import logs
from shared.confinement import child
from shared.errors import InternalError, InvalidInput, Temporary

log = logs.get(__name__)

#: On a busy machine a reader may take so many times longer than its processor time.
_PATIENCE: Final = 4
_SLACK_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.25
#: How a program dies of its own doing.
_CRASHES: Final = {
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
}
#: Time is up; no memory is left (by the kernel's hand or our own).
_COSTS: Final = {signal.SIGXCPU, signal.SIGKILL}
#: multiprocessing polls every child when one is started, which must not cross with a look at the exit of another.
_lock = threading.Lock()


class Reader:
    """Reads for one project. Used by one thread at a time."""

    def __init__(self, processes: ForkServerContext, project: str, memory_bytes: int) -> None:
        self.project = project
        #: Not to be used again.
        self.worn = False
        self._memory_bytes = memory_bytes
        self._connection, theirs = processes.Pipe()
        self._process = processes.Process(target=child.main, args=(theirs, memory_bytes), daemon=True)
        with _lock:
            self._process.start()
        theirs.close()

    def read(self, task: Mapping[str, Any], seconds: int) -> Any:
        """The child's answer. Raises InvalidInput for what the file does; Temporary; InternalError."""
        self.worn = True  # until it has answered
        try:
            self._connection.send_bytes(json.dumps({**task, "seconds": seconds}).encode())
            kind, content, self.worn = json.loads(self._answer(seconds))
        except (EOFError, OSError):
            self._explain()
        if kind == "refused":
            raise InvalidInput(content["message"], code=content["code"])
        if kind == "spent":
            raise _too_costly()
        if kind == "large":
            raise InvalidInput("what there is to tell of the table is too large", code="too_costly")
        if kind == "crashed":
            log.error("reader_failed", reading=task["what"], format=task["format"], exception=content)
            raise InternalError("an error of Graft's own; its log has it under this request id")
        return content

    def close(self) -> None:
        self._connection.close()
        with _lock:
            self._process.kill()
            self._process.join()
            self._process.close()

    def _answer(self, seconds: int) -> bytes:
        """What the reader says. Raises EOFError or OSError if it dies or says too much."""
        deadline = time.monotonic() + _PATIENCE * (_SLACK_SECONDS + seconds)
        while not self._connection.poll(_POLL_SECONDS):
            if time.monotonic() > deadline:
                raise Temporary("reading the table takes too long just now", code="reader_lost")
            # For systems whose kernel does not keep to the limit of memory.
            with contextlib.suppress(psutil.Error):
                resident = psutil.Process(self._process.pid).memory_info().rss
                if resident > self._memory_bytes + child.LIBRARIES_BYTES:
                    self._process.kill()
        return self._connection.recv_bytes(child.ANSWER_BYTES)

    def _explain(self) -> NoReturn:
        """Raise what the death of the reader means."""
        with _lock:
            self._process.join(timeout=5)
            code = self._process.exitcode
        log.warning("reader_died", exit_code=code)
        if code is not None and -code in _COSTS:
            raise _too_costly()
        if code is not None and -code in _CRASHES:
            raise InvalidInput("the table cannot be read: its reader crashed on it", code="unreadable_table")
        raise Temporary("the reader of the table was lost", code="reader_lost")


def _too_costly() -> InvalidInput:
    return InvalidInput("reading the table needs more memory or time than it may have", code="too_costly")
