"""The live line of a job that is waited for: phase, bar, rate, remaining time. In a notebook rich draws it there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graft.client import errors
from shared.contracts.jobs import JobEvent, JobProgress, Progress
from shared.states import TERMINAL

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from graft.client.job import Job
    from graft.client.jobs import Jobs

_BEAT_SECONDS = 10.0
"""A stream is silent for so long at most, which is too long for a deadline that is near."""


def watch(job: Job, jobs: Jobs, deadline: float | None, console: Console | None = None) -> None:
    """Show the job until it has ended or the deadline (of `time.monotonic`) has come. It has been refreshed then."""
    with bar(console) as shown:
        line = _Line(shown, job)
        try:
            for told in jobs.stream(job.id):
                if isinstance(told, JobProgress):
                    line.show(told.progress)
                elif isinstance(told, JobEvent):
                    line.happened(told)
                if deadline is not None and deadline - time.monotonic() < _BEAT_SECONDS:
                    break
        except errors.Unavailable:
            pass  # too many follow; what is left is to look now and then
        job.refresh()
        while not job.has_ended and (deadline is None or time.monotonic() < deadline):
            line.look(job)
            job.hold(1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic())))
        line.end(job)


def bar(console: Console | None = None) -> Bar:
    """The display, empty. Standard output if no console is given."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
        console=console,
    )


class _Line:
    """One line of the display."""

    def __init__(self, bar: Bar, job: Job) -> None:
        self._bar = bar
        self._task: TaskID = bar.add_task(f"{job.type} {job.status}", total=None, told="")
        self._type = job.type
        self._rate = _Rate()
        self.look(job)

    def look(self, job: Job) -> None:
        place = job.record.queue
        if job.progress is not None:
            self.show(job.progress)
        elif place is not None:
            self._say(f"{self._type} queued", told=f"{place.ahead} ahead")

    def happened(self, event: JobEvent) -> None:
        if event.state not in TERMINAL:
            self._rate = _Rate()
            self._say(
                f"{self._type} {event.state}", told="" if event.attempt < 2 else f"attempt {event.attempt}"
            )

    def show(self, progress: Progress) -> None:
        told = [
            f"{progress.completed:,}"
            + (f"/{progress.total:,}" if progress.total else "")
            + f" {progress.unit}"
        ]
        if rate := self._rate.of(progress):
            told.append(f"{rate:,.0f} {progress.unit}/s" if rate >= 10 else f"{rate:.1f} {progress.unit}/s")
        if progress.eta_seconds is not None:
            told.append(f"{_clock(progress.eta_seconds)} left")
        self._bar.update(self._task, total=progress.total, completed=progress.completed)
        self._say(f"{self._type} {progress.phase}", told=", ".join(told))

    def end(self, job: Job) -> None:
        if job.has_ended:
            self._bar.update(self._task, total=1, completed=1 if job.status == "succeeded" else 0)
            self._bar.stop_task(self._task)
        self._say(f"{self._type} {job.status}", told=job.error.code if job.error else job.model or "")

    def _say(self, description: str, *, told: str) -> None:
        self._bar.update(self._task, description=description, told=told)


class _Rate:
    """Units a second, since this phase was first seen."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._since = (0.0, 0)

    def of(self, progress: Progress) -> float | None:
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._since = progress.phase, (now, progress.completed)
        seconds, done = now - self._since[0], progress.completed - self._since[1]
        return done / seconds if seconds > 0.5 and done > 0 else None


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
