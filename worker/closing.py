"""Makes one output of what the shards of a batch have made.

Their files are copied, by the store itself, into a folder that belongs to this very attempt. So no attempt at a shard
that is thought dead and writes late can add a file to an output, and rows are there once however they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shared import keys
from shared.job_records import Lease
from shared.services import Services
from worker import publishing
from worker.handlers.batch_output import ERRORS
from worker.publishing import Upload
from worker.recovery import Finished

_COPIES_AT_ONCE = 8
_MOST_WARNINGS = 20


def close(
    services: Services, lease: Lease, job: Mapping[str, Any], workdir: Path, moving: Callable[..., Any]
) -> Finished:
    """Copy the shards' files, join their errors, write the manifest. Nothing of it counts before the commit."""
    shards = services.shards.records(lease.project, lease.job_id)
    results = [shard["result"] for shard in shards]
    bucket, prefix = publishing.place(services, lease, job["spec"]["output"]["uri"])
    objects = services.objects.at(bucket)
    files = [file for result in results for file in result["files"]]

    def copy(file: Mapping[str, Any]) -> None:
        kind = publishing.content_type(file["name"])
        objects.copy(services.objects, file["key"], prefix + file["name"], content_type=kind)

    def copy_all() -> None:
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(copy, files))

    moving(copy_all)
    errors = _joined_errors(services, results, workdir, moving, bucket, prefix)
    counts = {
        name: sum(result["counts"][name] for result in results) for name in ("total", "succeeded", "failed")
    }
    columns = next((result["columns"] for result in results if result["files"]), results[0]["columns"])
    listed = [{name: value for name, value in file.items() if name != "key"} for file in files]
    output = publishing.publish_manifest(
        services, lease, job, columns, counts, listed, errors, (bucket, prefix), moving
    )
    warnings = dict.fromkeys(
        [*job.get("warnings", []), *(text for shard in shards for text in shard.get("warnings", []))]
    )
    return Finished({"output": output}, None, counts, job.get("usage"), tuple(warnings)[:_MOST_WARNINGS])


def staged_keys(services: Services, lease: Lease) -> list[str]:
    """The objects that this job's own shards have staged, and those of a job it retries not."""
    own = keys.job_prefix(lease.project, f"{lease.job_id}.").removesuffix("/")
    entries = (
        entry
        for shard in services.shards.records(lease.project, lease.job_id)
        for entry in [*shard["result"]["files"], shard["result"]["errors"]]
    )
    return [entry["key"] for entry in entries if entry and entry["key"].startswith(own)]


def _joined_errors(
    services: Services,
    results: list[Mapping[str, Any]],
    workdir: Path,
    upload: Upload,
    bucket: str,
    prefix: str,
) -> dict[str, Any] | None:
    """The shards' lists of failed rows as one, in the order of the input."""
    entries = [result["errors"] for result in results if result["errors"]]
    if not entries:
        return None
    path, piece = workdir / ERRORS, workdir / "errors-of-one-shard"
    with path.open("wb") as joined:
        for entry in entries:
            upload(lambda entry=entry: services.objects.download(entry["key"], piece))  # type: ignore[misc]
            joined.write(piece.read_bytes())
    kind = publishing.content_type(ERRORS)
    stored = upload(lambda: services.objects.at(bucket).put(prefix + ERRORS, path, content_type=kind))
    rows = sum(entry["rows"] for entry in entries)
    return {"name": ERRORS, "rows": rows, "bytes": stored.bytes, "sha256": stored.sha256}
