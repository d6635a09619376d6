"""Deletes what nobody needs any more: expired jobs and uploads, and objects that nothing refers to.

An object stays while a dataset, a model version, a job's output, a checkpoint or a running attempt refers to it, and
in any case until it is `orphan_seconds` old, so that what is being written is left alone. A job stays while the model
version that came of it does. Objects under keys that Graft did not make are never touched.

`python -m worker.upkeep.sweeper --dry-run` says what a sweep would delete.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from shared import keys, logs, storage
from shared import services as composition
from shared.config import Settings
from shared.errors import Conflict, NotFound, Temporary
from shared.services import Services

log = logs.get(__name__)


def run(services: Services) -> None:
    """Sweep in a thread of its own, if one is due: it may take long, and the other chores do not wait."""
    if services.jobs.sweep_is_due(services.settings.sweep_seconds):
        threading.Thread(target=_sweep_quietly, args=(services,), name="sweeper", daemon=True).start()


def sweep_deliveries(services: Services) -> int:
    """Forget webhook deliveries that ended long ago. Returns how many."""
    before = datetime.now(UTC) - timedelta(seconds=services.settings.webhook_retention_seconds)
    before_ms = int(before.timestamp() * 1000)
    return sum(services.deliveries.expire(project, before_ms) for project in services.jobs.projects())


def sweep(services: Services, *, dry_run: bool = False) -> tuple[list[str], list[str]]:
    """Delete expired jobs and uploads, then orphaned objects. Returns the job ids and the object keys."""
    now = datetime.now(UTC)
    before = now - timedelta(seconds=services.settings.retention_seconds)
    jobs = list(_expired_jobs(services, int(before.timestamp() * 1000), dry_run=dry_run))
    cutoff = now - timedelta(seconds=services.settings.orphan_seconds)
    objects = list(_expired_parts(services, dry_run=dry_run))
    for item in services.objects.list(""):
        if item.modified < cutoff and _is_orphan(services, item.key):
            objects.append(item.key)
            if not dry_run:
                services.objects.delete(item.key)
    return jobs, objects


def _sweep_quietly(services: Services) -> None:
    try:
        for project in services.jobs.projects():
            services.lineage.index_past(project)
        jobs, objects = sweep(services)
        log.info("swept", jobs=len(jobs), objects=len(objects), deliveries=sweep_deliveries(services))
    except Temporary as error:
        log.warning("sweep_postponed", reason=error.message)
    except Exception:
        log.exception("sweep_failed")


def _expired_jobs(services: Services, before_ms: int, *, dry_run: bool) -> Iterator[str]:
    for project in services.jobs.projects():
        if not dry_run:
            services.usage.forget(project, days=services.settings.usage_days)
            if drift := services.stored.mend(project):
                log.error("stored_bytes_mended", project=project, **drift)
        for record in services.jobs.ended_before(project, before_ms):
            if "model_version" in record and "version_deleted" not in record:
                continue
            if dry_run or services.jobs.forget(record, ended_before_ms=before_ms):
                yield record["id"]


def _expired_parts(services: Services, *, dry_run: bool) -> Iterator[str]:
    """Parts of uploads whose time is up. The record goes first, so that nobody completes what is being deleted."""
    for project, upload_id in services.uploads.expired():
        try:
            if not dry_run and not services.uploads.delete(project, upload_id, only_expired=True):
                continue
        except (NotFound, Conflict):
            continue  # deleted, or being completed
        for item in list(services.objects.list(keys.upload_prefix(project, upload_id))):
            if not dry_run:
                services.objects.delete(item.key)
            yield item.key


def _is_orphan(services: Services, key: str) -> bool:
    """Whether the object is one of Graft's and nothing refers to it."""
    if dataset := keys.split_dataset_object(key):
        return _missing(lambda: services.datasets.get(*dataset))
    if part := keys.split_upload_part(key):
        return _is_done_with(services, *part[:2])
    if attempt := keys.split_job_object(key):
        return not _needed(services, key, *attempt)
    return False


def _is_done_with(services: Services, project: str, upload_id: str) -> bool:
    """Whether the upload is gone or completed."""
    try:
        return services.uploads.get(project, upload_id).status == "completed"
    except NotFound:
        return True


def _needed(services: Services, key: str, project: str, job_id: str, token: str) -> bool:
    try:
        record = services.jobs.record(project, job_id)
    except NotFound:
        return False
    kept = json.loads(record.get("checkpoint", "{}")).get("files", ())
    if record.get("token") == token or any(file["key"] == key for file in kept):
        return True
    if "model_version" in record:
        return _is_artifact(services, key, project, record["model"], int(record["model_version"]))
    result = json.loads(record.get("result", "{}"))
    if any(file and file["key"] == key for file in [*result.get("files", ()), result.get("errors")]):
        return True  # what a shard has made
    output = result.get("output")
    return bool(output) and key.startswith(storage.split_uri(output["uri"])[1])


def _is_artifact(services: Services, key: str, project: str, name: str, number: int) -> bool:
    try:
        return services.models.artifact(project, name, number).key == key
    except NotFound:  # the version has been deleted
        return False


def _missing(look: Callable[[], object]) -> bool:
    try:
        look()
    except NotFound:
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.upkeep.sweeper", description="Sweep once, now.")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be deleted, and delete nothing"
    )
    chosen = parser.parse_args()
    jobs, objects = sweep(composition.build(Settings()), dry_run=chosen.dry_run)
    for line in (*jobs, *objects):
        print(line)  # noqa: T201


if __name__ == "__main__":
    main()
