"""`graft models`: what has been learned, which version is in use, and whether a fine-tune helped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graft.commands import completing, options
from graft.commands.listing import Listing
from graft.commands.showing import ago, cell, show_fields, show_json, show_table, size
from graft.commands.telling import connected, say
from graft.commands.verdicts import show_report

if TYPE_CHECKING:
    from shared.contracts.models import ModelVersion

app = typer.Typer(
    cls=Listing,
    help="Models: look, compare, say which version is in use, and whether a fine-tune helped. `ls`, if left out.",
)

Name = Annotated[str, typer.Argument(metavar="MODEL", help="Its name.", autocompletion=completing.models)]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="name (its latest version), name:3 or name@alias.",
        autocompletion=completing.models,
    ),
]
_Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="A name that moves from version to version.")]


@app.command("ls")
def list_models(
    task: Annotated[str | None, typer.Option(help="classification or regression.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="name=value; several must all be there.")] = None,
    limit: options.Limit = 100,
    as_json: options.Json = False,
) -> None:
    """List models by name."""
    given: Any = task
    with connected() as client:
        found = list(client.models.list(task=given, tags=options.pairs(tag, "--tag") or None, limit=limit))
    if as_json:
        show_json([model.record for model in found])
        return
    rows = [
        (one.name, one.latest_version, one.aliases, one.updated_at, one.description)
        for one in (model.record for model in found)
    ]
    show_table(
        ("name", "latest", "aliases", "updated", "description"),
        rows,
        empty="no model; `graft train FILE --target COLUMN --name NAME` makes one",
    )


@app.command()
def show(ref: Ref, as_json: options.Json = False) -> None:
    """Show a version, and the others of its name."""
    with connected() as client:
        version = client.models.version(ref).record
        if as_json:
            show_json(version)
            return
        others = [other.record for other in client.models.versions.list(version.name, limit=20)]
    show_fields(_fields(version))
    typer.echo()
    rows = [
        (other.version, other.verdict, _score(other), other.aliases, other.created_at, other.job)
        for other in others
    ]
    show_table(("version", "verdict", "score", "aliases", "made", "by job"), rows, empty="")


@app.command()
def compare(
    refs: Annotated[list[str], typer.Argument(metavar="MODEL MODEL…")], as_json: options.Json = False
) -> None:
    """Put 2 to 10 versions side by side: metrics (* is best), settings, what they take.

    `--json` has all of it, lists and tables too.
    """
    with connected() as client:
        found = client.models.compare(*refs)
    if as_json:
        show_json(found)
        return
    heads = ("", *(f"{one.name}:{one.version}" for one in found.versions))
    rows: list[tuple[object, ...]] = [("made", *(ago(one.created_at) for one in found.versions))]
    rows += [("verdict", *(one.verdict for one in found.versions))]
    rows += [
        (
            row.name,
            *(
                f"{cell(value)} *" if place in (row.best or ()) else cell(value)
                for place, value in enumerate(row.values)
            ),
        )
        for row in found.metrics
        if not any(isinstance(value, list | dict) for value in row.values)
    ]
    rows += [
        (row.name, *row.values)
        for row in found.params
        if not any(isinstance(value, list | dict) for value in row.values)
    ]
    show_table(heads, rows, empty="")
    for one in found.versions[1:]:
        if one.held_out.same is not True:
            say(f"{one.name}:{one.version}: {one.held_out.reason}")


@app.command()
def alias(
    name: Name,
    alias: Annotated[str | None, typer.Argument(metavar="ALIAS", help="Such as champion.")] = None,
    version: Annotated[int | None, typer.Argument(metavar="VERSION", min=1)] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also to a version that fine-tuning has made worse.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away; its history stays.")] = False,
    as_json: options.Json = False,
) -> None:
    """Point an alias at a version, take it away, or look at it.

    graft models alias churn champion 3       from now on churn@champion is churn:3
    graft models alias churn champion         where it has pointed
    graft models alias churn                  all of them
    """
    with connected() as client:
        if alias is None:
            aliases = client.models.get(name).record.aliases
            if as_json:
                show_json(aliases)
            else:
                show_table(("alias", "version"), aliases.items(), empty=f"{name} has no alias")
        elif remove:
            client.models.aliases.delete(name, alias)
            show_json({"alias": alias, "removed": True}) if as_json else say(f"{name}@{alias} is no more")
        elif version is None:
            _show_history(list(client.models.aliases.history(name, alias, limit=20)), as_json)
        else:
            moved = client.models.aliases.set(name, alias, version, force=force)
            show_json(moved) if as_json else say(f"{name}@{alias} is now {name}:{moved.version}")


@app.command()
def rollback(name: Name, alias: _Alias, as_json: options.Json = False) -> None:
    """Undo the latest move of an alias; again for the one before."""
    with connected() as client:
        moved = client.models.aliases.rollback(name, alias)
    show_json(moved) if as_json else say(f"{name}@{alias} is {name}:{moved.version} again")


@app.command()
def report(
    ref: Ref,
    html: Annotated[
        Path | None, typer.Option(help="Write the whole report there, a page for a browser.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say whether a fine-tune helped, beside the model it came from and one trained from scratch."""
    with connected() as client:
        version = client.models.version(ref).record
        if html is not None:
            _write(html, client.models.versions.report(version.name, version.version, as_html=True).encode())
            return
        found = client.models.versions.report(version.name, version.version)
    show_json(found) if as_json else show_report(found)


