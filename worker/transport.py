"""kombu's Redis transport without what wake-ups do not need, and without what can stop a worker.

Wake-ups are not acknowledged in Redis: a lost one is made up, and an acknowledgement that a broken connection swallows
would count as a message that is being worked on for ever.

Whatever is no wake-up of ours is logged and dropped before kombu sees it. kombu and Celery take a message's parts for
granted: one that is not as they expect ends the consumer, or is never done with. Whoever can write to Redis by mistake
would so stop every worker.

`install` makes this the transport of `redis://`, `rediss://` and `sentinel://` in this process.
"""

from __future__ import annotations

from typing import Any

from celery.app import amqp
from kombu import connection, transport
from kombu.transport import redis

from shared import logs, queue, sentinel

log = logs.get(__name__)

RETRY_SECONDS = 2

MOVING = ("UNBLOCKED", "READONLY", "NOREPLICAS", "MISCONF")
"""How the errors begin of a Redis that is no master any more, or takes no writes for now."""

_client: Any = redis.redis  # type: ignore[attr-defined]
ResponseError = _client.exceptions.ResponseError
ConnectionFailed = _client.exceptions.ConnectionError


class _WakeUps:
    """What is ours of a channel."""

    ack_emulation = False
    do_restore = False

    def _get_client(self) -> Any:
        class Client(super()._get_client()):  # type: ignore[misc]
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                answer = super().parse_response(connection, command_name, **options)
                return _wake_up_or_nothing(answer) if command_name == "BRPOP" else answer

        return Client


class _Moving:
    """A connection to a Redis that may become a replica of another one, or have none for a while. What it then says is
    the connection's trouble and passes; Celery would take it for the command's, and end the worker."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if str(error).startswith(MOVING):
                self.disconnect()  # type: ignore[attr-defined]
                raise ConnectionFailed(str(error)) from error
            raise


class _Connection(_Moving, redis.redis.Connection):  # type: ignore[misc,name-defined]
    pass


class _SSLConnection(_Moving, redis.redis.SSLConnection):  # type: ignore[misc,name-defined]
    pass


class _SentinelConnection(_Moving, redis.sentinel.SentinelManagedConnection):  # type: ignore[misc,name-defined]
    pass


class Channel(_WakeUps, redis.Channel):
    connection_class = _Connection
    connection_class_ssl = _SSLConnection


class SentinelChannel(_WakeUps, redis.SentinelChannel):
    connection_class = _SentinelConnection


class Connection(connection.Connection):
    """Tries again every two seconds for as long as Redis is away. kombu's pauses grow to half a minute, and an outage
    would last so much longer."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        given = {**kwargs, "interval_max": RETRY_SECONDS}
        return super().ensure_connection(*args, **given)  # type: ignore[no-untyped-call]


class Amqp(amqp.AMQP):  # type: ignore[misc]
    """What makes Celery's connections of that kind."""

    Connection = Connection


class Transport(redis.Transport):
    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    Channel = SentinelChannel


def install() -> None:
    """From here on, in this process."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    transport.TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"


def broker(redis_url: str) -> tuple[str, dict[str, Any]]:
    """What Celery calls the broker: its URL, and options of the transport."""
    if sentinel.is_sentinel(redis_url):
        return sentinel.broker(sentinel.parse(redis_url))
    return redis_url, {}


def _wake_up_or_nothing(answer: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
    """What BRPOP answered, or None, as if it had found nothing."""
    if answer and not queue.is_wake_up(answer[1], answer[0].decode()):
        log.warning("message_ignored", queue=answer[0].decode(), bytes=len(answer[1]))
        return None
    return answer
