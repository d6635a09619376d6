"""One attempt, from the claim to the end of the job or its return to the queue.

    gather inputs → run in a child → publish what it made → commit, or give back

Handlers return outcomes and raise errors; here alone they become states. Whatever happens, the last write is
guarded by the lease's token: an attempt that has lost its job leaves no trace. `worker.batches` has the attempts at
parts of a batch, which differ in what they work on and how they end.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from shared import logs, tracing
from shared.contracts.base import rfc3339
from shared.errors import GraftError, LostLease, Temporary
from shared.job_records import Lease, NewVersion, NumberTaken
from shared.services import Services
from shared.states import JobState
from worker import checkpoints, inputs, memory, publishing, recovery
from worker.child import describe
from worker.handlers.base import Assignment
from worker.keeper import Interrupted, Interruption, LeaseKeeper
from worker.pace import Pace
from worker.recovery import Finished
from worker.supervisor import Limits, Verdict, supervise

log = logs.get(__name__)

T = TypeVar("T")


class ChildFailed(Exception):
    """The child has said, or shown by dying, that the attempt failed: `code`, `message`, `retryable`."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


_STORE_PATIENCE_SECONDS = 600.0
FINISH_PATIENCE_SECONDS = 120.0
_CHECK_SECONDS = 0.2
_INTERRUPTED = {
    "code": "interrupted_too_often",
    "message": "its workers were told to stop time and again, and no attempt is left",
    "retryable": True,
}


