"""Loads the Lua scripts beside it. One operation a file; Redis runs each atomically."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from shared import keys, queue

SHARED = ("_clock", "_tallies", "_webhooks", "_prelude", "_occurrences", "_deleting")
"""What stands before every script: the clock, and ways to count for Prometheus, to announce an event, to change a job,
to decide what becomes of an occurrence, and to delete what others may refer to."""

BUCKETS_MS = (
    *(100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000),
)
"""Upper bounds of the buckets in which scripts count durations: 0.1 s to 6 h."""

_MOST_TALLIES = 2_000


@cache
def source(name: str) -> str:
    """The text of `<name>.lua`, with what all scripts share before it."""
    folder = files(__name__)
    return _spelled() + "".join((folder / f"{part}.lua").read_text() for part in (*SHARED, name))


def _spelled() -> str:
    """The keys that scripts make themselves, as `shared.keys` spells them, %s for project and id; and the buckets."""
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
        "TALLIES": keys.TALLIES,
        "COURIER": queue.queue_name(queue.WEBHOOKS),
        "COURIER_WAKE_UP": queue.wake_up_template(queue.queue_name(queue.WEBHOOKS)),
    }
    texts = "".join(f"local {name} = [=[{text}]=]\n" for name, text in names.items())
    bounds = ", ".join(str(bound) for bound in BUCKETS_MS)
    return f"{texts}local BUCKETS_MS, MOST_TALLIES = {{{bounds}}}, {_MOST_TALLIES}\n"
