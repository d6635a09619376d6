"""Traces by OpenTelemetry, if it is installed (the extra `otel`) and the standard `OTEL_*` settings name a receiver.

    POST /v1/jobs                                   server span, in the caller's trace if `traceparent` came with it
    └─ send graft.normal                            producer span: the job keeps its traceparent
       ├─ process graft.normal (attempt 1)          consumer span of a worker
       │  ├─ gather ─ S3.GetObject, …
       │  ├─ run                                    the child; its phases are told to the supervisor
       │  │  ├─ reading, fitting, evaluating, …
       │  ├─ publish ─ S3.PutObject
       │  └─ commit ─ finish                        a script of Redis
       └─ process graft.normal (attempt 2)

Off, a span costs a look at a variable, and we import nothing of OpenTelemetry. A child never does: it has no business
with the network, nor with what the receiver's headers hold.
Attributes follow OpenTelemetry's semantic conventions (HTTP, messaging, database, AWS S3); none holds what users sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Kind = Literal["internal", "server", "client", "producer", "consumer"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_tracer: Tracer | None = None
_OFF: AbstractContextManager[None] = nullcontext()


def configure(service: str) -> str | None:
    """Begin to trace if the settings say so; before `forget_secrets`. Returns why that cannot be, else None.

    Sampling, headers, timeouts and more are OpenTelemetry's own settings, and so is `OTEL_SERVICE_NAME` for `service`.
    """
    global _tracer
    wanted = any(os.environ.get(name) for name in _ENDPOINTS)
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not wanted or is_off or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return "traces are asked for, but OpenTelemetry is not installed: pip install graft[otel]"
    named = "OTEL_SERVICE_NAME" in os.environ
    resource = Resource.create({} if named else {"service.name": service, "service.namespace": "graft"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("graft")
    return None


def is_on() -> bool:
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    link: str | None = None,
    **attributes: Any,
) -> AbstractContextManager[Any]:
    """A span around a block, and the parent of those inside it. `parent` is a traceparent; else it is the one around.

    `link` is the traceparent of what it goes back to, in a trace of its own. Attributes are spelled with `__` for a
    dot; those that are None are left out.
    """
    return _OFF if _tracer is None else _span(_tracer, name, kind, parent, link, attributes)


def part(name: str, kind: Kind = "client", **attributes: Any) -> AbstractContextManager[Any]:
    """A span of something small, and only where there is a span around it. Nothing becomes its child: so it may stand
    in a generator."""
    if _tracer is None:
        return _OFF
    from opentelemetry import trace

    if not trace.get_current_span().get_span_context().is_valid:
        return _OFF
    return _part(_tracer, name, kind, attributes)


def note(error: str | None = None, **attributes: Any) -> None:
    """Add attributes to the span around; `error` is a code that says why it failed."""
    if _tracer is None:
        return
    from opentelemetry import trace
    from opentelemetry.trace import Status, StatusCode

    current = trace.get_current_span()
    current.set_attributes(_spelled(attributes))
    if error is not None:
        current.set_attribute("error.type", error)
        current.set_status(Status(StatusCode.ERROR))


def traceparent() -> str | None:
    """Of the span around (W3C Trace Context, section 3.2); None if there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def messaging(destination: str, job_id: str, operation: str) -> dict[str, str]:
    """Attributes of the span of a job that goes into a queue, or comes out of it."""
    return {
        "messaging__system": "celery",
        "messaging__destination__name": destination,
        "messaging__operation__name": operation,
        "messaging__operation__type": operation,
        "messaging__message__id": job_id,
    }


def ids(parent: str | None) -> dict[str, str]:
    """`trace_id` and `span_id` of a traceparent, as log lines have them."""
    if parent is None or not _TRACEPARENT.fullmatch(parent):
        return {}
    _, trace_id, span_id, _ = parent.split("-")
    return {"trace_id": trace_id, "span_id": span_id}


def stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: the ids of the span around."""
    return event if _tracer is None else {**ids(traceparent()), **event}


class Phases:
    """Spans one after another: each ends where the next begins."""

    def __init__(self) -> None:
        self._name = ""
        self._open: Any = None

    def enter(self, name: str) -> None:
        """Begin that phase, unless it is the one that goes on."""
        if _tracer is None or name == self._name:
            return
        self.close()
        self._name, self._open = name, _tracer.start_span(name)

    def close(self) -> None:
        if self._open is not None:
            self._open.end()
        self._name, self._open = "", None


@contextmanager
def _span(
    tracer: Tracer,
    name: str,
    kind: Kind,
    parent: str | None,
    link: str | None,
    attributes: dict[str, Any],
) -> Iterator[Any]:
    from opentelemetry.trace import Link, SpanKind, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    read = TraceContextTextMapPropagator().extract
    context = read({"traceparent": parent}) if parent else None
    linked = get_current_span(read({"traceparent": link})).get_span_context() if link else None
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind.upper()],
        attributes=_spelled(attributes),
        links=[Link(linked)] if linked and linked.is_valid else None,
        record_exception=False,  # its message may hold what a user sent
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except Exception as error:
            if _is_failure(error):
                note(error=_code(error))
            raise


@contextmanager
def _part(tracer: Tracer, name: str, kind: Kind, attributes: dict[str, Any]) -> Iterator[Any]:
    from opentelemetry.trace import SpanKind, Status, StatusCode

    made = tracer.start_span(name, kind=SpanKind[kind.upper()], attributes=_spelled(attributes))
    try:
        yield made
    except Exception as error:
        if _is_failure(error):
            made.set_attribute("error.type", _code(error))
            made.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        made.end()


def _is_failure(error: Exception) -> bool:
    """What is not there, or is refused for what it says, is no failure of ours."""
    return int(getattr(error, "status", 500)) >= 500


def _code(error: Exception) -> str:
    return str(getattr(error, "code", type(error).__name__))


def _spelled(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}
