"""Supervises the child process of one attempt: forwards what it reports, enforces limits, and ends it when it must.

A child that dies, whatever kills it, takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from typing import Any

import psutil

from shared import tracing
from worker import child
from worker.keeper import Interruption, LeaseKeeper

_POLL_SECONDS = 0.2
_SAMPLE_SECONDS = 0.5
_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. None is no limit."""

    timeout_seconds: float | None
    memory_bytes: int | None
    stop_grace_seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a child ended: exactly one of `outcome`, `error` and `interruption` is set."""

    outcome: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    interruption: Interruption | None = None
    usage: Mapping[str, float] = field(default_factory=dict)


def supervise(
    processes: ForkServerContext,
    assignment: Mapping[str, Any],
    child_settings: Mapping[str, Any],
    *,
    keeper: LeaseKeeper,
    limits: Limits,
    on_report: Callable[[str, Any], None],
    on_usage: Callable[[Mapping[str, float]], None],
) -> Verdict:
    """Run an attempt's child to its end. `on_report` gets its progress and warnings as they come, `on_usage` what it
    has used so far."""
    ours, theirs = processes.Pipe(duplex=False)
    lifeline, held = processes.Pipe(duplex=False)
    process = processes.Process(
        target=child.main, args=(theirs, lifeline, assignment, child_settings), name=assignment["job_id"]
    )
    process.start()
    theirs.close()
    lifeline.close()
    watch, phases = _Watch(process, keeper, limits, on_usage), tracing.Phases()
    try:
        while True:
            if (why := watch.look()) is not None:
                return why
            if not ours.poll(_POLL_SECONDS):
                continue
            try:
                kind, content = json.loads(ours.recv_bytes())
            except (EOFError, OSError):  # the other end is closed: the process is gone, or about to be
                process.join(timeout=limits.stop_grace_seconds)
                return watch.died()
            if kind in {"outcome", "error"}:
                return Verdict(**{kind: content}, usage=watch.usage(content.pop("usage")))
            if kind == "progress":
                phases.enter(content["phase"])
            on_report(kind, content)
    finally:
        phases.close()
        _end(process, limits.stop_grace_seconds)
        held.close()
        ours.close()


class _Watch:
    """Time, memory and the reasons to stop that come from outside."""

    def __init__(
        self,
        process: Any,
        keeper: LeaseKeeper,
        limits: Limits,
        on_usage: Callable[[Mapping[str, float]], None],
    ) -> None:
        self._on_usage = on_usage
        self._process = process
        self._keeper = keeper
        self._limits = limits
        self._started = time.monotonic()
        self._sampled = 0.0
        self._peak_rss = 0
        self._cpu_seconds = 0.0
        with contextlib.suppress(psutil.Error):
            self._ps = psutil.Process(process.pid)

    def look(self) -> Verdict | None:
        """A verdict if the child must be stopped now."""
        now = time.monotonic()
        if self._keeper.interruption:
            return Verdict(interruption=self._keeper.interruption, usage=self.usage())
        limit = self._limits.timeout_seconds
        if limit is not None and now - self._started > limit:
            return self._failed("timed_out", f"the attempt took longer than its limit of {limit:g} seconds")
        if now - self._sampled >= _SAMPLE_SECONDS:
            self._sampled = now
            self._sample()
            self._on_usage(self.usage())
        memory = self._limits.memory_bytes
        if memory is not None and self._peak_rss > memory:
            return self._failed("out_of_memory", f"the job needed more than its {memory} bytes of memory")
        return None

    def died(self) -> Verdict:
        """The child is gone without a word."""
        code = self._process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        memory = self._limits.memory_bytes
        if memory and code is not None and code < 0 and self._peak_rss > _NEARLY_ALL * memory:
            # A library that cannot bear to get no memory ends the process; or the kernel has.
            return self._failed(
                "out_of_memory", f"the job died ({how}) with nearly all of its {memory} bytes of memory"
            )
        return self._failed("worker_lost", f"the process that ran the job died ({how})", retryable=True)

    def usage(self, reported: Mapping[str, float] | None = None) -> Mapping[str, float]:
        reported = reported or {}
        return {
            "wall_seconds": time.monotonic() - self._started,
            "cpu_seconds": max(self._cpu_seconds, reported.get("cpu_seconds", 0.0)),
            "peak_rss_bytes": max(self._peak_rss, int(reported.get("peak_rss_bytes", 0))),
        }

    def _failed(self, code: str, message: str, *, retryable: bool = False) -> Verdict:
        return Verdict(error={"code": code, "message": message, "retryable": retryable}, usage=self.usage())

    def _sample(self) -> None:
        with contextlib.suppress(psutil.Error, AttributeError):
            self._peak_rss = max(self._peak_rss, self._ps.memory_info().rss)
            times = self._ps.cpu_times()
            self._cpu_seconds = times.user + times.system


def _end(process: Any, grace_seconds: float) -> None:
    """Make sure that the child, and whatever it started, is gone."""
    process.join(timeout=0.05)
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    if process.is_alive():
        process.terminate()
        process.join(timeout=grace_seconds)
    if process.is_alive():
        process.kill()
        process.join()
    for orphan in family:
        with contextlib.suppress(psutil.Error):
            orphan.kill()
    process.close()
