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

import typer

from graft.connection import BadSettings, Connection, ConnectionFailed, Refused, Unreachable

FAILED, BAD_INPUT, UNREACHABLE = 1, 2, 3

_HINTS = {
    "unauthenticated": "check GRAFT_API_KEY: the API knows no such key, or it has expired or been revoked",
    "missing_scope": "use a key that has that scope",
    "scope_not_held": "leave that scope out, or use a key that has it",
    "other_project": "use the operator's key: that of GRAFT_API_KEYS without a project, or that of `graft up`",
    "unknown_key": "`graft keys ls` shows which there are",
    "quota_exceeded": "delete what is not needed any more, or ask the operator for more",
    "rate_limited": "wait a moment, then try again",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection as the environment says; what goes wrong on it ends the command."""
    try:
        with Connection.from_environment() as connection:
            yield connection
    except ConnectionFailed as error:
        _tell(error)
        raise typer.Exit(_code(error)) from None


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


def _code(error: ConnectionFailed) -> int:
    if isinstance(error, Unreachable):
        return UNREACHABLE
    is_input = isinstance(error, BadSettings) or (
        isinstance(error, Refused) and error.status in {400, 413, 422}
    )
    return BAD_INPUT if is_input else FAILED


def _tell(error: ConnectionFailed) -> None:
    say(f"graft: {_CONTROL.sub('?', error.message)}")
    hint = error.hint
    if isinstance(error, Refused):
        for pointer, detail in error.errors.items():
            say(f"  {_CONTROL.sub('?', pointer.lstrip('/'))}: {_CONTROL.sub('?', detail)}")
        hint = _HINTS.get(error.code, hint)
    if hint:
        say(f"  {hint}")
