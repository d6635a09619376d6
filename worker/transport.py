"""kombu's Redis transport without what wake-ups do not need, and without what can stop a worker.

Wake-ups are not acknowledged in Redis: a lost one is made up, and an acknowledgement that a broken connection swallows
would count as a message that is being worked on for ever.

Whatever is no wake-up of ours is logged and dropped before kombu sees it. kombu and Celery take a message's parts for
granted: one that is not as they expect ends the consumer, or is never done with. Whoever can write to Redis by mistake
would so stop every worker.

`install` makes this the transport of `redis://` and `rediss://` in this process.
"""

from __future__ import annotations

from typing import Any

from kombu import transport
from kombu.transport import redis

from shared import logs, queue

log = logs.get(__name__)


class Channel(redis.Channel):
    ack_emulation = False
    do_restore = False

    def _get_client(self) -> Any:
        class Client(super()._get_client()):  # type: ignore[misc]
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                answer = super().parse_response(connection, command_name, **options)
                return _wake_up_or_nothing(answer) if command_name == "BRPOP" else answer

        return Client


class Transport(redis.Transport):
    Channel = Channel


def install() -> None:
    """From here on, in this process."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def _wake_up_or_nothing(answer: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
    """What BRPOP answered, or None, as if it had found nothing."""
    if answer and not queue.is_wake_up(answer[1], answer[0].decode()):
        log.warning("message_ignored", queue=answer[0].decode(), bytes=len(answer[1]))
        return None
    return answer
