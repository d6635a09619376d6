"""A real TCP server that does to each connection what a script says: servers that a client meets, but never should."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"


@dataclass
class Came:
    """One request, as far as it was read."""

    head: str
    body: bytes
    at: float = field(default_factory=time.monotonic)

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclass
class Connection:
    """An accepted connection, for a step of a script."""

    socket: socket.socket
    came: list[Came]

    def read(self, *, body_bytes: int | None = None) -> Came | None:
        """The request's head and body, or so many bytes of the body; None if the client has gone."""
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            chunk = self.socket.recv(65_536)
            if not chunk:
                return None
            buffer += chunk
        head, _, body = buffer.partition(b"\r\n\r\n")
        came = Came(head.decode(), body)
        length = int(came.header("Content-Length") or 0)
        wanted = length if body_bytes is None else min(length, body_bytes)
        while len(came.body) < wanted:
            chunk = self.socket.recv(65_536)
            if not chunk:
                break
            came.body += chunk
        self.came.append(came)
        return came

    def say(self, status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        """An answer; `Content_Type="text/html"` and so on. The connection ends with it."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/problem+json" if status >= 400 else "application/json"
        told = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + content)

    def reset(self) -> None:
        """End it at once, as a broken line does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


Step = Callable[[Connection], None]


@dataclass
class Scripted:
    """`came`: the requests, in their order."""

    url: str
    came: list[Came]


@contextmanager
def scripted(*steps: Step) -> Iterator[Scripted]:
    """The first connection meets the first step, and so on; the last step is for all that follow."""
    came: list[Came] = []
    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, steps, came), daemon=True)
        thread.start()
        yield Scripted(f"http://{HOST}:{listener.getsockname()[1]}", came)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(listener: socket.socket, steps: Sequence[Step], came: list[Came]) -> None:
    left = list(steps)
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        step = left.pop(0) if len(left) > 1 else left[0]
        with accepted, contextlib.suppress(OSError):
            step(Connection(accepted, came))


def problem(status: int, code: str, **more: Any) -> dict[str, Any]:
    """As the API writes one."""
    told = {"type": f"urn:graft:problem:{code}", "title": "", "status": status, "detail": f"it is {code}"}
    return {**told, "code": code, "request_id": "abc", **more}
