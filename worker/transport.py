"""kombu's Redis transport, but that a message which is no message is logged and dropped.

kombu lets the error of a list entry that it cannot read end its consumer, or counts it as one that is being
worked on for ever. Whoever can write to Redis by mistake would so stop every worker. `install` makes this the
transport of `redis://` and `rediss://` in this process.
"""

from __future__ import annotations

import base64
from queue import Empty
from typing import Any

from kombu import transport
from kombu.transport import redis

from shared import logs

log = logs.get(__name__)


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except ValueError as error:  # not text, or not JSON
            log.warning("message_ignored", reason=type(error).__name__)
            raise Empty from error


class Transport(redis.Transport):
    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> Any:
        try:
            _check(message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("message_ignored", queue=queue, reason=type(error).__name__)
            return None
        return super()._deliver(message, queue)  # type: ignore[no-untyped-call]


def install() -> None:
    """From here on, in this process."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def _check(message: Any) -> None:
    """Raises unless the message has the parts that kombu and Celery take for granted."""
    base64.b64decode(message["body"], validate=True)
    headers, properties = message["headers"], message["properties"]
    for text in (headers["task"], headers["id"], properties["delivery_tag"]):
        if not isinstance(text, str):
            raise TypeError
    properties["delivery_info"].get("routing_key")
