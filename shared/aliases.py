"""Aliases: movable names for the versions of a model, each with an append-only history.

    champion ──▶ churn:3      history: → 1, 1 → 2, 2 → 3, 3 → 2 (rollback), …

The revision of an alias is the id of its history's newest entry: it changes with every move and never comes back, not
even when the alias is taken away and made anew.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from shared import keys
from shared.conditions import UNCONDITIONAL, Condition
from shared.contracts.base import from_ms
from shared.contracts.models import Alias, AliasChange
from shared.database import Database
from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.models import ModelStore, unknown_model, unknown_version


class AliasStore:
    """Aliases in Redis. Safe to share between threads and processes.

    A change names what it expects of the alias (`Condition`) and who asks for it (the id of a key). Those that find
    another revision raise PreconditionFailed, and then nothing has changed.
    """

    def __init__(self, database: Database, models: ModelStore) -> None:
        self._redis = database
        self._models = models
        self._set_alias = database.script("set_alias")

    def get(self, project: str, name: str, alias: str) -> tuple[Alias, str]:
        """Where it points, and its revision. Raises NotFound."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hget(keys.model_aliases(project, name), alias)
            pipe.xrevrange(keys.alias_history(project, name, alias), count=1)
            version, newest = pipe.execute()
        if version is None:
            self._models.revision(project, name)
            raise unknown_alias(name, alias)
        return Alias(alias=alias, version=int(version)), newest[0][0]

    def revisions(self, project: str, name: str, aliases: Sequence[str]) -> dict[str, str]:
        """Of each of a model's aliases the revision, as `get` tells it; one call for all."""
        if not aliases:
            return {}
        with self._redis.pipeline() as pipe:
            for alias in aliases:
                pipe.xrevrange(keys.alias_history(project, name, alias), count=1)
            found = pipe.execute()
        return {alias: newest[0][0] for alias, newest in zip(aliases, found, strict=True) if newest}

    def set(
        self,
        project: str,
        name: str,
        alias: str,
        version: int,
        *,
        force: bool = False,
        condition: Condition = UNCONDITIONAL,
        by: str | None = None,
    ) -> tuple[int, str]:
        """Point the alias at a version: that version, and the alias's revision from now on.

        Raises NotFound, or Conflict `negative_transfer` for a version that is worse than what it was made from, unless
        `force` is given. Where it points already it stays, without an entry in its history.
        """
        return self._move(project, name, alias, str(version), condition, by, force=force)

    def rollback(
        self,
        project: str,
        name: str,
        alias: str,
        *,
        condition: Condition = UNCONDITIONAL,
        by: str | None = None,
    ) -> tuple[int, str]:
        """Undo the newest move that has not been undone: the version it points at now, and its revision.

        Raises NotFound, or Conflict if there is no such move, if the version before it has been deleted, or if that is
        worse than what it was made from.
        """
        return self._move(project, name, alias, "rollback", condition, by)

    def delete(
        self,
        project: str,
        name: str,
        alias: str,
        *,
        condition: Condition = UNCONDITIONAL,
        by: str | None = None,
    ) -> None:
        """Take the alias away; its history stays. Raises NotFound."""
        self._move(project, name, alias, "delete", condition, by)

    def history(
        self, project: str, name: str, alias: str, *, limit: int, after: str | None = None
    ) -> tuple[list[AliasChange], bool]:
        """Newest first: up to `limit` moves before `after`, and whether there are more.

        Raises NotFound for an alias that never was.
        """
        stream = keys.alias_history(project, name, alias)
        upper = f"({after}" if after else "+"
        has_before = after is None or any(int(part) for part in after.split("-"))  # Redis refuses "(0-0"
        entries = self._redis.xrevrange(stream, max=upper, count=limit + 1) if has_before else []
        if not entries and not self._redis.exists(stream):
            raise unknown_alias(name, alias)
        return [_to_change(*entry) for entry in entries[:limit]], len(entries) > limit

    def _move(
        self,
        project: str,
        name: str,
        alias: str,
        wanted: str,
        condition: Condition,
        by: str | None,
        *,
        force: bool = False,
    ) -> tuple[int, str]:
        answer = self._set_alias(
            keys=[
                keys.model(project, name),
                keys.model_versions(project, name),
                keys.model_aliases(project, name),
                keys.alias_history(project, name, alias),
                keys.call(secrets.token_hex(16)),
            ],
            args=[
                alias,
                wanted,
                keys.model_version_template(project, name),
                "force" if force else "",
                *condition.args(),
                by or "",
            ],
        )
        match answer:
            case ["set", number, revision]:
                return int(number), revision
            case ["deleted"]:
                return 0, ""
            case ["failed", revision]:
                raise PreconditionFailed(revision or None)
            case ["unknown_model"]:
                raise unknown_model(name)
            case ["unknown_alias"]:
                raise unknown_alias(name, alias)
            case ["negative_transfer", number]:
                raise self._worse(project, name, int(number))
            case ["no_history"]:
                raise Conflict(f"{alias} has pointed at no other version before", code="no_previous_version")
            case ["gone", number]:
                sentence = f"{alias} pointed at version {number} before, which has been deleted"
                raise Conflict(f"{sentence}; PUT the alias where it should point", code="version_gone")
        raise unknown_version(name, int(wanted))

    def _worse(self, project: str, name: str, number: int) -> Conflict:
        """Why an alias may not point at the version, in its report's words."""
        summary = json.loads(self._models.report(project, name, number)).get("summary") or {}
        reason = summary.get("headline") or "its report's verdict is negative_transfer."
        sentence = f"{name}:{number} is worse than what it was made from: {reason}"
        how = "PUT the alias with force: true to move it there nevertheless."
        return Conflict(f"{sentence} {how}", code="negative_transfer")


def unknown_alias(name: str, alias: str) -> NotFound:
    return NotFound(f"the model {name} has no alias {alias}", code="unknown_alias")


def _to_change(entry_id: str, fields: dict[str, str]) -> AliasChange:
    return AliasChange(
        id=entry_id,
        version=int(fields["version"]) if fields["version"] else None,
        previous=int(fields["previous"]) if fields["previous"] else None,
        at=from_ms(int(entry_id.partition("-")[0])),
        by=fields.get("by"),
        forced="forced" in fields,
        rollback="rollback" in fields,
    )
