"""The live line of a job that is waited for: phase, bar, rate, remaining time. In a notebook rich draws it there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from graft.client import errors
from shared.contracts.jobs import JobEvent, JobProgress, Progress
from shared.states import TERMINAL

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from graft.client.events import Told
    from graft.client.job import Job
    from graft.client.jobs import Jobs
    from graft.client.patience import Patience

_BEAT_SECONDS = 10.0
"""A stream is silent for so long at most, which is too long for a deadline that is near."""


def watch(
    job: Job, jobs: Jobs, patience: Patience, deadline: float | None, console: Console | None = None
) -> None:
    """Show the job until it has ended or the deadline (of `time.monotonic`) has come. It has been refreshed then."""
    with bar(console) as shown:
        line = _Line(shown, job)
        try:
            for told in jobs.stream(job.id, tries=1):
                line.tell(told)
                if deadline is not None and deadline - time.monotonic() < _BEAT_SECONDS:
                    break
        except errors.NotGraft:
            raise
        except errors.Unreachable:
            pass  # too many follow, or it is away: what is left is to look now and then
        patience.hold(0)
        while not job.has_ended and (deadline is None or time.monotonic() < deadline):
            line.look(job)
            patience.hold(1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic())))
        line.end(job)


def bar(console: Console | None = None) -> Bar:
    """The display, empty. Standard output, or the notebook's cell, if no console is given."""
    from rich import get_console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from graft.client import notebook

    console = console or get_console()
    kind = notebook.InCell if notebook.needs_cell(console) else Progress
    return kind(
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

    def tell(self, told: Told) -> None:
        if isinstance(told, JobProgress):
            self.show(told.progress)
        elif isinstance(told, JobEvent):
            self._happened(told)

    def _happened(self, event: JobEvent) -> None:
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
        self._say(
            f"{self._type} {progress.phase}",
            told=", ".join(told),
            total=progress.total,
            completed=progress.completed,
        )

    def end(self, job: Job) -> None:
        done = {"total": 1, "completed": 1 if job.status == "succeeded" else 0} if job.has_ended else {}
        if job.has_ended:
            self._bar.stop_task(self._task)
        told = job.error.code if job.error else job.model or ""
        self._say(f"{self._type} {job.status}", told=told, **done)

    def _say(self, description: str, *, told: str, **numbers: int | None) -> None:
        changes: dict[str, Any] = {"description": description, "told": told, **numbers}
        self._bar.update(self._task, **changes)


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
