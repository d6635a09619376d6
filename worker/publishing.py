"""Moves what an attempt made into the store, under keys that hold the attempt's token.

Nothing here takes effect: until the job is finished with the same token, no record points at these objects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from shared import keys, storage
from shared.job_records import Lease, NewVersion
from shared.services import Services
from shared.signing import Signed, made_of

CONTENT_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
}
MANIFEST = "_manifest.json"

Upload = Callable[[Callable[[], storage.Stored]], storage.Stored]
"""Runs one upload, again and again while the store is away; raises when the attempt must stop."""


def publish_model(
    services: Services, lease: Lease, record: Mapping[str, Any], outcome: Mapping[str, Any], upload: Upload
) -> NewVersion:
    """Upload the artifact; returns the version that finishing the job will bring into being, once it is `signed`."""
    spec, path = record["spec"], Path(outcome["artifact"])
    name = spec["model"]["name"]
    key = keys.attempt_prefix(lease.project, lease.job_id, lease.token) + "model.joblib"
    stored = upload(lambda: services.objects.put(key, path))
    return NewVersion(
        name=name,
        description=spec["model"].get("description"),
        tags=spec["model"].get("tags"),
        fields={
            **outcome["version"],
            "name": name,
            "job": lease.job_id,
            "dataset": spec["dataset"],
            "description": spec["model"].get("description") or "",
            "tags": spec["model"].get("tags") or {},
            "artifact_key": key,
            "bytes": stored.bytes,
            "sha256": stored.sha256,
            **version_report(outcome["result"]),
        },
    )


def signed(services: Services, lease: Lease, version: NewVersion, number: int) -> NewVersion:
    """The version with a signature that is good for this number alone, and for no other."""
    fields = version.fields
    made_with = made_of(fields["library_versions"], fields.get("artifact"))
    what = Signed(lease.project, version.name, number, lease.job_id, fields["sha256"], made_with)
    return replace(version, number=number, fields={**fields, "signature": services.signer.sign(what)})


def version_report(result: Mapping[str, Any]) -> dict[str, Any]:
    """A fine-tune's report stays with the version when its job has expired; the verdict guards its aliases."""
    report = result.get("report")
    return {"report": report, "verdict": report["verdict"]} if report else {}


def publish_output(
    services: Services, lease: Lease, record: Mapping[str, Any], outcome: Mapping[str, Any], upload: Upload
) -> dict[str, Any]:
    """Upload the files of a batch output, then the manifest that makes them an output. Returns `result.output`."""
    where = place(services, lease, record["spec"]["output"]["uri"])
    files, errors = _upload_files(services, *where, outcome, upload)
    columns, counts = outcome["result"]["columns"], outcome["counts"]
    return publish_manifest(services, lease, record, columns, counts, files, errors, where, upload)


def publish_manifest(
    services: Services,
    lease: Lease,
    record: Mapping[str, Any],
    columns: Any,
    counts: Mapping[str, int],
    files: list[dict[str, Any]],
    errors: dict[str, Any] | None,
    where: tuple[str, str],
    upload: Upload,
) -> dict[str, Any]:
    """Write the manifest of files that lie at `where` (bucket, prefix). Returns `result.output`."""
    bucket, prefix = where
    name, version = record["spec"]["model"].split(":")
    artifact = services.models.artifact(lease.project, name, int(version))
    manifest = {
        "job": lease.job_id,
        "rows": counts["succeeded"],
        "failed_rows": counts["failed"],
        "model": {"name": name, "version": int(version), "sha256": artifact.sha256},
        "schema_sha256": schema_digest(columns),
        "columns": columns,
        "files": files,
        "errors": errors,
    }
    content = json.dumps(manifest, indent=2).encode()
    upload(lambda: services.objects.at(bucket).put_bytes(prefix + MANIFEST, content))
    return {"uri": f"s3://{bucket}/{prefix}", "manifest": f"s3://{bucket}/{prefix}{MANIFEST}", **manifest}


def stage(services: Services, lease: Lease, outcome: Mapping[str, Any], upload: Upload) -> dict[str, Any]:
    """Upload the files of a shard, for the closing of its job to take. Entries have their `key`, too."""
    prefix = keys.attempt_prefix(lease.project, lease.job_id, lease.token)
    files, errors = _upload_files(services, services.objects.bucket, prefix, outcome, upload)
    for entry in [*files, *filter(None, [errors])]:
        entry["key"] = prefix + entry["name"]
    return {"files": files, "errors": errors}


def _upload_files(
    services: Services, bucket: str, prefix: str, outcome: Mapping[str, Any], upload: Upload
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The entries of data files, and of the file of errors if there is one."""
    objects = services.objects.at(bucket)
    files: list[dict[str, Any]] = []
    errors: dict[str, Any] | None = None
    for file in outcome["outputs"]:
        key, path = prefix + file["name"], Path(file["path"])
        kind = content_type(file["name"])
        stored = upload(lambda key=key, path=path, kind=kind: objects.put(key, path, content_type=kind))  # type: ignore[misc]
        entry = {"name": file["name"], "rows": file["rows"], "bytes": stored.bytes, "sha256": stored.sha256}
        if file["role"] == "errors":
            errors = entry
        else:
            files.append(entry)
    return files, errors


def content_type(name: str) -> str:
    return CONTENT_TYPES[PurePosixPath(name).suffix.removeprefix(".")]


def schema_digest(schema: Any) -> str:
    """SHA-256 of the columns of an output, as canonical JSON."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def place(services: Services, lease: Lease, uri: str | None) -> tuple[str, str]:
    """Bucket and prefix of an output. Below a user's prefix, too, each attempt has a folder of its own."""
    if uri is None:
        return services.objects.bucket, keys.attempt_prefix(
            lease.project, lease.job_id, lease.token
        ) + "output/"
    bucket, prefix = storage.split_uri(uri)
    return bucket, f"{prefix.rstrip('/')}/{lease.job_id}/{lease.token}/".lstrip("/")


def kept_bytes(services: Services, result: Mapping[str, Any]) -> int | None:
    """Of the output that a job leaves in our own bucket; None if it leaves none there."""
    output = result.get("output")
    if not output or storage.split_uri(output["uri"])[0] != services.objects.bucket:
        return None
    return sum(int(file["bytes"]) for file in [*output["files"], *filter(None, [output["errors"]])])
