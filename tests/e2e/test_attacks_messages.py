"""Messages that somebody has put into the queues: the workers outlive them, and nothing that they say is done.

`tests/chaos/test_messages.py` sends malformed ones of every kind. Here are those that would do something.
"""

from __future__ import annotations

import base64
import json
import pickle
import secrets
from pathlib import Path
from typing import Any

import pytest
import redis

from shared import keys, queue
from tests.e2e import tables
from tests.e2e.conftest import RunningStack
from tests.e2e.test_attacks_artifacts import Payload
from tests.support.client import Graft, train_body
from tests.support.waiting import eventually

NORMAL = queue.queue_name("normal")


@pytest.fixture
def database(stack: RunningStack) -> redis.Redis:
    password = json.loads((stack.directory / "credentials.json").read_text())["redis_password"]
    port = json.loads((stack.directory / "ports.json").read_text())["redis"]
    return redis.Redis(port=port, password=password, decode_responses=True)


def message(body: bytes, content_type: str, encoding: str, **headers: Any) -> str:
    made = json.loads(queue.wake_up(NORMAL))
    made |= {
        "body": base64.b64encode(body).decode(),
        "content-type": content_type,
        "content-encoding": encoding,
    }
    made["headers"] |= headers
    return json.dumps(made)


def test_no_message_runs_anything_and_the_workers_go_on(
    graft: Graft, stranger: Graft, stack: RunningStack, database: redis.Redis, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    theirs = stranger.submit(
        {
            **train_body(stranger.dataset(tables.iris()), "waiting"),
            "metadata": {"private": secrets.token_hex(4)},
        }
    ).json()["id"]
    stranger.ended(theirs)
    payload = pickle.dumps([[Payload(canary)], {}, {}])
    arguments = json.dumps([[theirs], {"project": "another", "path": str(canary)}, {}]).encode()
    forged = [
        message(payload, "application/x-python-serialize", "binary"),
        message(payload, "application/json", "utf-8"),
        message(payload, "application/x-python-serialize", "binary", task="graft.wake"),
        message(arguments, "application/json", "utf-8"),
        message(arguments, "application/json", "utf-8", task="celery.backend_cleanup"),
        message(arguments, "application/json", "utf-8", task="celery.chord_unlock"),
        message(b"[" * 5_000_000, "application/json", "utf-8"),
        queue.wake_up("graft.high"),
        queue.wake_up("celery"),
    ]
    before = stranger.job(theirs)
    ignored = stack.log("worker").count("message_ignored")
    for text in forged:
        database.lpush(NORMAL, text)
    database.lpush("celery", *forged[:4])
    job = graft.run(train_body(graft.dataset(tables.iris()), "after-the-forged"))
    eventually(lambda: database.llen(NORMAL) == 0)
    assert job["attempt"] == 1
    assert stranger.job(theirs) == before
    eventually(lambda: stack.log("worker").count("message_ignored") >= ignored + len(forged))
    assert not canary.exists()
    assert database.llen("celery") == 4, "a queue that is not ours is nobody's"
    database.delete("celery")


def test_a_ready_entry_for_another_projects_job_runs_nothing(
    graft: Graft, stranger: Graft, database: redis.Redis
) -> None:
    """Somebody lines up an ended job of another project under this one: the script finds no such job to claim."""
    theirs = stranger.submit(train_body(stranger.dataset(tables.iris()), "lined-up")).json()["id"]
    stranger.ended(theirs)
    before = stranger.job(theirs)
    database.zadd(keys.ready_of("normal", "default"), {theirs: 0})
    database.zadd(keys.ready("normal"), {"default": 0})
    database.lpush(NORMAL, queue.wake_up(NORMAL))
    eventually(lambda: database.zscore(keys.ready_of("normal", "default"), theirs) is None)
    assert graft.run(train_body(graft.dataset(tables.iris()), "after-the-lined-up"))["status"] == "succeeded"
    assert stranger.job(theirs) == before
    assert graft.get(f"/v1/jobs/{theirs}").status_code == 404