@app.command()
def export(
    ref: Ref,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it: .md, .skops or .onnx.")],
) -> None:
    """Write a version as a file that needs no Graft: a model card, skops, or ONNX."""
    formats: dict[str, Any] = {".md": "card", ".skops": "skops", ".onnx": "onnx"}
    if (chosen := formats.get(output.suffix)) is None:
        raise typer.BadParameter("name the file .md, .skops or .onnx")
    with connected() as client:
        version = client.models.version(ref).record
        _write(output, client.models.versions.export(version.name, version.version, chosen))


@app.command()
def drift(
    ref: Ref,
    window: Annotated[str, typer.Option(help="How far back: 24h, 7d.")] = "24h",
    as_json: options.Json = False,
) -> None:
    """Say how what was asked of a version lately differs from what it was trained on."""
    with connected() as client:
        version = client.models.version(ref).record
        found = client.models.versions.drift(version.name, version.version, window=window)
    if as_json:
        show_json(found)
        return
    say(
        f"{found.model.name}:{found.model.version}: {found.status}; {found.rows} rows since {ago(found.since)}"
    )
    rows = [(one.name, one.status, one.psi, one.missing_rate, one.unseen) for one in found.columns]
    show_table(("column", "status", "PSI", "missing", "unseen"), rows, empty="nothing was asked of it")


@app.command()
def rm(
    ref: Annotated[str, typer.Argument(metavar="MODEL", help="name:3, or a name for all its versions.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a version, or a model with all of them. Refused while something refers to it."""
    from graft.client.references import Reference

    with connected() as client:
        found = Reference.of(ref)
        if found.alias is not None:
            raise typer.BadParameter(
                "say which version, as in name:3; `graft models alias --remove` ends an alias"
            )
        if not yes:
            typer.confirm(
                f"delete {ref}{'' if found.version else ' and all its versions'}?", abort=True, err=True
            )
        if found.version is None:
            client.models.delete(found.name)
        else:
            client.models.versions.delete(found.name, found.version)
    say(f"{ref} is deleted")


def _marked(value: object, is_best: bool) -> str:
    return f"{cell(value)} *" if is_best else cell(value)


def _fields(version: ModelVersion) -> dict[str, object]:
    parent = version.parent
    return {
        "model": f"{version.name}:{version.version}",
        "aliases": version.aliases or None,
        "description": version.description or None,
        "task": f"{version.task} of {version.target}",
        "estimator": {
            name: value
            for name, value in version.estimator.items()
            if value is not None and not isinstance(value, list | dict)
        },
        "verdict": version.verdict,
        "from": parent and f"{parent.name}:{parent.version}",
        "metrics": {name: value for name, value in version.metrics.items() if isinstance(value, int | float)},
        "columns": len(version.features) or None,
        "dataset": version.dataset,
        "job": version.job,
        "made": version.created_at,
        "size": size(version.bytes),
        "libraries": version.compatibility.status,
        "tags": version.tags or None,
    }


def _score(version: ModelVersion) -> str | None:
    for name in ("accuracy", "r2"):
        if (value := version.metrics.get(name)) is not None:
            return f"{name} {cell(value)}"
    return None


def _show_history(moves: list[Any], as_json: bool) -> None:
    if as_json:
        show_json(moves)
        return
    rows = [
        (
            move.version or "removed",
            move.at,
            move.by,
            " ".join(word for word in ("rollback", "forced") if getattr(move, word)),
        )
        for move in moves
    ]
    show_table(("version", "since", "by", "how"), rows, empty="it has never been moved")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from None
    say(f"written: {path} ({size(len(content))})")
