"""`graft upload` and `graft datasets`: the tables that jobs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graft.commands import completing, options
from graft.commands.following import upload_bar
from graft.commands.listing import Listing
from graft.commands.naming import id_of
from graft.commands.showing import show_fields, show_json, show_table, size
from graft.commands.telling import connected, say

if TYPE_CHECKING:
    from graft.client import Client

app = typer.Typer(
    cls=Listing, help="Datasets: look, register, delete; `graft upload` makes one. `ls`, if left out."
)

Id = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Its id, or its name if no other has it.", autocompletion=completing.datasets
    ),
]


def upload(
    file: Annotated[Path, typer.Argument(help="A table: CSV, Parquet or JSON Lines; text also .gz or .zst.")],
    name: Annotated[
        str | None, typer.Option(help="What you will know it by; the file's name if left out.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="csv, parquet or jsonl, if the file's name does not say.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Upload a table and print its id. A bad file is refused, with the place of its first fault."""
    given: Any = format_
    with connected() as client, upload_bar(file.name) as on_progress:
        made = client.datasets.upload(file, name=name, format=given, on_progress=on_progress)
    if as_json:
        show_json(made)
        return
    typer.echo(made.id)
    say(f"{made.rows:,} rows, {len(made.columns)} columns, {size(made.bytes)}")


@app.command("ls")
def list_datasets(limit: options.Limit = 20, as_json: options.Json = False) -> None:
    """List datasets, newest first."""
    with connected() as client:
        found = list(client.datasets.list(limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [(one.id, one.name, one.rows, len(one.columns), size(one.bytes), one.created_at) for one in found]
    heads = ("id", "name", "rows", "columns", "size", "made")
    show_table(heads, rows, empty="no dataset; `graft upload FILE` makes one")


@app.command()
def show(dataset: Id, as_json: options.Json = False) -> None:
    """Show a dataset and its columns."""
    with connected() as client:
        found = client.datasets.get(_id(client, dataset))
    if as_json:
        show_json(found)
        return
    shown = {
        "id": found.id,
        "name": found.name,
        "rows": found.rows,
        "size": size(found.bytes),
        "format": found.format,
        "where": found.uri,
        "made": found.created_at,
    }
    show_fields(shown)
    typer.echo()
    show_table(
        ("column", "type", "missing"), [(one.name, one.type, one.nulls) for one in found.columns], empty=""
    )


@app.command()
def preview(dataset: Id, as_json: options.Json = False) -> None:
    """Show the first rows."""
    with connected() as client:
        found = client.datasets.preview(_id(client, dataset))
    if as_json:
        show_json(found)
        return
    names = [column.name for column in found.columns]
    show_table(names, [[row.get(name) for name in names] for row in found.rows], empty="it has no row")


@app.command()
def register(
    uri: Annotated[
        str, typer.Argument(metavar="s3://…", help="An object, or all below a prefix that ends in /.")
    ],
    name: Annotated[str, typer.Option(help="What you will know it by.")],
    as_json: options.Json = False,
) -> None:
    """Take objects that are in the store already as a dataset, where they lie."""
    with connected() as client:
        made = client.datasets.register(uri, name=name)
    show_json(made) if as_json else typer.echo(made.id)


@app.command()
def rm(dataset: Id) -> None:
    """Delete a dataset. Refused while a live job reads it or a schedule names it."""
    with connected() as client:
        client.datasets.delete(found := _id(client, dataset))
    say(f"{found} is deleted")


def _id(client: Client, given: str) -> str:
    return id_of(given, client.datasets.list(), "dataset")
