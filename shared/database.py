"""The Redis client: one place that turns Redis's troubles into Graft's errors.

A connection that fails is an error of the caller's moment, not of its request: it becomes `Temporary`.
What Redis says about a command itself (a wrong type, an unknown script) is a defect and stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from shared import connections, failpoints, lua, sentinel, tracing
from shared.errors import Temporary
from shared.troubles import OnTrouble, Trouble, ignore

AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
)
REFUSING = ("NOREPLICAS", "MISCONF")
"""What a master says that takes no writes for now: too few replicas follow it, or it cannot write to its disk."""


def connect(url: str, *, timeout_seconds: float = 0.9, on_trouble: OnTrouble = ignore) -> Database:
    """A client with a connection pool, of a server or of what sentinels watch; nothing is sent yet.

    A call that gets no answer within the timeout is sent once more, on a new connection (every script may be
    sent twice), and then fails: so the API can say 503 within two seconds.
    """
    settings: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "health_check_interval": 15,
        "retry": Retry(NoBackoff(), 1),
    }
    if sentinel.is_sentinel(url):
        # Half the time to connect: before it, sentinels are asked.
        settings["socket_connect_timeout"] = timeout_seconds / 2
        pool = sentinel.pool(sentinel.parse(url), **settings)
    else:
        pool = connections.pool(url, **settings)
    database = Database(connection_pool=pool)
    database.on_trouble = on_trouble
    return database


if TYPE_CHECKING:
    # redis-py types every answer as bytes or str, awaitable or not; with decode_responses it is str, now.
    _Redis = Any
else:
    _Redis = redis.Redis


class _GuardedPipeline(Pipeline):
    on_trouble: OnTrouble = staticmethod(ignore)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return super().execute(raise_on_error)
        except redis.RedisError as error:
            if not _passes(error):
                raise
            raise _away(error, "pipeline", self.on_trouble) from error


class Database(_Redis):  # type: ignore[misc]
    """redis-py's client; `Temporary` instead of connection errors, which `on_trouble` is told of."""

    on_trouble: OnTrouble = staticmethod(ignore)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        pool = self.connection_pool
        try:
            connection = pool.get_connection()
            try:
                return connection.retry.call_with_retry(
                    lambda: self._send_command_parse_response(connection, args[0], *args, **options),
                    lambda _: connection.disconnect(),
                )
            finally:
                pool.release(connection)
        except redis.RedisError as error:
            if not _passes(error):
                raise
            raise _away(error, _operation(args), self.on_trouble) from error

    def pipeline(self, transaction: bool = False, shard_hint: str | None = None) -> Any:
        pipe = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.on_trouble = self.on_trouble
        return pipe

    def newest(
        self, index: str, record_key: Callable[[str], str], *, limit: int, after: str | None
    ) -> tuple[list[dict[str, str]], bool]:
        """Up to `limit` records of a list of ids, newest first and older than `after`; and whether there are more.

        An id whose record is gone is left out.
        """
        upper = f"({after}" if after else "+"
        ids = self.zrange(index, upper, "-", desc=True, bylex=True, offset=0, num=limit + 1)
        with self.pipeline() as pipe:
            for record_id in ids[:limit]:
                pipe.hgetall(record_key(record_id))
            return [record for record in pipe.execute() if record], len(ids) > limit

    def script(self, name: str) -> Callable[..., Any]:
        """The Lua script of this name, ready to be called with `keys` and `args`."""
        source = lua.source(name)
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        _SCRIPTS[digest] = name
        before, after, operation = f"{name}.before", f"{name}.after", f"EVALSHA {name}"

        def run(keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
            failpoints.reach(before)
            call = ("EVALSHA", digest, len(keys), *keys, *args)
            with (
                tracing.part(
                    operation,
                    db__system__name="redis",
                    db__operation__name="EVALSHA",
                    db__stored_procedure__name=name,
                )
                if name not in _UNTRACED
                else nullcontext()
            ):
                try:
                    answer = self.execute_command(*call)
                except redis.exceptions.NoScriptError:  # the server does not have it yet, or not any more
                    self.script_load(source)
                    answer = self.execute_command(*call)
            failpoints.reach(after)
            return answer

        return run


_UNTRACED = frozenset({"renew"})
"""What is called every second as long as a job runs."""


def _passes(error: redis.RedisError) -> bool:
    """Whether it says nothing of the command, but that this is not the moment."""
    return isinstance(error, AWAY) or any(word in str(error) for word in REFUSING)


_SCRIPTS: dict[str, str] = {}
"""Names of scripts, by their digest."""


def _operation(command: Sequence[Any]) -> str:
    """The script that is called, or the command."""
    name = str(command[0])
    return _SCRIPTS.get(str(command[1]), name.lower()) if name == "EVALSHA" else name.lower()


def _away(error: Exception, operation: str, on_trouble: OnTrouble) -> Temporary:
    on_trouble(Trouble("redis", operation, type(error).__name__))
    return Temporary(f"Redis cannot be used right now ({type(error).__name__})", code="redis_unavailable")
