"""Models, their versions and aliases, and online prediction."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, SkipValidation

from shared.contracts.base import Body, Description, Page, Record, Tags, Time


class Model(Record):
    """A name, and the versions under it."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}
    latest_version: int
    aliases: dict[str, int] = {}
    created_at: Time
    updated_at: Time
    revision: str
    """What stands in its ETag: it changes with every change of what is told here."""


class ModelPatch(Body):
    """What can be changed about a model or a version. Fields that are left out stay as they are."""

    description: Description | None = None
    tags: Tags | None = None


class VersionRef(Record):
    name: str
    version: int


class LibraryDifference(Record):
    """A library in another version than the artifact's; an `incompatible` one keeps it from being opened."""

    library: str
    made_with: str
    here: str
    severity: Literal["differs", "incompatible"]


class Compatibility(Record):
    """Whether the libraries of this server can open what those of `library_versions` made."""

    status: Literal["same", "differs", "incompatible"]
    differences: list[LibraryDifference] = []


class ArtifactContents(Record):
    """The format of the artifact, and the libraries whose objects lie in it."""

    format: int
    libraries: list[str]


class ModelVersion(Record):
    """An immutable artifact and everything known about it."""

    name: str
    version: int
    description: str = ""
    tags: dict[str, str] = {}
    job: str
    created_at: Time
    task: Literal["classification", "regression"]
    estimator: dict[str, Any]
    preprocessing: dict[str, Any] = {}
    target: str
    features: list[str] = []
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    metrics: dict[str, Any]
    baseline: dict[str, Any] = {}
    verdict: Literal["improved", "neutral", "negative_transfer"] | None = None
    parent: VersionRef | None = None
    dataset: str
    seed: int | None = None
    sha256: str
    signature: str
    bytes: int
    library_versions: dict[str, str]
    artifact: ArtifactContents | None = None
    compatibility: Compatibility
    aliases: list[str] = []
    revision: str = "0"
    """As a model's."""


class AliasBody(Body):
    """`force` moves the alias also to a version whose verdict is negative_transfer."""

    version: Annotated[int, Field(ge=1)]
    force: bool = False


class Alias(Record):
    alias: str
    version: int


class AliasChange(Record):
    """One move of an alias. `version` is null when it was removed; `forced` when the move had been refused without.

    `id` is the alias's revision after it. `by` is the id of the key that asked for it; null of a configured key,
    which has none.
    """

    id: str
    version: int | None
    previous: int | None
    at: Time
    by: str | None = None
    forced: bool = False
    rollback: bool = False


Relation = Literal["trained_on", "read_by", "used_by", "produced_by", "fine_tuned_from"]


class LineageNode(Record):
    """A dataset, a job, a version, or the output of a batch (whose `job` says where it is). `deleted`: it is gone, and
    this is what is left of it."""

    kind: Literal["dataset", "job", "version", "output"]
    id: str
    name: str | None = None
    version: int | None = None
    type: str | None = None
    status: str | None = None
    job: str | None = None
    created_at: Time | None = None
    deleted: bool = False
    deleted_at: Time | None = None


class LineageEdge(Record):
    """`target` came of `source`."""

    source: str
    target: str
    relation: Relation


class Lineage(Record):
    """Where `root` comes from and what has come of it. `truncated`: there is more than was asked for."""

    root: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    truncated: bool = False


class PredictBody(Body):
    """Rows to score: one object per row, a value for each column of the model's input schema."""

    rows: Annotated[list[Annotated[dict[str, JsonValue], SkipValidation]], Field(min_length=1)]
    """Checked against the model's schema by `shared.modeling.rows`, cell by cell."""
    probabilities: bool = False


class Predictions(Record):
    """`probabilities[i][j]` belongs to row i and `classes[j]`; both are null for a regression.

    `warnings` says if the model was made with other library versions than those that have opened it.
    """

    model: VersionRef
    predictions: list[Any]
    probabilities: list[list[float]] | None = None
    classes: list[Any] | None = None
    warnings: list[str] = []


class ModelPage(Page[Model]):
    """One page of a list."""


class ModelVersionPage(Page[ModelVersion]):
    """One page of a list."""


class AliasChangePage(Page[AliasChange]):
    """One page of a list."""
