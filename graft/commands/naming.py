"""Datasets and schedules have ids; people know them by names, which several of them may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import typer

from graft.commands.showing import clean
from graft.commands.telling import REFUSED, say
from shared.contracts.base import ULID_PATTERN

_ID = re.compile(f"[a-z]+_{ULID_PATTERN}")
_SHOWN = 5


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


def id_of(given: str, known: Iterable[Named], kind: str) -> str:
    """An id as it is; else that of the only one of that name. What is `known` is not looked at for an id.

    Exits with REFUSED if there is none of that name, or more than one.
    """
    if _ID.fullmatch(given):
        return given
    found = [one.id for one in known if one.name == given]
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        say(f"graft: {len(found)} {kind}s are named {clean(given)}: {', '.join(found[:_SHOWN])}{more}")
        say("  say which by its id")
    else:
        say(f"graft: no {kind} has that id or name: {clean(given)}")
        say(f"  `graft {kind}s` lists what there is")
    raise typer.Exit(REFUSED)
