"""Loads the Lua scripts beside it. One operation a file; Redis runs each atomically."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

SHARED = ("_prelude", "_occurrences", "_deleting")
"""What stands before every script: ways to change a job, to decide what becomes of an occurrence, and to delete what
others may refer to."""


@cache
def source(name: str) -> str:
    """The text of `<name>.lua`, with what all scripts share before it."""
    folder = files(__name__)
    return "".join((folder / f"{part}.lua").read_text() for part in (*SHARED, name))
