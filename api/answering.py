"""gunicorn's answer to a request, sent at once: the head goes with the first of the body."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from gunicorn.http.message import TOKEN_RE
from gunicorn.http.wsgi import HEADER_VALUE_RE, Response
from gunicorn.util import is_hoppish


class Answer(Response):  # type: ignore[misc]
    """One request's. An answer without a body, or whose body does not begin yet, is its head alone."""

    headers_sent: bool
    _head = b""
    _has_body = False

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """As gunicorn's, which looks at each name anew."""
        for name, value in headers:
            if _is_plain(name) and HEADER_VALUE_RE.fullmatch(value):
                self.headers.append((name, value.strip(" \t")))
            else:
                super().process_headers([(name, value)])

    def write(self, arg: bytes) -> None:
        self._has_body = bool(arg) and not self._omits_body
        super().write(arg)

    def close(self) -> None:
        super().close()
        self._send_held()

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        self.headers_sent = True
        lines = [
            f"HTTP/{self.req.version[0]}.{self.req.version[1]} {self.status}",
            f"Server: {self.version}",
            f"Date: {_date(int(time.time()))}",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}",
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        lines += [f"{name}: {value}" for name, value in self.headers]
        self._head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if not self._has_body:
            self._send_held()

    def _emit_body(self, data: Any) -> None:
        if self._head:
            self._send_held(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        else:
            super()._emit_body(data)

    def _send_held(self, body: bytes = b"") -> None:
        if self._head:
            head, self._head = self._head, b""
            self.sock.sendall(head + body)


@lru_cache(maxsize=256)
def _is_plain(name: str) -> bool:
    """Whether a header of this name is sent as it is, if its value can be."""
    return bool(TOKEN_RE.fullmatch(name)) and name.lower() != "content-length" and not is_hoppish(name)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """As HTTP has it (RFC 9110, 5.6.7)."""
    return formatdate(second, usegmt=True)
