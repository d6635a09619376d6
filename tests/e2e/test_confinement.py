"""What computes and what reads knows no credentials, and a table that kills its reader is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psutil
import pyarrow as pa
import pytest

from shared.config import SECRET_VARIABLES
from tests.e2e.conftest import RunningStack
from tests.support import bombs
from tests.support.client import PARQUET, Graft, Json
from tests.support.waiting import eventually


def below(stack: RunningStack, module: str) -> Iterator[psutil.Process]:
    """What Graft's own process of this name has started through its forkserver."""
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        if "multiprocessing" in " ".join(process.cmdline()) and any(
            module in parent.cmdline() for parent in process.parents()
        ):
            yield process


def secrets_of(stack: RunningStack) -> list[str]:
    credentials = json.loads((stack.directory / "credentials.json").read_text())
    return [value for value in credentials.values() if isinstance(value, str) and len(value) > 8]


def test_no_child_of_a_worker_has_a_secret_in_its_environment(
    graft: Graft, stack: RunningStack, endless: Json
) -> None:
    job_id = graft.started(endless)
    eventually(lambda: (graft.job(job_id)["progress"] or {}).get("phase") == "fitting", 60)
    family = list(below(stack, "worker"))
    assert len(family) >= 2, "the forkserver, and the job's child"
    for process in family:
        assert_knows_nothing(process, stack)
    assert graft.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert graft.ended(job_id)["status"] == "cancelled"


def test_no_reader_of_the_api_has_a_secret_in_its_environment(graft: Graft, stack: RunningStack) -> None:
    graft.dataset(b"a\n1\n")
    family = list(below(stack, "gunicorn"))
    assert len(family) >= 2, "a forkserver, and a reader"
    for process in family:
        assert_knows_nothing(process, stack)


def assert_knows_nothing(process: psutil.Process, stack: RunningStack) -> None:
    environment = process.environ()
    assert "PATH" in environment
    assert not set(SECRET_VARIABLES) & set(environment)
    known = "\n".join([*environment.values(), *process.cmdline()])
    assert not [secret for secret in secrets_of(stack) if secret in known]
    assert not re.search(r"(SECRET|PASSWORD|_KEY)=", "\n".join(environment))


@pytest.mark.parametrize("make", [bombs.large_dictionary_entry, bombs.repeated_dictionary_entry])
def test_a_bomb_is_refused_and_the_api_stays_small(graft: Graft, stack: RunningStack, make: object) -> None:
    listed = graft.get("/v1/datasets").json()
    servers = [p for p in psutil.Process(stack.process.pid).children(recursive=True) if is_api(p)]
    assert len(servers) >= 2
    before = [server.memory_info().rss for server in servers]
    response = graft.upload(make(), kind=PARQUET)  # type: ignore[operator]
    assert (response.status_code, response.json()["code"]) == (422, "too_costly")
    assert graft.get("/v1/datasets").json() == listed
    grown = [server.memory_info().rss - size for server, size in zip(servers, before, strict=True)]
    assert max(grown) < 64 * 2**20
    assert graft.upload(b"a\n1\n").status_code == 201


def is_api(process: psutil.Process) -> bool:
    return "gunicorn" in process.cmdline() and "multiprocessing" not in " ".join(process.cmdline())


def test_a_preview_that_costs_too_much_is_refused(graft: Graft) -> None:
    wide = pa.table({f"c{n}": ["x" * 20_000] * 20 for n in range(100)})
    dataset = graft.dataset(wide, kind=PARQUET)
    response = graft.get(f"/v1/datasets/{dataset}/preview")
    assert (response.status_code, response.json()["code"]) == (422, "too_costly")
