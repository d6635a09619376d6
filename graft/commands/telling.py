"""How commands talk: results to standard output, all else to standard error, and an exit code that says what happened.

0  done
1  the API refused, or it failed
2  bad input: an option, a setting, or a field that the API finds bad
3  the API cannot be reached, or cannot answer now
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graft.client import Client, GraftError

FAILED, BAD_INPUT, UNREACHABLE = 1, 2, 3

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@contextmanager
def connected() -> Iterator[Client]:
    """A client as the environment says; what goes wrong with it ends the command."""
    from graft.client import Client, GraftError

    try:
        with Client() as client:
            yield client
    except GraftError as error:
        _tell(error)
        raise typer.Exit(_code(error)) from None


def told(record: BaseModel) -> dict[str, Any]:
    """As the API's JSON has it."""
    return record.model_dump(mode="json", by_alias=True)


def say(text: str) -> None:
    typer.echo(text, err=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be. Control characters, which could move a cursor, are shown as `?`."""
    lines = [list(heads), *([_CONTROL.sub("?", cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _code(error: GraftError) -> int:
    from graft.client import errors

    if isinstance(error, errors.Unreachable):
        return UNREACHABLE
    bad_input = errors.BadSettings | errors.BadSource | errors.InvalidInput | errors.TooLarge
    return BAD_INPUT if isinstance(error, bad_input) else FAILED


def _tell(error: GraftError) -> None:
    from graft.client import errors

    say(f"graft: {_CONTROL.sub('?', error.message)}")
    if isinstance(error, errors.Refused):
        for pointer, detail in error.errors.items():
            say(f"  {_CONTROL.sub('?', pointer.lstrip('/'))}: {_CONTROL.sub('?', detail)}")
    if error.hint:
        say(f"  {error.hint}")
