"""The model registry: names, and immutable versions under them. `shared.aliases` has the names that move.

Versions come into being in `finish.lua`, together with the end of the job that made them. What people say of them,
description and tags, can be changed; every change raises the revision of a model or a version.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import keys
from shared.compatibility import judged
from shared.conditions import UNCONDITIONAL, Condition
from shared.contracts.base import from_ms
from shared.contracts.models import Compatibility, Model, ModelVersion
from shared.database import Database
from shared.errors import NotFound, PreconditionFailed
from shared.signing import Signed, made_of

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
    "artifact",
)

FIRST_REVISION = "0"
"""Of what has not been changed since it came into being."""

_SCAN = 200

#: What a version's hash holds of `ModelVersion`; its report is large and read for itself.
_VERSION_FIELDS = tuple(
    field.alias or name
    for name, field in ModelVersion.model_fields.items()
    if name not in ("aliases", "compatibility")
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
    library_versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    contents: Mapping[str, Any] | None = None
    """{format, libraries}; None in a record of before."""

    @property
    def signed(self) -> Signed:
        """What its signature vouches for."""
        made_with = made_of(self.library_versions, self.contents)
        return Signed(self.project, self.name, self.version, self.job_id, self.sha256, made_with)

    @property
    def compatibility(self) -> Compatibility:
        return judged(self.library_versions, self.contents)


class ModelStore:
    """Models in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database
        self._annotate = database.script("annotate")

    def get(self, project: str, name: str) -> Model:
        """Raises NotFound, also for another project's."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.model(project, name))
            pipe.hgetall(keys.model_aliases(project, name))
            record, aliases = pipe.execute()
        if not record:
            raise unknown_model(name)
        return _to_model(record, aliases)

    def revision(self, project: str, name: str) -> str:
        """What changes whenever the model does. Raises NotFound."""
        known, revision = self._redis.hmget(keys.model(project, name), "name", "revision")
        if known is None:
            raise unknown_model(name)
        return revision or FIRST_REVISION

    def page(
        self,
        project: str,
        *,
        limit: int,
        after: str | None = None,
        task: str | None = None,
        tags: Collection[tuple[str, str]] = (),
    ) -> tuple[list[Model], bool]:
        """By name: up to `limit` models after the one named, and whether there are more.

        Those whose latest version is of that task, and that have all of those tags.
        """
        names: list[str] = []
        for name in self._names(project, after, limit + 1, task, tags):
            if len(names) == limit:
                return self._read(project, names), True
            names.append(name)
        return self._read(project, names), False

    def _read(self, project: str, names: Sequence[str]) -> list[Model]:
        """Those of them that have not been deleted meanwhile."""
        if not names:
            return []
        with self._redis.pipeline() as pipe:
            for name in names:
                pipe.hgetall(keys.model(project, name))
                pipe.hgetall(keys.model_aliases(project, name))
            answers = iter(pipe.execute())
        pairs = zip(answers, answers, strict=True)
        return [_to_model(record, aliases) for record, aliases in pairs if record]

    def _names(
        self,
        project: str,
        after: str | None,
        first: int,
        task: str | None,
        tags: Collection[tuple[str, str]],
    ) -> Iterator[str]:
        """Of the models that are asked for, in order; `first` of all are looked at at once, then more."""
        lower, count = f"({after}" if after else "-", first
        while names := self._redis.zrange(keys.models(project), lower, "+", bylex=True, offset=0, num=count):
            yield from self._narrowed(project, names, task, tags) if task or tags else names
            lower, count = f"({names[-1]}", max(count, _SCAN)

    def _narrowed(
        self, project: str, names: Sequence[str], task: str | None, tags: Collection[tuple[str, str]]
    ) -> Iterator[str]:
        with self._redis.pipeline() as pipe:
            for name in names:
                pipe.hmget(keys.model(project, name), "tags", "latest_version")
            told = pipe.execute()
        with self._redis.pipeline() as pipe:
            for name, (_, latest) in zip(names, told, strict=True):
                pipe.hget(keys.model_version(project, name, int(latest or 0)), "task")
            tasks = pipe.execute()
        for name, (held, _), found in zip(names, told, tasks, strict=True):
            if task in (None, found) and all(item in json.loads(held or "{}").items() for item in tags):
                yield name

    def update(
        self,
        project: str,
        name: str,
        changes: Mapping[str, Any],
        *,
        condition: Condition = UNCONDITIONAL,
    ) -> Model:
        """Change description or tags. Raises NotFound, PreconditionFailed."""
        if not self._annotated(keys.model(project, name), changes, condition, "dated"):
            raise unknown_model(name)
        return self.get(project, name)

    def update_version(
        self,
        project: str,
        name: str,
        number: int,
        changes: Mapping[str, Any],
        *,
        condition: Condition = UNCONDITIONAL,
    ) -> ModelVersion:
        """The same of a version, which is otherwise as it was made. Raises NotFound, PreconditionFailed."""
        if not self._annotated(keys.model_version(project, name, number), changes, condition):
            raise unknown_version(name, number)
        return self.version(project, name, number)

    def _annotated(
        self, record: str, changes: Mapping[str, Any], condition: Condition, dated: str = ""
    ) -> bool:
        """Whether the record exists; if so, it has been changed."""
        fields = [
            part if isinstance(part, str) else json.dumps(part) for pair in changes.items() for part in pair
        ]
        answer = self._annotate(
            keys=[record, keys.call(secrets.token_hex(16))], args=[*condition.args(), dated, *fields]
        )
        if answer[0] == "failed":
            raise PreconditionFailed(answer[1])
        return bool(answer[0] == "done")

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
                raise unknown_model(name)
            return name, int(latest)
        if self._redis.zscore(keys.model_versions(project, name), number) is None:
            raise unknown_version(name, int(number))
        return name, int(number)

    def version(self, project: str, name: str, number: int) -> ModelVersion:
        """Raises NotFound."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.model_version(project, name, number), *_VERSION_FIELDS)
            pipe.hgetall(keys.model_aliases(project, name))
            values, aliases = pipe.execute()
        record = _version_fields(values)
        if not record:
            raise unknown_version(name, number)
        return _to_version(record, aliases)

    def several(self, project: str, refs: Sequence[tuple[str, int]]) -> dict[str, ModelVersion]:
        """Those of the versions that there are, by name; one call for all. Of their aliases nothing is told."""
        if not refs:
            return {}
        with self._redis.pipeline() as pipe:
            for name, number in refs:
                pipe.hmget(keys.model_version(project, name, number), *_VERSION_FIELDS)
            records = [_version_fields(values) for values in pipe.execute()]
        return {record["name"]: _to_version(record, {}) for record in records if record}

    def version_revision(self, project: str, name: str, number: int) -> str:
        """What changes whenever anything that is told of the version does. Raises NotFound."""
        known, revision = self._redis.hmget(keys.model_version(project, name, number), "name", "revision")
        if known is None:
            raise unknown_version(name, number)
        return revision or FIRST_REVISION

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
            self.revision(project, name)
            return [], False
        with self._redis.pipeline() as pipe:
            for number in numbers[:limit]:
                pipe.hmget(keys.model_version(project, name, int(number)), *_VERSION_FIELDS)
            pipe.hgetall(keys.model_aliases(project, name))
            *records, aliases = pipe.execute()
        found = [
            record for record in map(_version_fields, records) if record
        ]  # some may have just been deleted
        return [_to_version(record, aliases) for record in found], len(numbers) > limit

    def artifact(self, project: str, name: str, number: int) -> Artifact:
        """Where the version's bytes are. Raises NotFound."""
        fields = ("job", "artifact_key", "bytes", "sha256", "signature", "library_versions", "artifact")
        job_id, key, size, sha256, signature, libraries, contents = self._redis.hmget(
            keys.model_version(project, name, number), *fields
        )
        if key is None:
            raise unknown_version(name, number)
        made_with, held = json.loads(libraries or "{}"), json.loads(contents or "null")
        return Artifact(project, name, number, job_id, key, int(size), sha256, signature, made_with, held)

    def next_number(self, project: str, name: str) -> int:
        """The number that the next version will have, unless another one comes first."""
        with self._redis.pipeline() as pipe:
            pipe.hget(keys.model_remains(project, name), "number")
            pipe.hget(keys.model(project, name), "latest_version")
            given_out, latest = pipe.execute()
        return max(int(given_out or 0), int(latest or 0)) + 1

    def baseline(self, project: str, name: str, number: int) -> dict[str, Any]:
        """What the version keeps of the rows it was fitted on; empty where it keeps nothing."""
        held = self._redis.hget(keys.model_version(project, name, number), "baseline")
        found: dict[str, Any] = json.loads(held or "{}")
        return found

    def report(self, project: str, name: str, number: int) -> str:
        """The JSON of what fine-tuning found out about the version. Raises NotFound, also for a plain training's."""
        known, report = self._redis.hmget(keys.model_version(project, name, number), "name", "report")
        if known is None:
            raise unknown_version(name, number)
        if report is None:
            sentence = f"the version {number} of {name} was not fine-tuned, so it has no report"
            raise NotFound(sentence, code="no_report")
        return str(report)


def unknown_model(name: str) -> NotFound:
    return NotFound(f"there is no model {name}", code="unknown_model")


def unknown_version(name: str, number: int) -> NotFound:
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
        revision=record.get("revision", FIRST_REVISION),
    )


def _version_fields(values: Sequence[str | None]) -> dict[str, str]:
    """What an answer about `_VERSION_FIELDS` holds; nothing of a version that is gone."""
    return {field: value for field, value in zip(_VERSION_FIELDS, values, strict=True) if value is not None}


def _to_version(record: Mapping[str, str], aliases: Mapping[str, str]) -> ModelVersion:
    held: dict[str, Any] = {
        field: json.loads(value) if field in JSON_FIELDS else value for field, value in record.items()
    }
    held["created_at"] = from_ms(int(held["created_at"]))
    held["aliases"] = sorted(alias for alias, version in aliases.items() if version == held["version"])
    for field in ("version", "bytes", "seed"):
        if field in held:
            held[field] = int(held[field])
    held["compatibility"] = judged(held["library_versions"], held.get("artifact"))
    return ModelVersion.model_validate(held)
