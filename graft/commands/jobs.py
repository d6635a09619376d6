"""`graft jobs`: what was submitted, and what can be done about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from graft.commands import completing, options, outputs
from graft.commands.following import finish, followed, show_outcome
from graft.commands.listing import Listing
from graft.commands.showing import cell, clean, duration, show_fields, show_json, show_table, size
from graft.commands.telling import JOB_FAILED, connected, say
from shared.states import JobState

if TYPE_CHECKING:
    from graft.client import Client, Job

app = typer.Typer(
    cls=Listing, help="Jobs: look, wait, fetch outputs, read logs, cancel, submit again. `ls`, if left out."
)

_Status = Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")]
_Type = Annotated[str | None, typer.Option("--type", help="train, fine_tune, batch_predict, evaluate, …")]
_Model = Annotated[str | None, typer.Option(help="Those about this model.", autocompletion=completing.models)]

_EVERY_SECONDS = 1.0
_TOLD = frozenset({"type", "priority", "max_attempts", "metadata"})
"""Of what was asked for, what the record tells as well."""


@app.command("ls")
def list_jobs(
    status: _Status = None,
    type_: _Type = None,
    model: _Model = None,
    schedule: Annotated[str | None, typer.Option(help="Those of this schedule, by its id.")] = None,
    limit: options.Limit = 20,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show the list again every second, until Ctrl-C.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List jobs, newest first."""
    filters: Any = {"status": status, "type": type_, "model": model, "schedule": schedule}
    with connected() as client:

        def show() -> None:
            found = list(client.jobs.list(**filters, limit=limit))
            if as_json:
                show_json([job.record for job in found])
            else:
                _show_list(found)

        show() if not watch else _again_and_again(show)


@app.command()
def show(job_id: options.JobId, watch: options.Watch = False, as_json: options.Json = False) -> None:
    """Show all about a job; with --watch until it has ended."""
    with connected() as client:
        job = client.jobs.get(job_id)
        if watch:
            finish(job)
        if as_json:
            show_json(job.record)
            return
        show_fields(_fields(job))
        if job.has_ended:
            show_outcome(job)


@app.command()
def wait(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID…", autocompletion=completing.jobs)],
    as_json: options.Json = False,
) -> None:
    """Stay until the jobs have ended. Exit code 4 if one of them has not succeeded."""
    with connected() as client:
        ended = [client.jobs.get(job_id) for job_id in job_ids]
        finish(*ended)
        if as_json:
            show_json([job.record for job in ended] if len(ended) > 1 else ended[0].record)
        else:
            for job in ended:
                show_outcome(job)
        if any(job.status is not JobState.SUCCEEDED for job in ended):
            raise typer.Exit(JOB_FAILED)


app.command()(outputs.output)


@app.command()
def logs(
    job_id: options.JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    as_json: options.Json = False,
) -> None:
    """Print what a job's attempts logged, oldest first."""
    with connected() as client:
        for line in _log_lines(client, job_id, follow):
            if as_json:
                typer.echo(line.model_dump_json())
            else:
                fields = "".join(f" {name}={cell(value)}" for name, value in line.fields.items())
                typer.echo(f"{line.at} {line.level:<7} {line.attempt} {clean(line.message)}{fields}")


@app.command()
def events(job_id: options.JobId, as_json: options.Json = False) -> None:
    """Print what happened to a job, oldest first."""
    with connected() as client:
        found = list(client.jobs.events(job_id))
    if as_json:
        show_json(found)
        return
    rows = [
        (event.at.isoformat(timespec="milliseconds"), event.attempt, event.event, event.state, event.reason)
        for event in found
    ]
    show_table(("at", "attempt", "event", "state", "reason"), rows, empty="nothing has happened to it")


@app.command()
def cancel(job_id: options.JobId, as_json: options.Json = False) -> None:
    """Cancel a job: a queued one at once, a running one as soon as its worker hears of it."""
    with connected() as client:
        job = client.jobs.cancel(job_id)
    if as_json:
        show_json(job.record)
    else:
        say(f"{job.id} is {'asked to stop' if job.status is JobState.RUNNING else job.status}")


@app.command()
def retry(job_id: options.JobId, watch: options.Watch = False, as_json: options.Json = False) -> None:
    """Submit a failed or cancelled job again, as a new one."""
    with connected() as client:
        followed(client.jobs.retry(job_id), watch=watch, as_json=as_json)


def _show_list(found: list[Job]) -> None:
    heads = ("id", "type", "status", "model", "created", "took")
    show_table(
        heads, map(_row, found), empty="no job; `graft train FILE --target COLUMN --name NAME` makes one"
    )


def _row(job: Job) -> tuple[object, ...]:
    record, spec = job.record, job.record.spec
    model = job.model or spec.get("base_model") or spec.get("model")
    took = record.finished_at - record.started_at if record.started_at and record.finished_at else None
    return (
        job.id,
        job.type,
        job.status if job.has_ended else _state(job),
        model.get("name") if isinstance(model, dict) else model,
        record.created_at,
        took and duration(took.total_seconds()),
    )


def _state(job: Job) -> str:
    """With how far it is."""
    percent = job.progress and job.progress.percent
    return job.status if percent is None else f"{job.status} {percent:.0f} %"


def _fields(job: Job) -> dict[str, object]:
    record = job.record
    usage, place = record.usage, record.queue
    return {
        "id": record.id,
        "type": record.type,
        "status": record.status if job.has_ended else _state(job),
        "place in line": place and f"{place.position}",
        "starts": place and place.estimated_start_at,
        "attempt": f"{record.attempt} of {record.max_attempts}",
        "worker": record.worker,
        "priority": record.priority,
        "created": record.created_at,
        "started": record.started_at,
        "ended": record.finished_at,
        "phase": record.progress and record.progress.phase if not job.has_ended else None,
        "usage": usage and f"{duration(usage.cpu_seconds)} CPU, {size(usage.peak_rss_bytes)}",
        "schedule": record.schedule,
        "parent": record.parent,
        "metadata": record.metadata or None,
        **{
            name: value
            for name, value in record.spec.items()
            if value not in (None, {}, [], "") and name not in _TOLD
        },
    }


def _log_lines(client: Client, job_id: str, follow: bool) -> Iterator[Any]:
    after: str | None = None
    while True:
        has_ended = not follow or client.jobs.get(job_id).has_ended
        for line in client.jobs.logs(job_id, after=after):
            after = line.id
            yield line
        if has_ended:
            return
        time.sleep(_EVERY_SECONDS)


def _again_and_again(show: Callable[[], None]) -> None:
    console = Console()
    while True:
        if console.is_terminal:
            console.clear()
        show()
        time.sleep(_EVERY_SECONDS)
