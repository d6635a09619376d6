"""Wake-ups that come five times, never, or from a stranger."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from shared import queue
from tests.chaos.rig import Rig
from tests.support.waiting import eventually

NORMAL = queue.queue_name("normal")


def changed(**headers: Any) -> str:
    message = json.loads(queue.wake_up(NORMAL))
    message["headers"].update(headers)
    return json.dumps(message)


def with_arguments() -> str:
    message = json.loads(queue.wake_up(NORMAL))
    message["body"] = base64.b64encode(json.dumps([["job_forged"], {"rm": "-rf"}, {}]).encode()).decode()
    return json.dumps(message)


def without(*path: str) -> str:
    message = json.loads(queue.wake_up(NORMAL))
    place = message
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return json.dumps(message)


def with_pickle() -> str:
    message = json.loads(queue.wake_up(NORMAL))
    message["content-type"] = "application/x-python-serialize"
    message["content-encoding"] = "binary"
    return json.dumps(message)


FORGED: dict[str, Callable[[], str]] = {
    "a task nobody knows": lambda: changed(task="os.system"),
    "arguments for our task": with_arguments,
    "a queue that is not ours": lambda: queue.wake_up("graft.bogus"),
    "a pickle": with_pickle,
    "a body that is not base64": lambda: json.dumps({**json.loads(queue.wake_up(NORMAL)), "body": "%%%"}),
    "no headers": lambda: without("headers"),
    "no task": lambda: without("headers", "task"),
    "no properties": lambda: without("properties"),
    "no delivery tag": lambda: without("properties", "delivery_tag"),
    "headers that are a list": lambda: json.dumps({**json.loads(queue.wake_up(NORMAL)), "headers": []}),
    "a time limit of text": lambda: changed(timelimit="soon"),
    "dates of junk": lambda: changed(eta="soon", expires="later"),
    "retries of text": lambda: changed(retries="many"),
    "an encoding nobody knows": lambda: json.dumps(
        {**json.loads(queue.wake_up(NORMAL)), "content-encoding": "klingon"}
    ),
    "a type of kombu's JSON": lambda: '{"__type__": ["x"], "__value__": 1}',
    "nested too deeply": lambda: "[" * 100_000,
    "an empty object": lambda: "{}",
    "a list": lambda: "[]",
    "a number": lambda: "7",
    "not JSON": lambda: "junk",
    "not text": lambda: "\udcff\udcfe",
    "nothing": lambda: "",
}


def test_a_wake_up_that_comes_five_times_runs_the_job_once(rig: Rig) -> None:
    job_id = rig.submit(rig.quick())
    again = [queue.wake_up(NORMAL)] * 5  # the same ids, too
    rig.services.database.lpush(NORMAL, *again)
    assert rig.graft.ended(job_id)["attempt"] == 1
    eventually(lambda: rig.services.database.llen(NORMAL) == 0)
    assert rig.events(job_id) == ["submitted", "claimed", "succeeded"]


def test_a_lost_wake_up_is_made_up_within_20_seconds(rig: Rig) -> None:
    running = [rig.submit(rig.long(epochs=150)) for _ in range(2)]
    for job_id in running:
        rig.computing(job_id)
    waiting = [rig.submit(rig.quick()) for _ in range(3)]
    rig.services.database.delete(NORMAL)
    for job_id in running:
        rig.graft.ended(job_id)
    with rig.stopwatch("wake-ups lost → jobs run"):
        for job_id in waiting:
            rig.attempt(job_id, 1, 20)


def test_forged_messages_harm_nobody(rig: Rig) -> None:
    """Each is followed by a real job: whoever stumbles over a message does so in time to be seen."""
    before = {worker.pid for worker in rig.workers.values()}
    body = rig.quick()
    for name, forged in FORGED.items():
        rig.services.database.lpush(NORMAL, *[forged().encode(errors="surrogateescape")] * 4)
        job_id = rig.submit(body)
        eventually(lambda: rig.services.database.llen(NORMAL) == 0, 10)
        assert rig.graft.ended(job_id, 10)["status"] == "succeeded", name
    assert {worker.pid for worker in rig.workers.values() if worker.exit_code() is None} == before
    assert sum(worker.log().count("message_ignored") for worker in rig.workers.values()) == 4 * len(FORGED)
