"""The client on bad lines and at limits, against a running stack: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import graft
from graft.stack import Endpoint, RunningServer
from shared.contracts.jobs import JobEvent, JobProgress
from tests.chaos.proxy import Proxy
from tests.e2e import tables
from tests.e2e.conftest import KEYS, MADE_KEYS, RunningStack, running_stack
from tests.support.client import CSV, Json, written
from tests.support.waiting import eventually

MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[graft.Client]:
    with graft.Client(stack.url, KEYS["default"]) as opened:
        yield opened


@pytest.fixture
def line(stack: RunningStack) -> Iterator[Proxy]:
    """The line to the API, which can be cut."""
    with Proxy(urlsplit(stack.url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def over_the_line(line: Proxy) -> Iterator[graft.Client]:
    with graft.Client(f"http://127.0.0.1:{line.port}", KEYS["default"], retries=8) as opened:
        yield opened


def test_a_submission_whose_answer_is_lost_makes_one_job(
    client: graft.Client, over_the_line: graft.Client, line: Proxy
) -> None:
    dataset = client.upload(tables.iris(), name="iris")
    line.delay_seconds = 300
    submitted: list[graft.Job] = []
    thread = threading.Thread(
        target=lambda: submitted.append(over_the_line.train(dataset, target="label", name="lost-answer"))
    )
    thread.start()
    eventually(lambda: list(client.jobs.list(model="lost-answer")))
    line.heal()
    line.cut()
    thread.join(60)
    (job,) = submitted
    assert [found.id for found in client.jobs.list(model="lost-answer")] == [job.id]
    job.wait(timeout=120)


def test_a_large_upload_over_a_line_that_breaks_arrives_whole(
    over_the_line: graft.Client, line: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "large.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(60_000)))
    line.cut_after_bytes = 300_000
    made = over_the_line.upload(path, part_bytes=100_000)
    assert line.cuts >= 2
    assert (made.rows, made.sha256) == (60_000, hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_upload_that_is_given_up_leaves_nothing(client: graft.Client, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n" + "1,2\n" * 60_000 + "1,2,3\n")
    with pytest.raises(graft.InvalidInput) as caught:
        client.upload(path, part_bytes=100_000)
    assert "60002" in str(caught.value)
    assert [upload.name for upload in client.uploads.list()].count("bad") == 0


def test_events_are_followed_over_a_line_that_breaks(
    client: graft.Client, over_the_line: graft.Client, line: Proxy, endless: Json
) -> None:
    job = client.jobs.submit(endless)
    told: list[JobEvent | JobProgress] = []
    thread = threading.Thread(target=lambda: told.extend(over_the_line.jobs.events(job.id, follow=True)))
    thread.start()
    eventually(lambda: any(isinstance(item, JobProgress) for item in told), 60)
    line.cut()
    seen = len(told)
    eventually(lambda: len(told) > seen, 60)
    job.cancel()
    thread.join(60)
    assert not thread.is_alive()
    happened = [item for item in told if isinstance(item, JobEvent)]
    assert happened == list(job.events())
    assert happened[-1].state == "cancelled"
    assert list(client.jobs.events(job.id, follow=True, after=happened[-1].id)) == []


def test_waiting_asks_seldom_and_ends_when_it_was_told_to(client: graft.Client, endless: Json) -> None:
    job = client.jobs.submit(endless)
    asked: list[httpx.Request] = []
    hooks = client._api.http.event_hooks
    client._api.http.event_hooks = {**hooks, "request": [asked.append]}
    try:
        begun = time.monotonic()
        with pytest.raises(graft.WaitedTooLong) as caught:
            job.wait(timeout=3)
        assert 3 <= time.monotonic() - begun < 10
        assert len(asked) <= 3
    finally:
        client._api.http.event_hooks = hooks
        job.cancel()
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.job is job
    with pytest.raises(graft.JobCancelled, match="retry"):
        job.wait(timeout=60)
    assert job.wait(check=False).status == "cancelled"


@pytest.mark.parametrize("progress", [False, True])
def test_waiting_goes_on_while_the_api_is_away(
    stack: RunningStack, line: Proxy, endless: Json, progress: bool
) -> None:
    with graft.Client(f"http://127.0.0.1:{line.port}", KEYS["default"], retries=0) as client:
        job = client.jobs.submit(endless)
        waiter = threading.Thread(target=lambda: job.wait(progress=progress, check=False))
        waiter.start()
        eventually(lambda: client.jobs.get(job.id).status == "running")
        line.mode = "refuse"
        line.cut()
        with pytest.raises(graft.Unreachable):
            client.jobs.get(job.id)
        waiter.join(3)
        assert waiter.is_alive()
        line.heal()
        client.jobs.cancel(job.id)
        waiter.join(60)
        assert not waiter.is_alive()
        assert job.status == "cancelled"


def test_a_job_that_fails_says_why(client: graft.Client) -> None:
    dataset = client.upload(b"a,label\n" + b"1,x\n2,x\n3,x\n" * 10, format="csv", name="one class")
    failing = client.train(dataset, target="label", name="fails")
    with pytest.raises(graft.JobFailed) as caught:
        failing.wait(progress=True, timeout=120)
    assert caught.value.code == "one_class"
    assert not caught.value.retryable
    assert failing.id in str(caught.value)


def test_the_live_line_shows_phase_and_progress(stack: RunningStack, tmp_path: Path) -> None:
    table = tmp_path / "digits.csv"
    table.write_bytes(written(tables.digits(slice(0, 1500)), CSV))
    program = f"""
