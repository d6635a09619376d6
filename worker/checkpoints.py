"""Checkpoints of long attempts: written to the store, pointed at by the job, and trusted only if they fit.

A checkpoint is a few files. Its objects are whole before the pointer moves, and the pointer is moved by a script that
checks the token. A later attempt goes on from a checkpoint only if everything that the work depends on is the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared import keys, logs, storage
from shared.errors import LostLease, NotFound, Temporary
from shared.job_records import Lease
from shared.services import Services
from worker.handlers.base import Assignment
from worker.handlers.reporting import library_versions

log = logs.get(__name__)

_IRRELEVANT = ("metadata", "priority", "max_attempts", "timeout_seconds", "webhook_url", "model")
"""Fields of a spec that do not change what is computed. `model` is where a result goes; the digest of one that is
read counts."""


def resume(services: Services, lease: Lease, record: Mapping[str, Any], assignment: Assignment) -> Assignment:
    """The assignment with the job's checkpoint, if there is one that fits; noted in the event log."""
    held = record.get("checkpoint")
    if not held:
        return assignment
    if held["fingerprint"] != fingerprint(assignment):
        log.warning("checkpoint_ignored", reason="the inputs or the libraries have changed")
        return assignment
    folder = assignment.workdir / "resume"
    folder.mkdir()
    try:
        for file in held["files"]:
            stored = services.objects.download(file["key"], folder / file["name"])
            if stored.sha256 != file["sha256"]:
                raise NotFound(f"the digest of {file['key']} is not the recorded one")
    except (NotFound, Temporary) as error:
        log.warning("checkpoint_ignored", reason=error.message)
        return assignment
    services.jobs.note(lease, "resumed", reason=f"from {held['completed']} {held['unit']}")
    return replace(assignment, checkpoint=folder)


class Checkpoints:
    """The checkpoints of one attempt: each replaces the one before, and keeps the files that both have."""

    def __init__(
        self, services: Services, lease: Lease, assignment: Assignment, before: Mapping[str, Any] | None
    ) -> None:
        self._services = services
        self._lease = lease
        self._fingerprint = fingerprint(assignment)
        self._files: dict[str, dict[str, str]] = {
            file["name"]: file for file in (before or {}).get("files", ())
        }

    def save(self, folder: Path, completed: int, unit: str) -> None:
        """Upload what is new and point at it. A store or Redis that is away costs this checkpoint, not the attempt."""
        try:
            files = {
                path.name: self._files.get(path.name) or self._upload(path)
                for path in sorted(folder.iterdir())
            }
            pointer = {
                "files": list(files.values()),
                "fingerprint": self._fingerprint,
                "completed": completed,
                "unit": unit,
            }
            self._services.jobs.note(
                self._lease, "checkpoint", reason=f"{completed} {unit}", checkpoint=pointer
            )
        except (Temporary, LostLease) as error:
            log.warning("checkpoint_failed", reason=error.message)
            return
        finally:
            shutil.rmtree(folder)
        outdated = [file["key"] for name, file in self._files.items() if name not in files]
        self._files = files
        self._delete(outdated)

    def discard(self) -> None:
        """Delete the newest; nothing points at it any more."""
        files, self._files = self._files, {}
        self._delete(file["key"] for file in files.values())

    def _upload(self, path: Path) -> dict[str, str]:
        lease = self._lease
        digest = storage.digest(path).sha256
        key = f"{keys.attempt_prefix(lease.project, lease.job_id, lease.token)}checkpoint/{digest[:32]}"
        self._services.objects.put(key, path)
        return {"name": path.name, "key": key, "sha256": digest}

    def _delete(self, outdated: Iterable[str]) -> None:
        for key in outdated:
            try:
                self._services.objects.delete(key)
            except Temporary as error:
                log.warning("checkpoint_left_behind", key=key, reason=error.message)


def fingerprint(assignment: Assignment) -> str:
    """SHA-256 of what the work depends on: spec, input digests, library versions."""
    depends = {
        "spec": {name: value for name, value in assignment.spec.items() if name not in _IRRELEVANT},
        "tables": {role: table.sha256 for role, table in assignment.tables.items()},
        "models": {ref: model.sha256 for ref, model in assignment.models.items()},
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
