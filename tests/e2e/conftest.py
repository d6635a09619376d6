"""A whole stack for the end-to-end tests: `graft up` as a user starts it, and clients of two projects."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graft.stack import Endpoint, RunningServer, object_store_endpoint
from tests.e2e import tables
from tests.support import without_capabilities
from tests.support.client import Graft, Json, train_body
from tests.support.waiting import eventually

KEYS = {
    "default": "the-default-key",
    "another": "the-other-key",
    "fresh": "the-key-of-a-fresh-project",
    "calendar": "the-key-of-a-project-with-schedules",
    "fuzzed": "the-key-of-a-project-for-generated-requests",
}
OPERATORS_KEY = "the-operators-own-key"
USER_BUCKET = "lake"
#: Keys that tests have made; like all others they belong into no log.
MADE_KEYS: list[str] = []


@dataclass(frozen=True)
class RunningStack:
    url: str
    directory: Path
    process: subprocess.Popen[bytes]
    store: Endpoint

    def log(self, name: str) -> str:
        return (self.directory / "logs" / f"{name}.log").read_text()


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack"), object_store) as running:
        yield running


@contextmanager
def running_stack(
    directory: Path, object_store: RunningServer | Endpoint, **settings: str
) -> Iterator[RunningStack]:
    """`graft up` on that folder, with the keys above and these settings besides."""
    output = directory / "output.txt"
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    env |= object_store.settings
    env |= {
        "GRAFT_API_KEYS": ",".join([*(f"{project}:{key}" for project, key in KEYS.items()), OPERATORS_KEY]),
        "GRAFT_S3_ALLOWED_BUCKETS": USER_BUCKET,
        "GRAFT_S3_BUCKET": f"graft-{secrets.token_hex(4)}",
        "GRAFT_DRAIN_SECONDS": "1",
        "GRAFT_CHECKPOINT_SECONDS": "0.5",
        "GRAFT_READER_MEMORY_BYTES": str(256 * 2**20),
        "GRAFT_RATE_LIMIT_FAILURES": "0",  # tests try many bad keys, all from one address
        **settings,
    }
    command = [
        *without_capabilities.SCRIPT,
        sys.executable,
        "-m",
        "graft",
        "up",
        "--data-dir",
        str(directory),
        "--port",
        "0",
        "--workers",
        "2",
    ]
    with output.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        eventually(lambda: b"ready at" in output.read_bytes() or process.poll() is not None, 60)
        found = re.search(rb"ready at (\S+)", output.read_bytes())
        assert found, output.read_text()
        store = object_store_endpoint(
            object_store.url,
            access_key_id=object_store.settings["GRAFT_S3_ACCESS_KEY_ID"],
            secret_access_key=object_store.settings["GRAFT_S3_SECRET_ACCESS_KEY"],
            bucket=USER_BUCKET,
        )
        assert store.why_not_ready() is None
        yield RunningStack(found[1].decode(), directory, process, store)
    finally:
        process.terminate()
        process.wait(60)
    told = {path: path.read_text(errors="replace") for path in [output, *(directory / "logs").glob("*.log")]}
    for secret in [*KEYS.values(), OPERATORS_KEY, *MADE_KEYS, *known_secrets(directory, object_store)]:
        where = [path.name for path, text in told.items() if secret in text]
        assert not where, f"after all tests there is a secret in {where}"


def known_secrets(directory: Path, object_store: RunningServer | Endpoint) -> list[str]:
    """What the stack's processes know, and nobody else should."""
    credentials = json.loads((directory / "credentials.json").read_text())
    return [*credentials.values(), object_store.settings["GRAFT_S3_SECRET_ACCESS_KEY"]]


def _client(key: str, meaning: str) -> Any:
    """A fixture: a client with that key."""

    @pytest.fixture(scope="session")
    def client(stack: RunningStack) -> Iterator[Graft]:
        with Graft(stack.url, key) as opened:
            yield opened

    client.__doc__ = meaning
    return client


graft = _client(KEYS["default"], "In the project `default`.")
stranger = _client(KEYS["another"], "In another project.")
newcomer = _client(KEYS["fresh"], "In a project that has nothing yet; for one test.")
planner = _client(KEYS["calendar"], "A project for tests that count schedules.")
fuzzed = _client(KEYS["fuzzed"], "A project where anything may be made and deleted.")
operator = _client(OPERATORS_KEY, "With the one key that may make keys for any project; itself in `default`.")


@pytest.fixture(scope="session")
def client_of(stack: RunningStack, operator: Graft) -> Iterator[Callable[..., Graft]]:
    """Makes clients with new keys: `client_of("project", "read", "submit")`."""
    clients: list[Graft] = []

    def make(project: str, *scopes: str, **fields: Any) -> Graft:
        body = {"project": project, "scopes": list(scopes or ("read", "submit", "admin")), **fields}
        response = operator.post("/v1/keys", json=body)
        assert response.status_code == 201, response.text
        MADE_KEYS.append(response.json()["key"])
        clients.append(Graft(stack.url, MADE_KEYS[-1]))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def endless(graft: Graft) -> Json:
    """A job that trains until it is stopped."""
    dataset = graft.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 100_000, "hidden_layers": [256], "learning_rate": 1e-6}
    return train_body(dataset, "endless", estimator=estimator)
