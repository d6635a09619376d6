"""`graft keys`: make, list, rotate and revoke API keys of a running API.

A secret goes to standard output, once, and nothing else does with it: `KEY=$(graft keys create --scope read)`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from graft.commands import options
from graft.commands.showing import show_json, show_table
from graft.commands.telling import connected, say

if TYPE_CHECKING:
    from shared.contracts.keys import NewApiKey

app = typer.Typer(help="API keys: who may do what. Needs a key with the scope admin.", no_args_is_help=True)

_Project = Annotated[
    str | None, typer.Option(help="Another project than that of your key; takes the operator's key.")
]
_Id = Annotated[str, typer.Argument(help="The key's id, as `graft keys ls` shows it.", metavar="ID")]
_Expires = Annotated[
    str | None, typer.Option(help="When it ends: 90d, 12h, or a time like 2027-01-01T00:00:00Z.")
]


@app.command()
def create(
    scope: Annotated[
        list[str], typer.Option(help="read, submit or admin; several times, or with commas between them.")
    ],
    project: _Project = None,
    expires: _Expires = None,
    name: Annotated[str | None, typer.Option(help="What you will know it by.")] = None,
    as_json: options.Json = False,
) -> None:
    """Make a key and print it. It is shown this once."""
    scopes = [part.strip() for given in scope for part in given.split(",") if part.strip()]
    ends = _moment(expires)
    with connected() as client:
        made = client.keys.create(scopes, project=project, expires_at=ends, name=name)
    _print_secret(made, "made", as_json)


@app.command("ls")
def list_keys(project: _Project = None, as_json: options.Json = False) -> None:
    """List keys, newest first, also those that have expired; never a secret."""
    with connected() as client:
        found = list(client.keys.list(project=project))
    if as_json:
        show_json(found)
        return
    rows = [(key.id, key.name, key.scopes, key.created_at, key.expires_at, key.last_used_at) for key in found]
    heads = ("id", "name", "scopes", "created", "expires", "last used")
    show_table(heads, rows, empty="no key; `graft keys create --scope read` makes one")


@app.command()
def revoke(key_id: _Id, as_json: options.Json = False) -> None:
    """End a key, at once and for good."""
    with connected() as client:
        client.keys.revoke(key_id)
    show_json({"id": key_id, "revoked": True}) if as_json else typer.echo(f"{key_id} is revoked")


@app.command()
def rotate(
    key_id: _Id,
    overlap: Annotated[
        str | None,
        typer.Option(help="How long the secret of before stays good: 1h; it ends at once if left out."),
    ] = None,
    expires: _Expires = None,
    as_json: options.Json = False,
) -> None:
    """Give a key another secret and print it. It is shown this once."""
    seconds = int(options.duration(overlap, "--overlap").total_seconds()) if overlap else None
    ends = _moment(expires)
    with connected() as client:
        made = client.keys.rotate(key_id, overlap_seconds=seconds, expires_at=ends)
    _print_secret(made, "rotated", as_json)


def _print_secret(made: NewApiKey, done: str, as_json: bool) -> None:
    if as_json:
        show_json(made)
        return
    typer.echo(made.key)
    until = f", until {made.expires_at:%Y-%m-%dT%H:%M:%SZ}" if made.expires_at else ""
    say(f"{made.id} {done}: {' '.join(made.scopes)} in {made.project}{until}; keep it, it is not shown again")


def _moment(text: str | None) -> str | None:
    """A time, or one so long from now, as RFC 3339. Raises BadParameter."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.now(UTC) + options.duration(text, "--expires")
    if moment.tzinfo is None:
        raise typer.BadParameter(
            "a time needs its offset, as in 2027-01-01T00:00:00Z", param_hint="--expires"
        )
    return moment.isoformat()
