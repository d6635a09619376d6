"""Settings: read from `GRAFT_*` environment variables once, at the start of a process.

Durations are seconds, sizes are bytes. `python -m shared.config` prints the table of docs/operations.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 2**20
GIB = 2**30

SECRET_VARIABLES = (
    "GRAFT_REDIS_URL",
    "GRAFT_S3_ACCESS_KEY_ID",
    "GRAFT_S3_SECRET_ACCESS_KEY",
    "GRAFT_SIGNING_KEY",
    "GRAFT_API_KEYS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
)
"""What no child that computes or reads may find in its environment."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="GRAFT_", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # Servers
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Where Redis is, with its password."""
    s3_endpoint_url: str | None = None
    """Where the object store is; none: AWS."""
    s3_public_endpoint_url: str | None = None
    """The address that presigned links carry, when clients reach the store by another one."""
    s3_access_key_id: str | None = None
    """Credentials of the store; none: where boto3 looks for them."""
    s3_secret_access_key: SecretStr | None = None
    """The secret that goes with it."""
    s3_region: str = "us-east-1"
    """The store's region."""
    s3_bucket: str = "graft"
    """Where Graft keeps datasets, artifacts and outputs."""
    s3_allowed_buckets: Annotated[tuple[str, ...], NoDecode] = ()
    """Buckets whose objects users may name as `s3://…`; comma-separated. Never our own."""

    # Secrets
    signing_key: Annotated[SecretStr, Field(min_length=16)]
    """Signs model artifacts. All processes need the same; without it no artifact of before can be opened."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Comma-separated; each `key` (the operator's, in the project `default`) or `project:key`."""
    max_keys: Annotated[int, Field(gt=0)] = 1_000
    """API keys that one project may have, besides those of `GRAFT_API_KEYS`."""

    # Jobs
    lease_seconds: Annotated[float, Field(gt=0)] = 30.0
    """How long an attempt owns its job without renewing."""
    renew_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often it renews; a cancel is heard within this time."""
    tick_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often progress is written while it moves; a cancel is then heard within this time."""
    upkeep_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How often every worker does the chores."""
    rewake_seconds: Annotated[float, Field(gt=0)] = 5.0
    """A queued job that nobody has claimed for this long gets another wake-up."""
    stop_grace_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Between a child's SIGTERM and its SIGKILL."""
    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long a worker that is told to stop lets its running jobs finish before it gives them back."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often a long fit is written to the store, so that another attempt goes on from there."""
    child_memory_bytes: Annotated[int, Field(ge=0)] | None = None
    """What a job's child may have before it fails as `out_of_memory`; none: its share of 80 % of the memory; 0: any."""
    max_timeout_seconds: Annotated[int, Field(gt=0)] = 24 * 3600
    """The longest time limit an attempt may have, and the one it has if none is given."""
    max_live_jobs: Annotated[int, Field(gt=0)] = 100_000
    """Queued and running jobs that one project may have at a time."""
    max_project_bytes: Annotated[int, Field(ge=0)] = 0
    """Bytes of uploaded datasets, artifacts and outputs that one project may keep; 0: any number."""
    artifact_cache_bytes: Annotated[int, Field(ge=0)] = 1 * GIB
    """Artifacts that the workers of a machine keep below `temp_dir`, to fetch no model once for each shard."""
    max_interruptions: Annotated[int, Field(ge=0)] = 20
    """How often a job goes back uncharged because its worker was told to stop; further times cost an attempt."""
    max_schedules: Annotated[int, Field(gt=0)] = 1_000
    """Schedules that one project may have."""
    idempotency_seconds: Annotated[int, Field(gt=0)] = 24 * 3600
    """How long an Idempotency-Key is remembered."""

    # Webhooks
    webhook_allow_private: bool = False
    """Whether webhooks may call private addresses: for receivers in a network of one's own. Never a link's own."""
    webhook_allow_http: bool = False
    """Whether webhooks may call `http://` URLs."""
    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode] = (
        5,
        300,
        1800,
        7200,
        18000,
        36000,
        50400,
        72000,
        86400,
    )
    """Pauses before a delivery is tried again, each with jitter; comma-separated. After the last it has failed."""
    webhook_connect_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Time to look a receiver's name up and to connect."""
    webhook_total_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Time for one attempt in all."""
    webhook_threads: Annotated[int, Field(gt=0)] = 4
    """Deliveries that one worker attempts at a time, besides its jobs."""
    webhook_disable_seconds: Annotated[float, Field(gt=0)] = 5 * 24 * 3600.0
    """An endpoint that has failed for so long, ten times or more in a row, is switched off."""
    webhook_retention_seconds: Annotated[int, Field(gt=0)] = 14 * 24 * 3600
    """How long deliveries that have ended are kept."""
    max_deliveries: Annotated[int, Field(gt=0)] = 10_000
    """Deliveries of one endpoint that are kept, besides those that wait."""
    max_webhooks: Annotated[int, Field(gt=0)] = 20
    """Endpoints that one project may have."""

    sweep_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """How often one of the workers looks for expired jobs and orphaned objects."""
    retention_seconds: Annotated[int, Field(gt=0)] = 30 * 24 * 3600
    """How long an ended job and its output are kept. Jobs that made a model version stay."""
    orphan_seconds: Annotated[int, Field(gt=0)] = 24 * 3600
    """Age from which an object that nothing refers to is deleted."""
    usage_days: Annotated[int, Field(gt=0)] = 400
    """How long it is kept what projects used on a day."""
    stalled_seconds: Annotated[float, Field(gt=0)] = 60.0
    """A worker with room that has let jobs wait for so long says so in /readyz and exits."""

    # Requests
    rate_limit: Annotated[int, Field(ge=0)] = 120_000
    """Requests that a project may send in a minute; 0: any number."""
    rate_limit_per_key: Annotated[int, Field(ge=0)] = 0
    """The same of each of its keys; 0: what the project may."""
    rate_limit_failures: Annotated[int, Field(ge=0)] = 60
    """Requests without a good key that an address may send in a minute, before it is refused any; 0: any number."""
    trusted_proxies: Annotated[int, Field(ge=0)] = 0
    """Proxies in front of the API, each of which adds to X-Forwarded-For the address that asked it."""

    # API
    max_upload_bytes: Annotated[int, Field(gt=0)] = 20 * GIB
    """The largest table that can be uploaded."""
    upload_seconds: Annotated[int, Field(gt=0)] = 24 * 3600
    """How long a table may take to come in parts; then what has come is deleted."""
    max_uploads: Annotated[int, Field(gt=0)] = 100
    """Uploads in parts that one project may have, completed ones included until they expire or are deleted."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 8 * MIB
    """The largest body of any other request."""
    client_seconds: Annotated[float, Field(gt=0)] = 20.0
    """How long a client may take for a head and a short body, or pause in a long one or in reading; then 408."""
    client_bytes_per_second: Annotated[float, Field(gt=0)] = 10_240.0
    """The rate that a client has to keep up with a long body, and in reading the answer."""
    reader_memory_bytes: Annotated[int, Field(ge=64 * MIB)] = 1 * GIB
    """Memory of the child that reads an uploaded table, besides that of its libraries."""
    reader_cpu_seconds: Annotated[int, Field(gt=0)] = 60
    """Processor time that it may take, and a second more for each MiB of the file."""
    max_readers: Annotated[int, Field(gt=0)] = 4
    """Tables that one API process reads at a time; others wait for 10 s, then get 503."""
    max_predict_rows: Annotated[int, Field(gt=0)] = 10_000
    """Rows of one online prediction."""
    model_cache_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    """Models that one API process keeps loaded, by the bytes of their artifacts."""
    max_waiting: Annotated[int, Field(ge=0)] = 8
    """Long polls and event streams that one API process holds at a time; keep it below the thread count."""
    stream_seconds: Annotated[float, Field(gt=0)] = 300.0
    """The longest event stream; a client that wants more connects again. A key that is revoked is heard of then."""
    link_seconds: Annotated[int, Field(gt=0)] = 3600
    """How long a presigned link is good for."""

    session_seconds: Annotated[int, Field(gt=0)] = 12 * 3600
    """How long who has logged in to the dashboard stays so; less if the key ends before."""

    allow_incompatible_models: bool = False
    """Open models of incompatible library versions too, with a warning ([predict.md](predict.md))."""

    # Places
    temp_dir: Path = Field(default_factory=lambda: Path(gettempdir()))
    """Where uploads are spooled and attempts have their work directories."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @field_validator("s3_allowed_buckets", "api_keys", "webhook_retry_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("s3_allowed_buckets")
    @classmethod
    def _not_our_own(cls, buckets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """In our own bucket projects lie side by side: what a user may name there would be another's, too."""
        if info.data.get("s3_bucket") in buckets:
            raise ValueError("may not hold the bucket in which Graft keeps the objects of all projects")
        return buckets


def forget_secrets() -> None:
    """Take them out of this process's environment, for all that it starts from now on; after the clients are built."""
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)


def table() -> str:
    """Every setting as a row of a Markdown table."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if field.is_required():
            shown = "required"
        elif field.default_factory is not None:
            shown = "the system's"
        elif isinstance(default, SecretStr):
            shown = f"`{default.get_secret_value()}`"
        else:
            shown = "none" if default in (None, ()) else f"`{default}`"
        rows.append(f"| `GRAFT_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