import graft
with graft.Client() as client:
    estimator = {{"kind": "neural_network", "epochs": 300, "hidden_layers": [256], "learning_rate": 1e-5}}
    job = client.train({str(table)!r}, target="label", name="shown", estimator=estimator)
    print(job.wait(progress=True).model)
"""
    env = {
        **os.environ,
        "GRAFT_URL": stack.url,
        "GRAFT_API_KEY": KEYS["default"],
        "FORCE_COLOR": "1",
        "COLUMNS": "160",
    }
    ran = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert "train fitting" in ran.stdout
    assert "epochs" in ran.stdout
    assert "train succeeded" in ran.stdout
    assert ran.stdout.rstrip().endswith("shown:1")


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[RunningStack]:
    """A stack with small limits."""
    settings = {"GRAFT_MAX_UPLOAD_BYTES": str(MOST_BYTES), "GRAFT_RATE_LIMIT_PER_KEY": "120"}
    with running_stack(tmp_path_factory.mktemp("small"), object_store, **settings) as running:
        yield running


def test_a_table_that_is_too_large_is_told_so_both_ways(small: RunningStack) -> None:
    content = b"a\n" + b"1\n" * MOST_BYTES
    with graft.Client(small.url, KEYS["default"]) as client:
        for options in ({}, {"part_bytes": 100_000}):
            with pytest.raises(graft.TooLarge) as caught:
                client.upload(content, format="csv", name="t", **options)
            assert "GRAFT_MAX_UPLOAD_BYTES" in caught.value.hint
        assert list(client.datasets.list()) == []


def test_a_client_over_its_rate_is_told_for_how_long(small: RunningStack) -> None:
    """That it then waits for so long is for tests/integration/test_client_retries.py."""
    with graft.Client(small.url, KEYS["another"], retries=0) as hasty, pytest.raises(graft.TooMany) as caught:
        all(list(hasty.jobs.list(limit=1)) == [] for _ in range(400))
    assert caught.value.code == "rate_limited"
    assert 1 <= (caught.value.retry_after or 0) <= 60


def test_what_a_key_may_not_is_told_with_what_to_do(client: graft.Client, stack: RunningStack) -> None:
    made = client.keys.create(["read"])
    MADE_KEYS.append(made.key)
    with graft.Client(stack.url, made.key) as reader:
        with pytest.raises(graft.Forbidden, match="use a key that has that scope"):
            reader.keys.create(["read"])
        client.keys.revoke(made.id)
        with pytest.raises(graft.Unauthenticated, match="check GRAFT_API_KEY"):
            reader.usage()


def test_an_alias_moves_only_as_it_was_seen(client: graft.Client) -> None:
    job = client.train(tables.iris(), target="label", name="raw-answers").wait(timeout=120)
    assert job.model == "raw-answers:1"
    model = client.models.get("raw-answers")
    first = model.set_alias("live", 1)
    assert client.models.aliases.get("raw-answers", "live").etag == first.etag
    with pytest.raises(graft.PreconditionFailed) as caught:
        model.set_alias("live", 1, if_match='"0-0"')
    assert caught.value.etag == first.etag
    with pytest.raises(graft.Conflict) as in_use:
        model.delete()
    assert [(item.kind, item.id) for item in in_use.value.referrers] == [("alias", "live")]
    with pytest.raises(graft.NotFound):
        client.models["seen@gone"]


@pytest.mark.parametrize("key", ["another key", None])
def test_a_model_is_not_opened_without_the_right_key(
    client: graft.Client, key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFT_SIGNING_KEY", raising=False)
    name: Any = next(iter(client.models.list())).name
    with pytest.raises(graft.BadSignature if key else graft.BadSettings):
        client.models[name].load(signing_key=key)
