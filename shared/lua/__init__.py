"""Loads the Lua scripts beside it. One operation a file; Redis runs each atomically."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from shared import keys, queue

SHARED = ("_clock", "_tallies", "_webhooks", "_prelude", "_occurrences", "_deleting")
"""What scripts share: the clock, and ways to count for Prometheus, to announce an event, to change a job, to decide
what becomes of an occurrence, and to delete what others may refer to."""

BUCKETS_MS = (
    *(100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000),
)
"""Upper bounds of the buckets in which scripts count durations: 0.1 s to 6 h."""

_MOST_TALLIES = 2_000


_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_DECLARATION = re.compile(r"^(?=local )", re.MULTILINE)
_NAMES = re.compile(r"local (?:function )?(\w+(?:, \w+)*)")


def read(name: str) -> str:
    """The text of a file of this folder."""
    return (files(__name__) / f"{name}.lua").read_text()


@cache
def source(name: str, read: Callable[[str], str] = read) -> str:
    """The text of `<name>.lua` behind what it needs of what scripts share.

    Redis runs a script from its first line at each call: to declare all that is shared would be a third of a look at a
    job.
    """
    script = read(name)
    needed = _words(script)
    found = [script]
    # What is declared is used further down only.
    for declaration in reversed(_DECLARATION.split(_spelled() + "".join(map(read, SHARED)))):
        names = _NAMES.match(declaration)
        if names and needed.intersection(names[1].split(", ")):
            found.append(_COMMENT.sub("", declaration))
            needed |= _words(declaration)
    return "".join(reversed(found))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", _COMMENT.sub("", text)))


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
