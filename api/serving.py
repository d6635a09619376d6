"""gunicorn's threaded worker, but that no thread waits for slow clients (`api.arrivals`), that a request which it
cannot parse is answered as every other error is, and that waiting requests end when it stops.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors

from api.arrivals import PatientWorker
from shared import logs
from shared.contracts.problems import MEDIA_TYPE, problem
from shared.errors import RequestTimeout
from shared.ids import fresh_id

log = logs.get(__name__)

_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
_STATUSES = (
    (_OURS, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"),
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long"),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED, "malformed"),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED, "malformed"),
    (RequestTimeout, HTTPStatus.REQUEST_TIMEOUT, "request_timeout"),
    (errors.ParseException, HTTPStatus.BAD_REQUEST, "malformed"),
)


class Worker(PatientWorker):
    """Named in `api.gunicorn_conf`."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Told to stop: requests that wait for a job are answered now."""
        waiting = getattr(getattr(self, "wsgi", None), "extensions", {}).get("graft.waiting")
        if waiting is not None:
            waiting.stop()
        super().handle_exit(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer with a problem (RFC 9457) and never with what was sent, which gunicorn's own page would repeat."""
        known = (found for found in _STATUSES if isinstance(exc, found[0]))
        _, status, code = next(known, (None, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"))
        request_id = fresh_id()
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_crashed", request_id=request_id, exc_info=exc)
        else:
            log.info("request_unreadable", request_id=request_id, status=status, reason=type(exc).__name__)
        _say(client, status, code, request_id)

    def refuse(self, client: Any, status: HTTPStatus, code: str) -> None:
        request_id = fresh_id()
        log.info("request_refused", request_id=request_id, status=status, code=code)
        _say(client, status, code, request_id)


def _say(client: Any, status: HTTPStatus, code: str, request_id: str) -> None:
    from api.counters import count_refused  # gunicorn's own process loads this file, and must count nothing

    count_refused(status)
    try:
        util.write_nonblock(client, _answer(status, code, request_id))
    except OSError:
        log.debug("client_gone", request_id=request_id)


def _answer(status: HTTPStatus, code: str, request_id: str) -> bytes:
    """The whole of an HTTP/1.1 answer, after which the connection ends."""
    body = problem(status, code, status.description or status.phrase, request_id)
    head = (
        f"HTTP/1.1 {status} {status.phrase}",
        "Connection: close",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        *(("Retry-After: 5",) if status == HTTPStatus.SERVICE_UNAVAILABLE else ()),
    )
    return "\r\n".join([*head, "", ""]).encode() + body
