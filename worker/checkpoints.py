"""Checkpoints of long attempts: written to the store, pointed at by the job, and trusted only if they fit.

An object is whole before the pointer moves, and the pointer is moved by a script that checks the token. A later
attempt goes on from a checkpoint only if everything that the work depends on is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared import keys, logs
from shared.errors import LostLease, NotFound, Temporary
from shared.jobs import Lease
from shared.services import Services
from worker.handlers.base import Assignment
from worker.handlers.reporting import library_versions

log = logs.get(__name__)

_IRRELEVANT = ("metadata", "priority", "max_attempts", "timeout_seconds", "webhook_url", "model")
"""Fields of a spec that do not change what is computed. `model` is where a result goes; a batch has none to resume."""


def resume(services: Services, lease: Lease, record: Mapping[str, Any], assignment: Assignment) -> Assignment:
    """The assignment with the job's checkpoint, if there is one that fits; noted in the event log."""
    held = record.get("checkpoint")
    if not held:
        return assignment
    if held["fingerprint"] != fingerprint(assignment):
        log.warning("checkpoint_ignored", reason="the inputs or the libraries have changed")
        return assignment
    path = assignment.workdir / "resume"
    try:
        stored = services.objects.download(held["key"], path)
    except (NotFound, Temporary) as error:
        log.warning("checkpoint_ignored", reason=error.message)
        return assignment
    if stored.sha256 != held["sha256"]:
        log.warning("checkpoint_ignored", reason="its digest is not the recorded one")
        return assignment
    services.jobs.note(lease, "resumed", reason=f"from {held['completed']} {held['unit']}")
    return replace(assignment, checkpoint=path)


class Checkpoints:
    """The checkpoints of one attempt: each replaces the one before."""

    def __init__(self, services: Services, lease: Lease, assignment: Assignment, before: str | None) -> None:
        self._services = services
        self._lease = lease
        self._fingerprint = fingerprint(assignment)
        self._key = before

    def save(self, path: Path, completed: int, unit: str) -> None:
        """Upload and point at it. A store or Redis that is away costs this checkpoint, not the attempt."""
        objects, lease = self._services.objects, self._lease
        prefix = keys.attempt_prefix(lease.project, lease.job_id, lease.token)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            key = f"{prefix}checkpoint-{digest[:16]}"
            stored = objects.put(key, path)
            pointer = {
                "key": key,
                "sha256": stored.sha256,
                "fingerprint": self._fingerprint,
                "completed": completed,
                "unit": unit,
            }
            self._services.jobs.note(lease, "checkpoint", reason=f"{completed} {unit}", checkpoint=pointer)
        except (Temporary, LostLease) as error:
            log.warning("checkpoint_failed", reason=error.message)
            return
        finally:
            path.unlink(missing_ok=True)
        self.discard()
        self._key = key

    def discard(self) -> None:
        """Delete the newest; nothing points at it any more."""
        if self._key is None:
            return
        try:
            self._services.objects.delete(self._key)
        except Temporary as error:
            log.warning("checkpoint_left_behind", key=self._key, reason=error.message)
        self._key = None


def fingerprint(assignment: Assignment) -> str:
    """SHA-256 of what the work depends on: spec, input digests, library versions."""
    depends = {
        "spec": {name: value for name, value in assignment.spec.items() if name not in _IRRELEVANT},
        "tables": {role: table.sha256 for role, table in assignment.tables.items()},
        "models": {ref: model.sha256 for ref, model in assignment.models.items()},
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
