"""What a handler is given and what it gives back.

A handler runs in a child process without credentials. It reads files that the supervisor laid into
`Assignment.workdir`, writes files there, reports through `Context`, and returns an `Outcome`.
It knows data and models, never Celery, Redis, the object store or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from shared.contracts.tables import Column, Format
from shared.tables import Piece


@dataclass(frozen=True, slots=True)
class TableFiles:
    """An input table as files on local disk, all of one format and one schema, in order."""

    format: Format
    paths: tuple[Path, ...]
    columns: tuple[Column, ...]
    rows: int
    sha256: str
    names: tuple[str, ...] = ()
    """What the user calls each file (the object's name), for traceable rows and messages."""
    pieces: tuple[Piece, ...] = ()
    """Where the files hold only pieces of the table's: which. `rows` is of the whole table all the same."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model artifact on local disk whose signature the supervisor has verified."""

    path: Path
    sha256: str
    name: str
    version: int
    record: Mapping[str, Any]
    """The version's record as the registry keeps it: task, estimator, schema, metrics, …"""
    made_by: Mapping[str, Any] = field(default_factory=dict)
    """The spec of the job that made it: with its dataset, what it was trained on can be drawn again."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt's work: the job's spec and its inputs as local files."""

    job_id: str
    type: str
    attempt: int
    spec: Mapping[str, Any]
    workdir: Path
    tables: Mapping[str, TableFiles] = field(default_factory=dict)
    """`dataset`, and where the job has use for it and it still exists, `source`: what `dataset` is compared to."""
    models: Mapping[str, ModelFile] = field(default_factory=dict)
    """By reference, as the spec has them: `churn:3`."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Models that were asked for and cannot be opened, with the reason; only where the work goes on without them."""
    part: int = 0
    """Which part of a batch's output this makes."""
    checkpoint: Path | None = None
    """The folder of files that an earlier attempt at the same work wrote with `Context.checkpoint`."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file of a batch output, still on local disk. `name` is its name below the output's prefix."""

    name: str
    path: Path
    rows: int
    role: str = "data"
    """`data`, or `errors` for the file that lists failed rows."""


Shard: TypeAlias = tuple[tuple[int, Piece], ...]
"""A part of a table: pieces of its files, each with the file's position."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt achieved. Nothing of it has taken effect until the runner commits it."""

    result: Mapping[str, Any]
    artifact: Path | None = None
    version: Mapping[str, Any] | None = None
    """With an artifact: task, estimator, schema, metrics, baseline, library_versions, parent."""
    outputs: tuple[OutputFile, ...] = ()
    counts: Mapping[str, int] | None = None
    shards: tuple[Shard, ...] = ()
    """Of a plan: the parts into which the job is to be split."""


class Context(Protocol):
    """How a handler speaks while it works. Calls are cheap and may be made at every step."""

    def progress(self, phase: str, completed: int, total: int | None, unit: str, **details: float) -> None:
        """Say how far the work is; `details` are running values such as `loss`."""

    def warn(self, message: str) -> None:
        """Add a sentence to the job's warnings: something the user should know, but no failure."""

    def checkpoint(self, write: Callable[[Path], None], completed: int, unit: str) -> None:
        """Offer a state to go on from: `write` puts its files into a folder, and is called only when one is due.

        A file of the same name as one of an earlier checkpoint is the same file: it is not uploaded again.
        """


class Handler(Protocol):
    def __call__(self, assignment: Assignment, context: Context) -> Outcome:
        """Do the work. Raises `shared.errors.GraftError` for what the user can understand and mend."""
