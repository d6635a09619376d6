"""Connections to one Redis server, of which a call costs little.

redis-py asks the system three times for each command that it sends: whether Redis has hung up or sent more than was
asked for, whether the socket can be written to in time, and whether it can be read. Each of these calls has the thread
let go of the interpreter and wait for it again, as those that send and read do.

Here the system keeps the timeout, and nothing is asked: a connection that Redis has closed fails, and the call is sent
again on a new one; nothing unread is left on a connection, since whatever breaks a call off closes it. What redis-py
counts for OpenTelemetry is left out, too, and its search for rare kinds of arguments. What that saves is told by
`python -m benchmarks.redis_calls`.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

import hiredis
import redis


def pool(url: str, **settings: Any) -> redis.ConnectionPool:
    """Connections with those settings. Nothing is sent yet."""
    if url.startswith("redis:"):  # the others, by TLS or a socket file, have classes of their own
        settings["connection_class"] = _Connection
    return _Pool.from_url(url, command_packer=_Packer(), **settings)


class _Packer:
    """Writes commands of texts, bytes and numbers. redis-py's looks for other buffers among each one's arguments."""

    def pack(self, name: str, *args: Any) -> list[bytes]:
        try:
            return [hiredis.pack_command((*name.split(), *args))]
        except TypeError as error:
            raise redis.DataError(str(error)) from error


class _Connection(redis.Connection):
    """Its timeout is the system's. Python would keep one by asking before each read and write."""

    def _connect(self) -> socket.socket:
        connected: socket.socket = super()._connect()  # type: ignore[no-untyped-call]
        if seconds := self.socket_timeout:
            connected.settimeout(None)
            longest = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, longest)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, longest)
        return connected

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except redis.ConnectionError as error:
            if isinstance(error.__context__, BlockingIOError):
                raise redis.TimeoutError("no answer in time") from error
            raise


class _Pool(redis.ConnectionPool):
    """Gives out an idle connection as it is; one whose call was interrupted is closed when it comes back."""

    def get_connection(self, *_: Any) -> Any:
        self._checkpid()
        with self._lock:
            idle = self._available_connections
            connection: Any = idle.pop() if idle else self.make_connection()
            self._in_use_connections.add(connection)
        try:
            connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        ends = sys.exception()
        if connection.should_reconnect() or (ends and not isinstance(ends, Exception)):
            connection.disconnect()
        self._checkpid()
        with self._lock:
            if connection in self._in_use_connections:  # it is not, if the process was forked meanwhile
                self._in_use_connections.remove(connection)
                self._available_connections.append(connection)