class Attempt:
    """At a job that is done in one go."""

    def __init__(
        self,
        services: Services,
        processes: ForkServerContext,
        lease: Lease,
        job: dict[str, Any],
        draining: threading.Event,
        concurrency: int,
    ) -> None:
        settings = services.settings
        self._services = services
        self._processes = processes
        self._lease = lease
        self._job = job
        self._concurrency = concurrency
        self._progress = Pace()
        self._warnings: list[str] = list(job.get("warnings", []))
        self._usage: dict[str, float] = dict(job.get("usage") or {})
        self._checkpoints: checkpoints.Checkpoints | None = None
        self._keeper = LeaseKeeper(
            services.jobs,
            lease,
            draining,
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.renew_seconds,
            tick_seconds=settings.tick_seconds,
            drain_seconds=settings.drain_seconds,
        )

    def run(self) -> None:
        place = self._services.settings.temp_dir
        with self._keeper:
            try:
                with TemporaryDirectory(
                    prefix=f"{self._lease.job_id}-", dir=place, ignore_cleanup_errors=True
                ) as workdir:
                    self._work(Path(workdir))
            except Interrupted as interrupted:
                self._interrupted(interrupted.why)
            except LostLease:
                self._tell("warning", "lease_lost")
                self._fenced()
            except ChildFailed as failed:
                self._settle(failed.error)
            except Exception as error:
                self._failed(error)

    def _work(self, workdir: Path) -> None:
        self._tell("info", "attempt_started", type=self._job["type"], worker=self._job.get("worker"))
        self._on_report("progress", {"phase": "reading", "completed": 0, "total": None, "unit": "files"})
        finished = self._moving(lambda: recovery.find(self._services, self._lease))
        if finished:
            self._services.jobs.note(self._lease, "recovered", reason="an earlier attempt had finished")
        else:
            finished = self._compute(workdir)
            if finished is None:
                return
            made = finished
            self._moving(lambda: recovery.keep(self._services, self._lease, made))
        with tracing.span("commit"):
            self._commit(finished)

    def _compute(self, workdir: Path) -> Finished | None:
        """Do the work and upload what it makes; nothing of it counts yet. None if there is nothing to commit."""
        with tracing.span("gather"):
            assignment = self._moving(
                lambda: inputs.gather(self._services, self._job, workdir, self._keeper.check)
            )
        assignment = checkpoints.resume(self._services, self._lease, self._job, assignment)
        self._checkpoints = checkpoints.Checkpoints(
            self._services, self._lease, assignment, self._job.get("checkpoint")
        )
        outcome = self._supervise(assignment)
        return self._publish(outcome)

    def _supervise(self, assignment: Assignment) -> Mapping[str, Any]:
        """What the child that works on it makes. Raises what stops it: Interrupted, or ChildFailed."""
        with tracing.span("run"):
            verdict = self._verdict(inputs.pack(assignment))
            tracing.note(
                error=verdict.error["code"] if verdict.error else verdict.interruption,
                **{f"graft__{name}": value for name, value in verdict.usage.items()},
            )
        self._usage = add_usage(self._usage, verdict.usage)
        self._keeper.used(self._usage)
        if verdict.interruption:
            raise Interrupted(verdict.interruption)
        if verdict.outcome is None:
            raise ChildFailed(verdict.error or {})
        return verdict.outcome

    def _verdict(self, packed: Mapping[str, Any]) -> Verdict:
        settings = self._services.settings
        timeout = self._job.get("timeout_seconds")
        memory_bytes = memory.limit_of_a_child(settings.child_memory_bytes, self._concurrency)
        return supervise(
            self._processes,
            packed,
            {
                "log_level": settings.log_level,
                "request_id": self._job.get("request_id"),
                "trace": tracing.ids(tracing.traceparent()),
                "threads": _threads(self._concurrency),
                "checkpoint_seconds": settings.checkpoint_seconds,
                "memory_bytes": memory_bytes,
            },
            keeper=self._keeper,
            limits=Limits(
                timeout_seconds=float(timeout) if timeout else float(settings.max_timeout_seconds),
                memory_bytes=memory_bytes,
                stop_grace_seconds=settings.stop_grace_seconds,
            ),
            on_report=self._on_report,
            on_usage=lambda used: self._keeper.used(add_usage(self._usage, used)),
        )

    def _on_report(self, kind: str, content: Any) -> None:
        if kind == "progress":
            self._keeper.note(progress=self._progress.measured(content))
        elif kind == "warning":
            self._warnings.append(content)
            self._keeper.note(warnings=self._warnings)
            self._guarded(lambda: self._services.jobs.note(self._lease, "warning", reason=content))
        elif kind == "log":
            self._keep_line(**content)
        elif kind == "checkpoint" and self._checkpoints:
            self._checkpoints.save(Path(content["path"]), content["completed"], content["unit"])

    def _tell(self, level: str, event: str, **fields: Any) -> None:
        """Into the worker's log and the job's own."""
        getattr(log, level)(event, **fields)
        self._keep_line(at=rfc3339(datetime.now(UTC)), level=level, message=event, fields=fields)

    def _keep_line(self, **line: Any) -> None:
        self._keeper.log({**line, "attempt": int(self._job["attempt"])})

    def _publish(self, outcome: Mapping[str, Any]) -> Finished:
        """Upload what the child has made. Nothing of it counts yet."""
        version = None
        result = dict(outcome["result"])
        self._on_report("progress", {"phase": "publishing", "completed": 0, "total": None, "unit": "files"})
        with tracing.span("publish"):
            if outcome["artifact"]:
                version = publishing.publish_model(
                    self._services, self._lease, self._job, outcome, self._moving
                )
            if outcome["counts"]:
                output = publishing.publish_output(
                    self._services, self._lease, self._job, outcome, self._moving
                )
                result = {"output": output}
        self._tell("info", "publishing_done", **self._usage)
        return Finished(result, version, outcome["counts"], self._usage, tuple(self._warnings))

    def _commit(self, finished: Finished) -> None:
        """Make it count: one script writes the effect and the end of the job together."""
        self._usage, self._warnings = finished.usage or {}, list(finished.warnings)
        number = self._finish(
            JobState.SUCCEEDED,
            version=finished.version,
            result=finished.result,
            counts=finished.counts,
            stored_bytes=publishing.kept_bytes(self._services, finished.result),
            reason="",
        )
        log.info("job_succeeded", model_version=number or None, **self._usage)

    def _moving(self, act: Callable[[], T]) -> T:
        """Move bytes from or to the store: again and again while it is away, and no longer than the attempt may live.

        The bytes move in a thread of their own, which is left to itself if the attempt must stop: a store that hangs
        does not keep a job from being cancelled, and what it writes late lies under this attempt's token.
        """
        return self._patiently(
            lambda: _interruptible(act, self._keeper.check), _STORE_PATIENCE_SECONDS, stop=self._keeper.check
        )

    def _finish(self, state: JobState, **changes: Any) -> int:
        self._keeper.flush()

        def act() -> int:
            return self._end(state, usage=self._usage or None, warnings=self._warnings or None, **changes)

        version = self._patiently(act, FINISH_PATIENCE_SECONDS)
        if self._checkpoints:
            self._checkpoints.discard()
        return version

    def _end(self, state: JobState, *, version: NewVersion | None = None, **changes: Any) -> int:
        """Finish the job. A version is signed for the number that it will have, and anew if another comes first."""
        jobs, models = self._services.jobs, self._services.models
        while version:
            number = models.next_number(self._lease.project, version.name)
            signed = publishing.signed(self._services, self._lease, version, number)
            try:
                return jobs.finish(self._lease, state, version=signed, **changes)
            except NumberTaken:
                log.info("version_signed_again", model=version.name, number=number)
        return jobs.finish(self._lease, state, **changes)

    def _patiently(
        self, act: Callable[[], T], seconds: float, *, stop: Callable[[], None] = lambda: None
    ) -> T:
        """Repeat what fails only because a server is away, for a while."""
        until = time.monotonic() + seconds
        delay = 0.5
        while True:
            stop()
            try:
                return act()
            except Temporary as error:
                if time.monotonic() > until:
                    raise
                self._tell("warning", "trying_again", reason=error.message)
            again = time.monotonic() + delay
            while time.monotonic() < again:
                stop()
                time.sleep(_CHECK_SECONDS)
            delay = min(delay * 2, 10.0)

    def _interrupted(self, why: Interruption) -> None:
        if why == "lost":
            self._tell("warning", "attempt_fenced")
            self._fenced()
        elif why == "cancel":
            self._guarded(lambda: self._finish(JobState.CANCELLED, reason="on request"))
            log.info("job_cancelled")
        else:
            self._give_back(reason="drain", charged=False)

    def _fenced(self) -> None:
        self._services.tallies.count_fenced(self._job["type"])
        tracing.note(error="lease_lost")

    def _failed(self, error: Exception) -> None:
        code, message, retryable = describe(error)
        if not isinstance(error, GraftError):
            log.error("attempt_crashed", exc_info=error)
        self._settle({"code": code, "message": message, "retryable": retryable})

    def _settle(self, error: Mapping[str, Any]) -> None:
        """The attempt failed: try again if that can help and an attempt is left."""
        attempt, most = int(self._job["attempt"]), int(self._job["max_attempts"])
        self._tell("warning", "attempt_failed", code=error["code"], reason=error["message"])
        tracing.note(error=error["code"])
        if error["retryable"] and attempt < most:
            self._give_back(reason=error["code"], delay_seconds=_backoff(attempt))
        else:
            self._guarded(lambda: self._finish(JobState.FAILED, reason=error["code"], error=dict(error)))
            log.info("job_failed", code=error["code"])

    def _give_back(self, **how: Any) -> None:
        def act() -> None:
            answer = self._patiently(
                lambda: self._services.jobs.release(self._lease, self._job["priority"], **how),
                FINISH_PATIENCE_SECONDS,
            )
            if answer == "cancel":
                self._finish(JobState.CANCELLED, reason="on request")
            elif answer == "spent":
                self._finish(JobState.FAILED, reason=_INTERRUPTED["code"], error=_INTERRUPTED)

        self._tell("info", "job_given_back", reason=how["reason"])
        self._keeper.flush()
        self._guarded(act)

    def _guarded(self, act: Callable[[], Any]) -> None:
        """The last word of an attempt. If it cannot be said, the lease runs out and a rescuer says it."""
        try:
            act()
        except (LostLease, Temporary) as error:
            self._tell("warning", "last_word_failed", reason=error.message)


def _interruptible(act: Callable[[], T], check: Callable[[], None]) -> T:
    """What `act` returns, unless `check` raises first; then `act` is abandoned in its thread."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(act())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=logs.carried(work), name="moving", daemon=True).start()
    while True:
        try:
            return future.result(timeout=_CHECK_SECONDS)
        except TimeoutError:
            if future.done():
                raise
            check()


def _threads(concurrency: int) -> int:
    """BLAS and OpenMP threads of one child, so that all children together use each core once.

    Cores that this process may use, where the system tells: a container or `taskset` may hold it to some.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // concurrency)


def add_usage(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    return {
        "wall_seconds": round(before.get("wall_seconds", 0.0) + now["wall_seconds"], 3),
        "cpu_seconds": round(before.get("cpu_seconds", 0.0) + now["cpu_seconds"], 3),
        "peak_rss_bytes": int(max(before.get("peak_rss_bytes", 0), now["peak_rss_bytes"])),
    }


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt: exponential, with jitter, a minute at most."""
    return float(min(60.0, 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.5))
