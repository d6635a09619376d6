"""`graft schedules`: jobs that are submitted again and again, at the times of a cron expression."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graft.commands import completing, options
from graft.commands.following import followed, upload_bar
from graft.commands.listing import Listing
from graft.commands.naming import id_of
from graft.commands.showing import show_fields, show_json, show_table
from graft.commands.telling import connected, say

if TYPE_CHECKING:
    from graft.client import Client, Schedule

app = typer.Typer(cls=Listing, help="Schedules: jobs that come again and again. `ls`, if left out.")

Id = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE",
        help="Its name, or its id where several have that name.",
        autocompletion=completing.schedules,
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What you will know it by.")],
    cron: Annotated[str, typer.Option(help='Five fields: "30 2 * * *" is every night at half past two.')],
    timezone: Annotated[str, typer.Option(help="An IANA time zone, as in Europe/Berlin.")] = "UTC",
    predict: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Score with this model, as in churn@champion; needs --input."),
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE|DATASET|s3://…", help="May hold {{ scheduled_for:%Y/%m/%d }}."),
    ] = None,
    column: options.Column = None,
    job: Annotated[
        Path | None,
        typer.Option(help="A file with the job's body as JSON, for any other job; - reads it from a pipe."),
    ] = None,
    catch_up: Annotated[str, typer.Option(help="Times that were missed: none, latest or all.")] = "none",
    overlap: Annotated[
        str, typer.Option(help="A time while the last job goes on: skip, queue or allow.")
    ] = "skip",
    missing_input: Annotated[
        str, typer.Option(help="A time whose input is not there: fail or skip.")
    ] = "fail",
    paused: Annotated[
        bool, typer.Option("--paused", help="Let it wait for `graft schedules resume`.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Submit a job again and again.

    graft schedules create nightly --cron "30 2 * * *" --timezone Europe/Berlin --predict churn@champion --input new.csv
    """
    if (job is None) == (predict is None) or (predict is None) != (input_ is None):
        raise typer.BadParameter("give --predict with --input, or --job")
    column_map = options.pairs(column, "--column")
    if column_map and predict is None:
        raise typer.BadParameter(
            "goes with --predict; in --job the body's column_map says it", param_hint="--column"
        )
    rules: Any = {"catch_up": catch_up, "overlap": overlap, "missing_input": missing_input}
    with connected() as client:
        if job is not None:
            body = _body(job)
        else:
            body = {"type": "batch_predict", "model": predict, "input": _input(client, input_ or "")}
            body |= {"column_map": column_map} if column_map else {}
        made = client.schedules.create(name, cron, body, timezone=timezone, paused=paused, **rules)
        others = _others_of_that_name(client, made)
    if others:
        say(f"warning: {name} is the name of {', '.join(others)}, too: each submits its jobs")
    if as_json:
        show_json(made)
        return
    typer.echo(made.id)
    say(f"next: {_when(made)}")


@app.command("ls")
def list_schedules(as_json: options.Json = False) -> None:
    """List schedules, newest first."""
    with connected() as client:
        found = list(client.schedules.list())
    if as_json:
        show_json(found)
        return
    rows = [(one.id, one.name, _when(one), one.cron, one.timezone, one.job.get("type")) for one in found]
    heads = ("id", "name", "next", "cron", "time zone", "job")
    show_table(heads, rows, empty="no schedule; `graft schedules create` makes one")


@app.command()
def show(schedule: Id, as_json: options.Json = False) -> None:
    """Show a schedule, and what came of its latest times."""
    with connected() as client:
        found = client.schedules.get(_id(client, schedule))
        if as_json:
            show_json(found)
            return
        occurrences = list(client.schedules.occurrences(found.id, limit=10))
    shown = found.model_dump(
        include={"id", "name", "cron", "timezone", "catch_up", "overlap", "missing_input", "job"}
    )
    show_fields({**shown, "next": _when(found)})
    typer.echo()
    rows = [
        (one.scheduled_for.isoformat(timespec="minutes"), one.status, one.job, one.reason)
        for one in occurrences
    ]
    show_table(("time", "status", "job", "reason"), rows, empty="its time has not come yet")


@app.command()
def run(schedule: Id, watch: options.Watch = False, as_json: options.Json = False) -> None:
    """Submit its job now, besides its times."""
    with connected() as client:
        followed(client.schedules.run(_id(client, schedule)), watch=watch, as_json=as_json)


@app.command()
def pause(schedule: Id, as_json: options.Json = False) -> None:
    """Let its times pass."""
    with connected() as client:
        found = client.schedules.pause(_id(client, schedule))
    show_json(found) if as_json else say(f"{found.name} is paused")


@app.command()
def resume(schedule: Id, as_json: options.Json = False) -> None:
    """Let it go on."""
    with connected() as client:
        found = client.schedules.resume(_id(client, schedule))
    show_json(found) if as_json else say(f"{found.name}: next {_when(found)}")


@app.command()
def rm(schedule: Id) -> None:
    """Delete a schedule. Its jobs go on."""
    with connected() as client:
        client.schedules.delete(found := _id(client, schedule))
    say(f"{found} is deleted")


def _id(client: Client, given: str) -> str:
    return id_of(given, client.schedules.list(), "schedule")


def _others_of_that_name(client: Client, made: Schedule) -> list[str]:
    """Their ids; none if the key may not look."""
    from graft.client import Forbidden

    try:
        return [one.id for one in client.schedules.list() if one.name == made.name and one.id != made.id]
    except Forbidden:
        return []


def _when(schedule: Schedule) -> str:
    if schedule.paused:
        return "paused"
    return schedule.next_run_at.isoformat(timespec="minutes") if schedule.next_run_at else "never again"


def _input(client: Client, given: str) -> dict[str, str]:
    if given.startswith("s3://"):
        return {"uri": given}
    with upload_bar(given) as on_progress:
        return {"dataset": client.datasets.id_of(given, on_progress=on_progress)}


def _body(path: Path) -> dict[str, Any]:
    """Raises BadParameter."""
    try:
        found = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text())
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{path} should hold a JSON object: the body of POST /v1/jobs")
    return found
