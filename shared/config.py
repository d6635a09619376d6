"""Settings: read from `GRAFT_*` environment variables once, at the start of a process.

Durations are seconds, sizes are bytes. docs/operations.md explains each.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 2**20
GIB = 2**30


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GRAFT_", frozen=True, hide_input_in_errors=True)

    # Servers
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    s3_endpoint_url: str | None = None
    s3_public_endpoint_url: str | None = None
    """The address that presigned links carry, when clients reach the store by another one."""
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    s3_bucket: str = "graft"
    s3_allowed_buckets: Annotated[tuple[str, ...], NoDecode] = ()
    """Buckets, besides our own, whose objects users may name as `s3://…`; comma-separated."""

    # Secrets
    signing_key: SecretStr
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Comma-separated; each `key`, or `project:key` for a project other than `default`."""

    # Jobs
    lease_seconds: Annotated[float, Field(gt=0)] = 30.0
    renew_seconds: Annotated[float, Field(gt=0)] = 5.0
    tick_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often a supervisor looks at its child, forwards progress and hears of a cancel."""
    upkeep_seconds: Annotated[float, Field(gt=0)] = 2.0
    rewake_seconds: Annotated[float, Field(gt=0)] = 5.0
    """A queued job that nobody has claimed for this long gets another wake-up."""
    stop_grace_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Between a child's SIGTERM and its SIGKILL."""
    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long a worker that is told to stop lets its running jobs finish before it gives them back."""
    child_memory_bytes: Annotated[int, Field(gt=0)] | None = None
    """Resident memory at which a job's child is stopped as `out_of_memory`; none: no limit."""
    max_timeout_seconds: Annotated[int, Field(gt=0)] = 24 * 3600
    max_live_jobs: Annotated[int, Field(gt=0)] = 100_000
    """Queued and running jobs that one project may have at a time."""
    idempotency_seconds: Annotated[int, Field(gt=0)] = 24 * 3600

    # API
    max_upload_bytes: Annotated[int, Field(gt=0)] = 20 * GIB
    max_body_bytes: Annotated[int, Field(gt=0)] = 8 * MIB
    """For every request but an upload."""
    max_predict_rows: Annotated[int, Field(gt=0)] = 10_000
    model_cache_bytes: Annotated[int, Field(gt=0)] = 512 * MIB
    max_waiting: Annotated[int, Field(ge=0)] = 8
    """Requests of one API process that may wait for a job at a time; keep it below the thread count."""
    link_seconds: Annotated[int, Field(gt=0)] = 3600
    """How long a presigned link is good for."""

    # Places
    temp_dir: Path = Field(default_factory=lambda: Path(gettempdir()))
    """Where uploads are spooled and attempts have their work directories."""
    log_level: str = "INFO"

    @field_validator("s3_allowed_buckets", "api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )
