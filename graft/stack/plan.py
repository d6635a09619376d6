"""What one `graft up` will run, worked out before anything is started: who, where, with which settings.

A server that the environment names (GRAFT_REDIS_URL, GRAFT_S3_ENDPOINT_URL) is used as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from graft.stack import directory, object_store, services
from graft.stack.errors import Refused
from graft.stack.object_store import choose_kind, object_store_endpoint, object_store_service
from graft.stack.redis_server import HOST, redis_endpoint, redis_service
from graft.stack.servers import Endpoint, Service
from shared.config import Settings

#: Between the end of the worker's own draining and our SIGKILL.
WORKER_MARGIN_SECONDS = 5.0

#: A store that we run, or the address of one that someone else does.
Store = Service | Endpoint


@dataclass(frozen=True, kw_only=True)
class Plan:
    redis: Store
    object_store: Store
    worker: Service
    api: Service
    #: Where we made one up; None where GRAFT_API_KEYS rules.
    api_key: str | None = field(repr=False)

    @property
    def stores(self) -> tuple[Store, Store]:
        return self.redis, self.object_store


def make_plan(home: Path, *, host: str, port: int, concurrency: int) -> Plan:
    """Writes the files of the data directory; starts nothing. Refuses settings that cannot work."""
    credentials = directory.credentials(home)
    chosen = directory.choose_ports(home, HOST, ("redis", "object-store"), avoid=port)
    redis = _redis(home, chosen["redis"], credentials)
    store = _object_store(home, chosen["object-store"], credentials)
    api_key = None if os.environ.get("GRAFT_API_KEYS") else directory.api_key(home)
    environment = {
        **_endpoint(redis).settings,
        **_endpoint(store).settings,
        "GRAFT_SIGNING_KEY": os.environ.get("GRAFT_SIGNING_KEY") or credentials.signing_key,
        "GRAFT_API_KEYS": api_key or os.environ["GRAFT_API_KEYS"],
    }
    settings = _checked(environment)
    return Plan(
        redis=redis,
        object_store=store,
        worker=services.worker_service(
            home,
            concurrency,
            environment,
            grace_seconds=settings.drain_seconds + settings.stop_grace_seconds + WORKER_MARGIN_SECONDS,
        ),
        api=services.api_service(home, host, port, environment),
        api_key=api_key,
    )


def _redis(home: Path, port: int, credentials: directory.Credentials) -> Store:
    if url := os.environ.get("GRAFT_REDIS_URL"):
        return redis_endpoint(url)
    return redis_service(home, port, credentials.redis_password)


def _object_store(home: Path, port: int, credentials: directory.Credentials) -> Store:
    bucket = os.environ.get("GRAFT_S3_BUCKET") or object_store.BUCKET
    if not (url := os.environ.get("GRAFT_S3_ENDPOINT_URL")):
        return object_store_service(
            home,
            choose_kind(home),
            port,
            access_key_id=credentials.s3_access_key_id,
            secret_access_key=credentials.s3_secret_access_key,
            bucket=bucket,
        )
    given = [os.environ.get(f"GRAFT_S3_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
    if not (given[0] and given[1]):
        raise Refused("GRAFT_S3_ENDPOINT_URL needs GRAFT_S3_ACCESS_KEY_ID and GRAFT_S3_SECRET_ACCESS_KEY")
    return object_store_endpoint(
        url,
        access_key_id=given[0],
        secret_access_key=given[1],
        bucket=bucket,
        region=os.environ.get("GRAFT_S3_REGION") or object_store.REGION,
    )


def _endpoint(store: Store) -> Endpoint:
    return store.endpoint if isinstance(store, Service) else store


def _checked(environment: Mapping[str, str]) -> Settings:
    """As the children will read them: a bad GRAFT_* value is told here, not in a child's log."""
    given = {name.removeprefix("GRAFT_").lower(): value for name, value in environment.items()}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = (
            f"GRAFT_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise Refused("; ".join(problems)) from None
