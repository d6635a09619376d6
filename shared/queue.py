"""The Celery queues, and the wake-ups that lie in them.

A wake-up says "there is a job in this queue" and nothing more: the worker that takes it claims whichever
job's turn it is. So wake-ups are all alike. One that arrives twice finds nothing to claim, one that is lost is
made up by the dispatcher, and a forged one harms nobody.

A wake-up is an ordinary Celery message (task protocol 2 in kombu's Redis envelope), built here so that the
Lua script that accepts a job can push it in the same atomic step. tests/integration/test_queue.py holds it to
what kombu itself would have written.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any, Final, Literal

from shared.ids import fresh_id

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")

WAKE_TASK: Final = "graft.wake"


def queue_name(priority: str) -> str:
    """The Celery queue (and so the Redis list) of a priority."""
    return f"graft.{priority}"


WEBHOOKS: Final = "webhooks"
"""The queue of wake-ups for couriers: there is something to deliver."""

QUEUES: Final = tuple(queue_name(name) for name in (*PRIORITIES, WEBHOOKS))


def priority_of(queue: str) -> str:
    return queue.removeprefix("graft.")


_BODY: Final = base64.b64encode(
    json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
).decode()


def wake_up(queue: str) -> str:
    """One wake-up, as it lies in the Redis list. Each has an id of its own: kombu acknowledges by it."""
    return wake_up_template(queue).replace("%s", fresh_id())


@cache
def wake_up_template(queue: str) -> str:
    """For scripts that make a wake-up themselves: `%s` stands for its id, each time the same."""
    return json.dumps(_message(queue, "%s", "%s"))


def is_wake_up(text: str | bytes, queue: str) -> bool:
    """Whether this is a wake-up for that queue, to the letter but for its ids. Never raises."""
    try:
        message = json.loads(text)
        ids = (message["headers"]["id"], message["properties"]["delivery_tag"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return all(isinstance(id, str) for id in ids) and message == _message(queue, *ids)


def _message(queue: str, message_id: str, delivery_tag: str) -> dict[str, Any]:
    return {
        "body": _BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": WAKE_TASK,
            "id": message_id,
            "root_id": message_id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "graft",
            "ignore_result": True,
        },
        "properties": {
            "correlation_id": message_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": delivery_tag,
        },
    }
