"""A wake-up is what kombu itself would have written, and a Celery worker takes it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery

from shared import queue
from shared.services import Services


def published_by_celery(services: Services, name: str) -> dict[str, Any]:
    """The same task, published by Celery, as it lies in Redis."""
    app = Celery("check", broker=services.settings.redis_url.get_secret_value())
    app.conf.task_ignore_result = True
    app.conf.broker_transport_options = {"priority_steps": [0]}
    app.send_task(queue.WAKE_TASK, queue=name)
    app.close()
    return dict(json.loads(services.database.lpop(name)))


def test_a_wake_up_has_the_envelope_that_kombu_writes(services: Services) -> None:
    name = queue.queue_name("normal")
    theirs, ours = published_by_celery(services, name), json.loads(queue.wake_up(name))
    assert set(ours) == set(theirs)
    assert set(ours["properties"]) == set(theirs["properties"])
    assert set(ours["headers"]) <= set(theirs["headers"])
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(base64.b64decode(theirs["body"]))
    for field in ("content-type", "content-encoding"):
        assert ours[field] == theirs[field]
    for field in ("delivery_mode", "body_encoding", "priority"):
        assert ours["properties"][field] == theirs["properties"][field]
    for field in ("task", "lang", "retries", "timelimit"):
        assert ours["headers"][field] == theirs["headers"][field]
    assert ours["properties"]["delivery_info"]["routing_key"] == name


def test_no_two_wake_ups_share_an_id_that_kombu_acknowledges_by() -> None:
    messages = [json.loads(queue.wake_up("graft.normal")) for _ in range(100)]
    assert len({message["properties"]["delivery_tag"] for message in messages}) == 100
    assert len({message["headers"]["id"] for message in messages}) == 100


def test_priorities_and_queue_names_are_one_to_one() -> None:
    assert [queue.priority_of(name) for name in queue.QUEUES] == [*queue.PRIORITIES, queue.WEBHOOKS]


@pytest.mark.parametrize("text", ["", "junk", "7", "[]", "{}", b"\xff\xfe", "[" * 100_000, "null"])
def test_what_is_no_message_is_no_wake_up(text: str | bytes) -> None:
    assert not queue.is_wake_up(text, "graft.normal")


def test_a_wake_up_is_one_for_its_own_queue_and_to_the_letter() -> None:
    text = queue.wake_up("graft.normal")
    assert queue.is_wake_up(text, "graft.normal")
    assert queue.is_wake_up(text.encode(), "graft.normal")
    assert not queue.is_wake_up(text, "graft.high")
    for part in ("headers", "properties"):
        for name in json.loads(text)[part]:
            changed = json.loads(text)
            changed[part][name] = ["another"]
            assert not queue.is_wake_up(json.dumps(changed), "graft.normal"), name
            del changed[part][name]
            assert not queue.is_wake_up(json.dumps(changed), "graft.normal"), name
