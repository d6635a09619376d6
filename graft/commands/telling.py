"""How commands talk: results to standard output, all else to standard error, and an exit code that says what happened.

  0  done
  1  the API refused: unknown, not allowed, not as things are
  2  bad input: an option, a setting, a file, or a field that the API finds bad
  3  the API cannot be reached, or cannot answer now
  4  the job that was waited for failed or was cancelled
130  Ctrl-C; a job that was waited for goes on
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from graft.commands.showing import clean

if TYPE_CHECKING:
    from graft.client import Client, GraftError

REFUSED, BAD_INPUT, UNREACHABLE, JOB_FAILED = 1, 2, 3, 4
INTERRUPTED = 130


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


def say(text: str) -> None:
    typer.echo(text, err=True)


def _code(error: GraftError) -> int:
    from graft.client import errors

    if isinstance(error, errors.Unreachable):
        return UNREACHABLE
    bad_input = errors.BadSettings | errors.BadSource | errors.InvalidInput | errors.TooLarge
    return BAD_INPUT if isinstance(error, bad_input) else REFUSED


def _tell(error: GraftError) -> None:
    from graft.client import errors

    fields = error.errors if isinstance(error, errors.Refused) else {}
    is_told = list(fields.values()) == [error.message]
    if not is_told:
        say(f"graft: {clean(error.message)}")
    for pointer, detail in fields.items():
        say(f"{'graft: ' if is_told else '  '}{clean(pointer.lstrip('/'))}: {clean(detail)}")
    hint = error.hint
    if isinstance(error, errors.JobUnsuccessful):
        hint = f"`graft jobs logs {error.job.id}` tells more"
    if hint:
        say(f"  {hint}")
