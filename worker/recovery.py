"""Finished work that does not count, found again in the store by the job's next attempt.

The last object that an attempt uploads, before the commit, says what it has made. If the commit never comes (the worker
dies, is cut off), or Redis forgets it (a power cut may take the last second of its file), the next attempt finds that
object and commits what it says instead of computing it again. The job takes effect once either way: that is for the
commit to see to, under the token of the attempt that makes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from shared import keys, logs, storage
from shared.errors import NotFound
from shared.job_records import Lease, NewVersion
from shared.services import Services

log = logs.get(__name__)

_NAME = "finished.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything that a commit writes. What it refers to lies in the store."""

    result: dict[str, Any]
    version: NewVersion | None = None
    counts: dict[str, int] | None = None
    usage: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()


def keep(services: Services, lease: Lease, finished: Finished) -> storage.Stored:
    """Write down, signed, what is about to be committed."""
    content = json.dumps({"project": lease.project, "job": lease.job_id, **asdict(finished)})
    sealed = f"{services.signer.seal(content)}\n{content}"
    prefix = keys.attempt_prefix(lease.project, lease.job_id, lease.token)
    return services.objects.put_bytes(prefix + _NAME, sealed.encode())


def find(services: Services, lease: Lease) -> Finished | None:
    """What an earlier attempt at the job had finished, if all of it is there."""
    for item in services.objects.list(keys.job_prefix(lease.project, lease.job_id)):
        if item.key.endswith(f"/{_NAME}") and (found := _read(services, lease, item.key)):
            return found
    return None


def _read(services: Services, lease: Lease, key: str) -> Finished | None:
    signature, _, content = services.objects.get_bytes(key).decode(errors="replace").partition("\n")
    if not services.signer.is_seal(signature, content):
        log.warning("finished_work_ignored", key=key, reason="its signature does not match")
        return None
    held = json.loads(content)
    if (held.pop("project"), held.pop("job")) != (lease.project, lease.job_id):
        log.warning("finished_work_ignored", key=key, reason="it is another job's")
        return None
    version = held.pop("version")
    found = Finished(
        **{**held, "version": version and NewVersion(**version), "warnings": tuple(held["warnings"])}
    )
    return found if _is_whole(services, found) else None


def _is_whole(services: Services, found: Finished) -> bool:
    """Whether every object that it refers to is there in its size. What is there is whole and immutable."""
    sizes: list[tuple[str, str, int]] = []
    if found.version:
        fields = found.version.fields
        sizes.append((services.objects.bucket, fields["artifact_key"], fields["bytes"]))
    if output := found.result.get("output"):
        bucket, prefix = storage.split_uri(output["uri"])
        files = [*output["files"], *filter(None, [output["errors"]])]
        sizes += [(bucket, prefix + file["name"], file["bytes"]) for file in files]
    staged = [*found.result.get("files", ()), *filter(None, [found.result.get("errors")])]
    sizes += [(services.objects.bucket, file["key"], file["bytes"]) for file in staged]
    try:
        return all(services.objects.at(bucket).size(key) == size for bucket, key, size in sizes)
    except NotFound as error:
        log.warning("finished_work_ignored", reason=error.message)
        return False
