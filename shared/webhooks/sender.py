"""One attempt at a delivery: a signed POST to a URL that somebody else chose, and what came of it. It never raises.

No redirect is followed, no proxy of the environment used, no cookie kept, no connection used twice. Of the answer a few
kilobytes are read and a line is kept.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from shared.webhooks.addresses import AddressPolicy, Refused
from shared.webhooks.answers import Answer
from shared.webhooks.network import AddressRefused, CheckedBackend, Resolve, UnknownHost, look_up

MOST_READ_BYTES = 4_096
MOST_KEPT_CHARACTERS = 256
_MOST_RETRY_AFTER_SECONDS = 24 * 3600


class Sender:
    """Safe to share between threads."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connect_seconds: float,
        total_seconds: float,
        resolve: Resolve = look_up,
        tls: Callable[[], ssl.SSLContext] = httpx.create_ssl_context,
    ) -> None:
        self._policy = policy
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._resolve = resolve
        self._tls = tls()

    def send(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """POST it once. Anything but 2xx in time is a failure."""
        began = time.monotonic()
        backend = CheckedBackend(
            self._policy,
            self._resolve,
            connect_seconds=self._connect_seconds,
            deadline=began + self._total_seconds,
        )
        try:
            response, excerpt = self._post(backend, url, headers, body)
        except Exception as error:
            return Answer(_code(error), time.monotonic() - began)
        told = {name.lower(): value for name, value in response.headers}
        return Answer(
            None if httpx.codes.is_success(response.status) else _refusal(response.status),
            time.monotonic() - began,
            response.status,
            _retry_after(told.get(b"retry-after", b"").decode("latin-1")),
            _line(excerpt) if backend.is_public else "",
        )

    def _post(
        self, backend: CheckedBackend, url: str, headers: Mapping[str, str], body: str
    ) -> tuple[httpcore.Response, bytes]:
        target, content = self._policy.target(url), body.encode()
        host = f"[{target.host}]" if ":" in target.host else target.host
        default = {"https": 443, "http": 80}[target.scheme] == target.port
        sent = {
            "Host": host if default else f"{host}:{target.port}",
            "User-Agent": "Graft-Webhooks/1 (+https://www.standardwebhooks.com)",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
            **headers,
        }
        with (
            httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend, retries=0) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=target.scheme.encode(),
                    host=target.host.encode(),
                    port=target.port,
                    target=target.path.encode(),
                ),
                headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                content=content,
            ) as response,
        ):
            return response, _beginning(response)


def _beginning(response: httpcore.Response) -> bytes:
    """Of the answer's body. The status has been said: what goes wrong from here on changes nothing."""
    read = b""
    try:
        for chunk in response.iter_stream():
            read += chunk[:MOST_READ_BYTES]
            if len(read) >= MOST_READ_BYTES:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        pass
    return read[:MOST_READ_BYTES]


def _code(error: Exception) -> str:
    match error:
        case Refused():
            return "url_refused"
        case AddressRefused():
            return "address_refused"
        case UnknownHost():
            return "unknown_host"
        case httpcore.TimeoutException():
            return "timed_out"
        case ssl.SSLError():
            return "tls_failed"
        case httpcore.NetworkError():
            return "tls_failed" if isinstance(error.__context__, ssl.SSLError) else "connection_failed"
        case httpcore.ProtocolError():
            return "bad_answer"
    return "internal_error"


def _refusal(status: int) -> str:
    if httpx.codes.is_redirect(status):
        return "redirect"
    return "gone" if status == httpx.codes.GONE else f"http_{status}"


def _retry_after(value: str) -> int | None:
    """Seconds (RFC 9110, 10.2.3), a day at most; None if it is not said, or makes no sense."""
    if value.isdecimal():
        return min(int(value[:9]), _MOST_RETRY_AFTER_SECONDS)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, min(int(seconds), _MOST_RETRY_AFTER_SECONDS))


def _line(content: bytes) -> str:
    text = content.decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text)[:MOST_KEPT_CHARACTERS].strip()
