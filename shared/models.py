"""The model registry: names, immutable versions, and aliases with an append-only history.

Versions come into being in `finish.lua`, together with the end of the job that made them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.models import (
    AliasChange,
    Lineage,
    LineageEdge,
    LineageNode,
    Model,
    ModelVersion,
    VersionRef,
)
from shared.database import Database
from shared.errors import Conflict, NotFound

JSON_FIELDS = (
    "tags",
    "estimator",
    "preprocessing",
    "features",
    "schema",
    "metrics",
    "baseline",
    "parent",
    "library_versions",
)

#: What a version's hash holds of `ModelVersion`; its report is large and read for itself.
_VERSION_FIELDS = tuple(
    field.alias or name for name, field in ModelVersion.model_fields.items() if name != "aliases"
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Where a version's bytes lie, and what vouches for them."""

    project: str
    name: str
    version: int
    job_id: str
    key: str
    bytes: int
    sha256: str
    signature: str


class ModelStore:
    """Models in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database
        self._set_alias = database.script("set_alias")

    def get(self, project: str, name: str) -> Model:
        """Raises NotFound, also for another project's."""
        with self._redis.pipeline() as pipe:
            pipe.hgetall(keys.model(project, name))
            pipe.hgetall(keys.model_aliases(project, name))
            record, aliases = pipe.execute()
        if not record:
            raise _unknown(name)
        return _to_model(record, aliases)

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[Model], bool]:
        """By name: up to `limit` models after the one named, and whether there are more."""
        lower = f"({after}" if after else "-"
        names = self._redis.zrange(keys.models(project), lower, "+", bylex=True, offset=0, num=limit + 1)
        with self._redis.pipeline() as pipe:
            for name in names[:limit]:
                pipe.hgetall(keys.model(project, name))
                pipe.hgetall(keys.model_aliases(project, name))
            answers = iter(pipe.execute())
        return [_to_model(record, aliases) for record, aliases in zip(answers, answers, strict=True)], len(
            names
        ) > limit

    def update(self, project: str, name: str, changes: Mapping[str, Any]) -> Model:
        """Change description or tags."""
        self.get(project, name)
        fields = {
            field: value if isinstance(value, str) else json.dumps(value) for field, value in changes.items()
        }
        if fields:
            self._redis.hset(keys.model(project, name), mapping=fields)
        return self.get(project, name)

    def resolve(self, project: str, ref: str) -> tuple[str, int]:
        """`name` (latest), `name:3` or `name@alias` as (name, version). Raises NotFound."""
        name, _, alias = ref.partition("@")
        if alias:
            version = self._redis.hget(keys.model_aliases(project, name), alias)
            if version is None:
                raise NotFound(f"the model {name} has no alias {alias}", code="unknown_alias")
            return name, int(version)
        name, _, number = ref.partition(":")
        if not number:
            latest = self._redis.hget(keys.model(project, name), "latest_version")
            if latest is None:
                raise _unknown(name)
            return name, int(latest)
        if self._redis.zscore(keys.model_versions(project, name), number) is None:
            raise _unknown_version(name, int(number))
        return name, int(number)

    def version(self, project: str, name: str, number: int) -> ModelVersion:
        """Raises NotFound."""
        with self._redis.pipeline() as pipe:
            pipe.hmget(keys.model_version(project, name, number), *_VERSION_FIELDS)
            pipe.hgetall(keys.model_aliases(project, name))
            values, aliases = pipe.execute()
        record = {
            field: value for field, value in zip(_VERSION_FIELDS, values, strict=True) if value is not None
        }
        if not record:
            raise _unknown_version(name, number)
        return _to_version(record, aliases)

    def versions(
        self, project: str, name: str, *, limit: int, after: str | None = None
    ) -> tuple[list[ModelVersion], bool]:
        """Newest first: up to `limit` versions below `after`, and whether there are more. Raises NotFound."""
        upper = f"({after}" if after else "+inf"
        numbers = self._redis.zrange(
            keys.model_versions(project, name),
            upper,
            "-inf",
            desc=True,
            byscore=True,
            offset=0,
            num=limit + 1,
        )
        if not numbers:
            self.get(project, name)
        return [self.version(project, name, int(number)) for number in numbers[:limit]], len(numbers) > limit

    def artifact(self, project: str, name: str, number: int) -> Artifact:
        """Where the version's bytes are. Raises NotFound."""
        fields = ("job", "artifact_key", "bytes", "sha256", "signature")
        job_id, key, size, sha256, signature = self._redis.hmget(
            keys.model_version(project, name, number), *fields
        )
        if key is None:
            raise _unknown_version(name, number)
        return Artifact(project, name, number, job_id, key, int(size), sha256, signature)

    def report(self, project: str, name: str, number: int) -> str:
        """The JSON of what fine-tuning found out about the version. Raises NotFound, also for a plain training's."""
        known, report = self._redis.hmget(keys.model_version(project, name, number), "name", "report")
        if known is None:
            raise _unknown_version(name, number)
        if report is None:
            sentence = f"the version {number} of {name} was not fine-tuned, so it has no report"
            raise NotFound(sentence, code="no_report")
        return str(report)

    def set_alias(self, project: str, name: str, alias: str, version: int, *, force: bool = False) -> int:
        """Point the alias at a version. Raises NotFound, or Conflict `negative_transfer` for a version that is worse
        than what it was made from, unless `force` is given."""
        return self._move_alias(project, name, alias, str(version), force=force)

    def rollback_alias(self, project: str, name: str, alias: str) -> int:
        """Move the alias back to the version it had before. Raises NotFound, or Conflict if there is none, or if that
        version is worse than what it was made from."""
        return self._move_alias(project, name, alias, "rollback")

    def delete_alias(self, project: str, name: str, alias: str) -> None:
        self._move_alias(project, name, alias, "delete")

    def _move_alias(self, project: str, name: str, alias: str, wanted: str, *, force: bool = False) -> int:
        answer = self._set_alias(
            keys=[
                keys.model(project, name),
                keys.model_versions(project, name),
                keys.model_aliases(project, name),
                keys.alias_history(project, name, alias),
            ],
            args=[alias, wanted, keys.model_version_template(project, name), "force" if force else ""],
        )
        match answer:
            case ["set", number]:
                return int(number)
            case ["deleted"]:
                return 0
            case ["unknown_model"]:
                raise _unknown(name)
            case ["unknown_alias"]:
                raise NotFound(f"the model {name} has no alias {alias}", code="unknown_alias")
            case ["negative_transfer", number]:
                raise self._worse(project, name, int(number))
            case ["no_history"]:
                raise Conflict(f"{alias} has pointed at no other version before", code="no_previous_version")
        raise _unknown_version(name, int(wanted) if wanted.isdigit() else 0)

    def _worse(self, project: str, name: str, number: int) -> Conflict:
        """Why an alias may not point at the version, in its report's words."""
        summary = json.loads(self.report(project, name, number)).get("summary") or {}
        reason = summary.get("headline") or "its report's verdict is negative_transfer."
        sentence = f"{name}:{number} is worse than what it was made from: {reason}"
        how = "PUT the alias with force: true to move it there nevertheless."
        return Conflict(f"{sentence} {how}", code="negative_transfer")

    def alias_history(self, project: str, name: str, alias: str) -> list[AliasChange]:
        """Newest first. Raises NotFound for an alias that never was."""
        entries = self._redis.xrevrange(keys.alias_history(project, name, alias))
        if not entries:
            raise NotFound(f"the model {name} has no alias {alias}", code="unknown_alias")
        return [
            AliasChange(
                version=int(fields["version"]) if fields["version"] else None,
                previous=int(fields["previous"]) if fields["previous"] else None,
                at=from_ms(int(entry_id.partition("-")[0])),
                forced="forced" in fields,
            )
            for entry_id, fields in entries
        ]

    def lineage(self, project: str, name: str, number: int) -> Lineage:
        """Back from a version through its job, its dataset and its parents, to the first source."""
        nodes: dict[str, LineageNode] = {}
        edges: list[LineageEdge] = []
        current: VersionRef | None = VersionRef(name=name, version=number)
        while current and (here := _node_id(current)) not in nodes:
            held = self.version(project, current.name, current.version)
            nodes[here] = LineageNode(kind="version", id=here, name=held.name, version=held.version)
            nodes[held.job] = LineageNode(kind="job", id=held.job)
            nodes[held.dataset] = LineageNode(kind="dataset", id=held.dataset)
            edges.append(LineageEdge(source=held.job, target=here, relation="produced_by"))
            edges.append(LineageEdge(source=held.dataset, target=held.job, relation="trained_on"))
            if held.parent:
                edges.append(
                    LineageEdge(source=_node_id(held.parent), target=here, relation="fine_tuned_from")
                )
            current = held.parent
        return Lineage(nodes=list(nodes.values()), edges=edges)


def _node_id(ref: VersionRef) -> str:
    return f"{ref.name}:{ref.version}"


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no model {name}", code="unknown_model")


def _unknown_version(name: str, number: int) -> NotFound:
    return NotFound(f"the model {name} has no version {number}", code="unknown_version")


def _to_model(record: Mapping[str, str], aliases: Mapping[str, str]) -> Model:
    return Model(
        name=record["name"],
        description=record.get("description", ""),
        tags=json.loads(record.get("tags", "{}")),
        latest_version=int(record["latest_version"]),
        aliases={alias: int(version) for alias, version in aliases.items()},
        created_at=from_ms(int(record["created_at"])),
        updated_at=from_ms(int(record["updated_at"])),
    )


def _to_version(record: Mapping[str, str], aliases: Mapping[str, str]) -> ModelVersion:
    held: dict[str, Any] = {
        field: json.loads(value) if field in JSON_FIELDS else value for field, value in record.items()
    }
    held["created_at"] = from_ms(int(held["created_at"]))
    held["aliases"] = sorted(alias for alias, version in aliases.items() if version == held["version"])
    for field in ("version", "bytes", "seed"):
        if field in held:
            held[field] = int(held[field])
    return ModelVersion.model_validate(held)
