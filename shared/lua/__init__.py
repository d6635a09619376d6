"""Loads the Lua scripts beside it. One operation a file; Redis runs each atomically."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from shared import keys, queue

SHARED = ("_clock", "_webhooks", "_prelude", "_occurrences", "_deleting")
"""What stands before every script: the clock, and ways to announce an event, to change a job, to decide what becomes
of an occurrence, and to delete what others may refer to."""


@cache
def source(name: str) -> str:
    """The text of `<name>.lua`, with what all scripts share before it."""
    folder = files(__name__)
    return _spelled() + "".join((folder / f"{part}.lua").read_text() for part in (*SHARED, name))


def _spelled() -> str:
    """The keys that scripts make themselves for webhooks, as `shared.keys` spells them; %s for project and id."""
    names = {
        "ENDPOINT": keys.webhook("%s", "%s"),
        "ENDPOINTS": keys.webhooks("%s"),
        "URLS": keys.webhook_urls("%s"),
        "DELIVERY": keys.delivery("%s", "%s"),
        "DELIVERIES": keys.deliveries("%s", "%s"),
        "DUE": keys.due_deliveries("%s", "%s"),
        "ALL_DUE": keys.WEBHOOKS,
        "COUNTS": keys.WEBHOOK_COUNTS,
        "SECRET": keys.webhook_secret("%s"),
        "COURIER": queue.queue_name(queue.WEBHOOKS),
        "COURIER_WAKE_UP": queue.wake_up_template(queue.queue_name(queue.WEBHOOKS)),
    }
    return "".join(f"local {name} = [=[{text}]=]\n" for name, text in names.items())
