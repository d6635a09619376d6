"""Real servers for the tests: one Redis and one object store for the whole run, as `graft up` starts them.

The store is `TEST_S3_ENDPOINT_URL` if that is set (and then it must answer), else `minio` on PATH, else rclone.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from graft.stack import Endpoint, RunningServer, object_store_endpoint, start_object_store, start_redis
from shared import services as composition
from shared.config import Settings
from shared.services import Services

# How long an example takes tells how busy the machine is.
hypothesis.settings.register_profile("graft", deadline=None)
hypothesis.settings.load_profile("graft")

Store = RunningServer | Endpoint


def pytest_report_header() -> str:
    if url := os.environ.get("TEST_S3_ENDPOINT_URL"):
        return f"object store: {url}"
    return f"object store: {'minio on PATH' if shutil.which('minio') else 'rclone serve s3'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why a test needed its second try: without it, a flaw that shows once in a while is never seen."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.write_sep("_", f"second try: {report.nodeid}")
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = os.environ.get("TEST_S3_ENDPOINT_URL")
    if url is None:
        with start_object_store(tmp_path_factory.mktemp("store")) as server:
            yield server
        return
    endpoint = object_store_endpoint(
        url,
        access_key_id=os.environ["TEST_S3_ACCESS_KEY_ID"],
        secret_access_key=os.environ["TEST_S3_SECRET_ACCESS_KEY"],
        bucket=os.environ.get("TEST_S3_BUCKET", "graft-test"),
    )
    if reason := endpoint.why_not_ready():
        pytest.fail(f"TEST_S3_ENDPOINT_URL does not answer: {reason}")
    yield endpoint


@pytest.fixture
def settings(redis_server: RunningServer, object_store: Store, tmp_path: Path) -> Settings:
    """For services in this process: a lease so short that tests can see it run out."""
    given = {**redis_server.settings, **object_store.settings}
    return Settings.model_validate(
        {
            **{name.removeprefix("GRAFT_").lower(): value for name, value in given.items()},
            "signing_key": secrets.token_hex(16),
            "lease_seconds": 0.3,
            "temp_dir": str(tmp_path),
            "max_live_jobs": 20,
        }
    )


@pytest.fixture
def services(settings: Settings) -> Services:
    """All stores, on an empty Redis."""
    built = composition.build(settings)
    built.database.flushall()
    return built
