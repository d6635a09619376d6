"""The `graft` command. Each command imports what it needs when it runs, so that none waits for another's."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer

from graft.commands import bench, datasets, doctor, jobs, keys, learning, models, schedules, scoring

_HERE, _WORK, _LOOK = "This machine", "Learn and predict", "Look and manage"

app = typer.Typer(
    name="graft",
    help="Asynchronous jobs for machine learning, with transfer learning that says whether it helped.",
    epilog="Exit codes: 0 done, 1 refused, 2 bad input, 3 not reached, 4 the job failed or was cancelled, "
    "130 Ctrl-C: a job that was waited for goes on.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they would show credentials
)
app.command(rich_help_panel=_WORK)(datasets.upload)
app.command(rich_help_panel=_WORK)(learning.train)
app.command(rich_help_panel=_WORK)(learning.fine_tune)
app.command(rich_help_panel=_WORK)(scoring.predict)
app.command(rich_help_panel=_WORK)(scoring.evaluate)
app.command(rich_help_panel=_WORK)(scoring.shift_report)
app.command(rich_help_panel=_WORK)(scoring.rank_sources)
for _name, _group in (
    ("jobs", jobs.app),
    ("models", models.app),
    ("datasets", datasets.app),
    ("schedules", schedules.app),
    ("keys", keys.app),
):
    app.add_typer(_group, name=_name, rich_help_panel=_LOOK)
app.command(rich_help_panel=_HERE)(doctor.doctor)
app.command(rich_help_panel=_HERE)(bench.bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"graft {importlib.metadata.version('graft')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Holds what is common to all commands."""


@app.command(rich_help_panel=_HERE)
def up(
    data_dir: Annotated[
        Path, typer.Option(help="Everything is kept below this directory, also across a crash.")
    ] = Path(".graft"),
    host: Annotated[
        str, typer.Option(help="Address of the API; one that others can reach needs GRAFT_API_KEYS.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the API; 0 chooses a free one.")
    ] = 8000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Jobs that run at the same time.", show_default="one per CPU")
    ] = None,
) -> None:
    """Run the whole of Graft here: Redis, object store, API and worker, until Ctrl-C.

    GRAFT_REDIS_URL and GRAFT_S3_ENDPOINT_URL name servers to use instead of embedded ones.
    """
    from graft.stack import Stack, foreground

    stack = Stack(data_dir, host=host, port=port, concurrency=workers, say=foreground.say)
    raise typer.Exit(foreground.run(stack))


@app.command(rich_help_panel=_HERE)
def demo() -> None:
    """Train, fine-tune and batch-score real data over HTTP on a stack of its own, and print the numbers."""
    from rich.console import Console

    from graft import demo as story
    from graft.stack import Refused, ServerFailed

    console = Console()
    try:
        story.run(console)
    except (story.DemoFailed, Refused, ServerFailed) as error:
        console.print(f"[red]The demo failed:[/red] {error}")
        raise typer.Exit(1) from error
