"""Deleting models and versions: decided by one script each, which looks and deletes in the same step.

What refers to a version keeps it: an alias, a job that lives, a schedule whose job names it. A version that was
fine-tuned from it does not: a chain of weekly fine-tunes could else never be cut. What a descendant needs to say where
it comes from stays as a tombstone. Numbers are not given out twice. The artifact is deleted by the sweeper, later, so
that neither a process that dies here nor a Redis that loses its last second leaves a version without its bytes.
"""

from __future__ import annotations

import secrets

from shared import keys
from shared.conditions import UNCONDITIONAL, Condition
from shared.database import Database
from shared.errors import Conflict, PreconditionFailed, in_use
from shared.models import unknown_model, unknown_version
from shared.states import JobState


class Deletions:
    """Of models and versions in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._delete_version = database.script("delete_version")
        self._delete_model = database.script("delete_model")

    def version(
        self,
        project: str,
        name: str,
        number: int,
        *,
        condition: Condition = UNCONDITIONAL,
        by: str | None = None,
    ) -> None:
        """Raises NotFound, PreconditionFailed, InUse, or Conflict `only_version`: a model has a version at least."""
        record = keys.model_version(project, name, number)
        answer = self._delete_version(
            keys=[
                keys.model(project, name),
                keys.model_versions(project, name),
                keys.model_aliases(project, name),
                record,
                keys.version_users(project, name, number),
                keys.naming_schedules(record),
                keys.tombstone(project, name, number),
                keys.call(secrets.token_hex(16)),
            ],
            args=[number, *condition.args(), by or "", keys.job(project, "%s")],
        )
        match answer:
            case ["unknown"]:
                raise unknown_version(name, number)
            case ["failed", revision]:
                raise PreconditionFailed(revision)
            case ["used", aliases, jobs, schedules]:
                raise in_use(
                    f"{name}:{number}",
                    code="version_in_use",
                    aliases=aliases,
                    jobs=jobs,
                    schedules=schedules,
                )
            case ["only"]:
                sentence = f"{name} has no other version; delete the model to delete it with its last one"
                raise Conflict(sentence, code="only_version")

    def model(
        self, project: str, name: str, *, condition: Condition = UNCONDITIONAL, by: str | None = None
    ) -> None:
        """With all its versions. Raises NotFound, PreconditionFailed, InUse."""
        record, versions = keys.model(project, name), keys.model_version_template(project, name)
        answer = self._delete_model(
            keys=[
                record,
                keys.model_versions(project, name),
                keys.model_aliases(project, name),
                keys.model_remains(project, name),
                keys.models(project),
                keys.naming_schedules(record),
                keys.jobs_by(project, "model", name),
                keys.jobs_by(project, "status", JobState.QUEUED),
                keys.jobs_by(project, "status", JobState.RUNNING),
                keys.call(secrets.token_hex(16)),
            ],
            args=[
                name,
                *condition.args(),
                by or "",
                keys.job(project, "%s"),
                versions,
                keys.live_users(versions),
                keys.naming_schedules(versions),
                keys.tombstone_of(versions),
            ],
        )
        match answer:
            case ["unknown"]:
                raise unknown_model(name)
            case ["failed", revision]:
                raise PreconditionFailed(revision)
            case ["used", aliases, jobs, schedules]:
                raise in_use(name, code="model_in_use", aliases=aliases, jobs=jobs, schedules=schedules)
