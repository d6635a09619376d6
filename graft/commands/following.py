"""From a submitted job to what a command says of it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from graft.commands.showing import clean, duration, show_fields, show_json
from graft.commands.telling import INTERRUPTED, JOB_FAILED, say
from graft.commands.verdicts import gain, show_ranking, show_shift
from shared.states import JobState

if TYPE_CHECKING:
    from graft.client import Job
    from graft.client.sources import OnProgress

_SKIP = "`graft predict … --skip-bad-rows 0.1` scores the others and lists such rows, if no more than a tenth is bad"
_WAYS_OUT = {"bad_row": _SKIP, "too_many_bad_rows": _SKIP}
"""What may be done about a failure, by its code."""


@contextmanager
def upload_bar(what: str) -> Iterator[OnProgress]:
    """A bar on standard error while bytes go out; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"uploading {clean(what)}", total=None, visible=False)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield show


def followed(job: Job, *, watch: bool, as_json: bool) -> None:
    """Print the job: at once, or when it has ended. Exits with JOB_FAILED if it has ended otherwise than well."""
    if watch:
        finish(job)
    if as_json:
        show_json(job.record)
    elif job.has_ended:
        show_outcome(job)
    else:
        typer.echo(job.id)
        say(f"{job.type} is {job.status}; `graft jobs wait {job.id}` stays until it has ended")
    if job.has_ended and job.status is not JobState.SUCCEEDED:
        raise typer.Exit(JOB_FAILED)


def finish(*jobs: Job) -> None:
    """Wait for their ends, with a live line on standard error if that is a terminal. Ctrl-C ends the waiting alone."""
    console = Console(stderr=True)
    try:
        for job in jobs:
            if not job.has_ended:
                say(f"waiting for {job.id}")
                job.wait(progress=console if console.is_terminal else False, check=False)
    except KeyboardInterrupt:
        for job in jobs:
            if not job.has_ended:
                say(
                    f"{job.id} goes on: `graft jobs wait {job.id}` waits again, `graft jobs cancel {job.id}` stops it"
                )
        raise typer.Exit(INTERRUPTED) from None


def show_outcome(job: Job, *, is_fetched: bool = False) -> None:
    """What came of a job that has ended, in some lines. is_fetched: the rows of a batch are here already."""
    record = job.record
    begun, ended = record.started_at, record.finished_at
    took = f" in {duration((ended - begun).total_seconds())}" if begun and ended else ""
    say(f"{job.type} {job.status}{took}   {job.id}")
    if record.error:
        say(f"  {clean(record.error.message)} ({record.error.code})")
        again = f"; `graft jobs retry {job.id}` submits it again" if record.error.retryable else ""
        say(f"  `graft jobs logs {job.id}` tells more{again}")
        if way_out := _WAYS_OUT.get(record.error.code):
            say(f"  {way_out}")
    for warning in record.warnings:
        say(f"  warning: {clean(warning)}")
    if record.status is not JobState.SUCCEEDED:
        return
    if job.report and job.type == "shift_report":
        show_shift(job.report)
    elif job.report and job.type == "rank_sources":
        show_ranking(job.report)
    else:
        result = record.result or {}
        show_fields(
            {
                "model": job.model,
                **_headline(result.get("metrics") or {}),
                **_transfer(job.report or {}),
                "counts": record.counts.model_dump() if record.counts else None,
            }
        )
        _tell_where(job, is_fetched)


def _tell_where(job: Job, is_fetched: bool) -> None:
    """How the output of a batch is fetched."""
    if job.type != "batch_predict":
        return
    output: Any = job.record.spec["output"]
    if not is_fetched:
        say(f"`graft jobs output {job.id} -o scored.{output['format']}` downloads the rows")
    if job.record.counts and job.record.counts.failed:
        say(f"`graft jobs output {job.id} --errors -o bad.jsonl` downloads the list of those that were bad")


def _headline(metrics: dict[str, object]) -> dict[str, object]:
    """The metrics that one looks at first."""
    names = ("accuracy", "log_loss", "r2", "mae", "rmse", "n_test")
    return {name: metrics[name] for name in names if metrics.get(name) is not None}


def _transfer(report: dict[str, object]) -> dict[str, object]:
    """Of a fine-tune, whether it helped."""
    if "gain" not in report:
        return {}
    return {"verdict": report["verdict"], "gain": gain(report), "strategy": report["strategy"]}
