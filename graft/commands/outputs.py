"""`graft jobs output`: what a batch has written, as files here, whoever submitted it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graft.commands import options
from graft.commands.telling import connected, say


def output(
    job_id: options.JobId,
    target: Annotated[
        Path,
        typer.Option("--output", "-o", help="Where to: a file that ends as the batch's format, or a folder."),
    ],
    errors: Annotated[
        bool, typer.Option("--errors", help="The list of the rows that were bad, as JSON Lines.")
    ] = False,
) -> None:
    """Download the rows that a batch has scored, and print the paths.

    graft jobs output job_… -o scored.parquet
    """
    named = None if errors else format_of_output(target)
    with connected() as client:
        found = client.jobs.outputs(job_id)
        if errors:
            paths = [found.download_errors(target)]
        elif found.format not in (None, named) and not _is_folder(target):
            raise typer.BadParameter(
                f"the batch has written {found.format}: name a file .{found.format}, or a folder",
                param_hint="--output",
            )
        else:
            paths = found.download(target)
    for path in paths:
        typer.echo(path)
    say(f"{found.failed_rows:,} bad rows" if errors else f"{found.rows:,} rows")


def format_of_output(target: Path) -> str:
    """What to write there; Parquet into a folder. Raises BadParameter now, and not when the batch has been scored."""
    from graft.client.sources import format_of

    if _is_folder(target):
        return "parquet"
    if not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"{target.parent} is no folder", param_hint="--output")
    found = format_of(target)
    if found is None:
        raise typer.BadParameter(
            "should end in .parquet, .csv or .jsonl, or be a folder", param_hint="--output"
        )
    return found


def _is_folder(target: Path) -> bool:
    return target.is_dir() or not target.suffix
