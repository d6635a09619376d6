"""A TCP proxy that hurts what passes through it: the network between a worker and its servers."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from graft.stack import ports

Mode = Literal["pass", "refuse", "half_open"]

_CHUNK_BYTES = 65_536
_HOST = "127.0.0.1"


@dataclass(eq=False)
class _Link:
    """One connection through the proxy. `dead`: bytes of it were swallowed, so it can never be of use again."""

    client: socket.socket
    server: socket.socket | None
    dead: bool = False
    sent_bytes: int = 0
    answer_due: bool = False
    ends: list[socket.socket] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = [self.client] if self.server is None else [self.client, self.server]

    def cut(self) -> None:
        """As a reset, at once and in both directions."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a port of its own and forwards to the loopback's `port`. Every fault can be changed at any time.

    mode            pass       everything is forwarded
                    refuse     new connections are closed at once; those that are open go on
                    half_open  connections stay open, and every byte vanishes. One that has lost bytes stays dead
                               when the mode changes back, as a connection does whose firewall forgot it
    delay_seconds   every answer comes this much later
    flaky           the chance that a connection is cut when its client sends something
    cut_after_bytes connections are cut when their client has sent that many bytes (None: never)
    cut_once_at     the first connection whose client sends these bytes is cut, and only that one (None: none)
    """

    def __init__(self, port: int, *, host: str = _HOST, seed: int = 0) -> None:
        self.mode: Mode = "pass"
        self.delay_seconds = 0.0
        self.flaky = 0.0
        self.cut_after_bytes: int | None = None
        self.cut_once_at: bytes | None = None
        self.cuts = 0
        self.port = ports.choose(host)
        self._target = port
        self._random = random.Random(seed)
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, self.port), backlog=64)
        self._accepting = threading.Thread(target=self._accept, name=f"proxy-{port}", daemon=True)
        self._accepting.start()

    def heal(self) -> None:
        """No faults any more. What has been broken stays broken."""
        self.mode, self.delay_seconds, self.flaky = "pass", 0.0, 0.0
        self.cut_after_bytes = self.cut_once_at = None

    def cut(self, *, dead_only: bool = False) -> None:
        """Reset every connection that is open, or those that have lost bytes."""
        with self._lock:
            links = {link for link in self._links if link.dead or not dead_only}
            self._links -= links
        for link in links:
            link.cut()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
            elif self.mode == "half_open":
                self._open(_Link(client, None, dead=True))
            else:
                try:
                    server = socket.create_connection((_HOST, self._target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._open(_Link(client, server))

    def _open(self, link: _Link) -> None:
        with self._lock:
            self._links.add(link)
        threading.Thread(target=self._pump, args=(link, link.client, link.server), daemon=True).start()
        if link.server:
            threading.Thread(target=self._pump, args=(link, link.server, link.client), daemon=True).start()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket | None) -> None:
        try:
            while chunk := source.recv(_CHUNK_BYTES):
                if self.mode == "half_open":
                    link.dead = True
                if link.dead or sink is None:
                    continue
                if source is link.client:
                    self._going_out(link, chunk)
                elif link.answer_due:
                    link.answer_due = False
                    time.sleep(self.delay_seconds)
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            with self._lock:
                self._links.discard(link)
            link.cut()

    def _going_out(self, link: _Link, chunk: bytes) -> None:
        link.answer_due = True
        link.sent_bytes += len(chunk)
        limit, fatal = self.cut_after_bytes, self.cut_once_at
        met = fatal is not None and fatal in chunk
        if met:
            self.cut_once_at = None
        if met or (limit is not None and link.sent_bytes > limit) or self._random.random() < self.flaky:
            self.cuts += 1
            raise ConnectionAbortedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
