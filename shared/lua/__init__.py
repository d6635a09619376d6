"""Loads the Lua scripts beside it. One operation a file; Redis runs each atomically."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def source(name: str) -> str:
    """The text of `<name>.lua`, with the shared prelude (`_prelude.lua`) before it."""
    folder = files(__name__)
    return (folder / "_prelude.lua").read_text() + (folder / f"{name}.lua").read_text()
