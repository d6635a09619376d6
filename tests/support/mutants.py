"""The product with one guard missing: scripts and modules are changed in memory, never on disk.

A mutant names a file, a text that stands in it exactly once, and what stands there instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from redis.commands.core import Script

from shared import lua
from shared.database import Database

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """One defect. `name` says what the product then does."""

    name: str
    file: str
    text: str
    replacement: str = ""

    def scripts(self, database: Database) -> Any:
        """The same database, whose scripts have the defect."""
        return _Database(database, self)

    def module(self, module: ModuleType) -> ModuleType:
        """The module if the defect is elsewhere, else a copy of it with the defect."""
        source = Path(str(module.__file__))
        if source != ROOT / self.file:
            return module
        copy = ModuleType(module.__name__)
        copy.__file__ = module.__file__
        exec(compile(self.applied_to(source.read_text()), source, "exec"), copy.__dict__)
        return copy

    def is_applicable(self) -> bool:
        return (ROOT / self.file).read_text().count(self.text) == 1

    def applied_to(self, source: str) -> str:
        return source.replace(self.text, self.replacement)


class _Database:
    def __init__(self, database: Database, mutant: Mutant) -> None:
        self._database = database
        self._mutant = mutant

    def script(self, name: str) -> Script:
        """As Database.script. A defect of what all scripts share is in every one."""
        script: Script = self._database.register_script(lua.source(name, self._read))
        return script

    def _read(self, part: str) -> str:
        text = lua.read(part)
        return self._mutant.applied_to(text) if self._mutant.file == f"shared/lua/{part}.lua" else text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)
