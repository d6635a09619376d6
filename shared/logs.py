"""Structured logs: one JSON object a line on standard error, from our code and from the libraries alike.

`bind` adds fields (`request_id`, `job_id`, `attempt`) to every line that the current thread writes inside it; with
traces on, `trace_id` and `span_id` are there, too.
Values of fields that look like secrets are masked, whoever logs them.
"""

from __future__ import annotations

import contextvars
import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import structlog

from shared import tracing

T = TypeVar("T")

_SECRET_WORDS = ("password", "secret", "authorization", "api_key", "signing_key", "token", "cookie")
_QUIET = ("boto3", "botocore", "urllib3", "s3transfer", "kombu", "amqp")


Told = Callable[[str, dict[str, Any]], None]
"""Whom `configure` tells of each line: its level, and its fields as they are written."""


def configure(level: str = "INFO", *, told: Told | None = None, **fields: str) -> None:
    """Set up logging for this process; `fields` (such as `process="api"`) go into every line."""

    def stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**fields, **event}

    def tell(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if told is not None:
            told(event["level"], dict(event))
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        tracing.stamp,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        stamp,
        _mask,
    ]
    # One encoder for all lines, where `json.dumps` would make one for each.
    encode = json.JSONEncoder(default=repr).encode
    renderer = structlog.processors.JSONRenderer(lambda event, **_: encode(event))
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        tell,
                        renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in _QUIET},
        }
    )
    # Our own lines do not go through `logging`: that would be half of what a line costs.
    structlog.configure(
        processors=[*shared, tell, renderer],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes finished lines to standard error. One that cannot be written, as to a full disk, is no error of its
    writer's."""

    def __init__(self, *_: Any) -> None:
        pass

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")

    debug = info = warning = error = critical = write


def get(name: str) -> Any:
    """A logger: `log.info("event_name", field=value)`."""
    return structlog.get_logger(name)


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Fields for every line that this thread writes inside the block."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def carried(act: Callable[[], T]) -> Callable[[], T]:
    """For a thread that works on what this one does: the same fields in its lines, and the same span around it."""
    context = contextvars.copy_context()
    return lambda: context.run(act)


def _mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if _is_secret(name):
            event[name] = "***"
    return event


@lru_cache(1024)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)
