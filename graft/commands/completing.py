"""What the shell offers after Tab: names that the API knows now. It never fails, and never waits for long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

_SECONDS = 2.0
_MOST = 50


def models(incomplete: str) -> list[str]:
    return _offered(lambda client: (model.name for model in client.models.list()), incomplete)


def jobs(incomplete: str) -> list[str]:
    return _offered(lambda client: (job.id for job in client.jobs.list(limit=_MOST)), incomplete)


def datasets(incomplete: str) -> list[str]:
    return _offered(lambda client: (dataset.id for dataset in client.datasets.list(limit=_MOST)), incomplete)


def schedules(incomplete: str) -> list[str]:
    return _offered(
        lambda client: (text for one in client.schedules.list() for text in (one.name, one.id)), incomplete
    )


def _offered(names: Callable[..., Iterable[str]], incomplete: str) -> list[str]:
    from graft.client import Client, GraftError

    try:
        with Client(timeout=_SECONDS, retries=0) as client:
            fitting = (name for name in names(client) if name.startswith(incomplete))
            return list(islice(fitting, _MOST))
    except GraftError:
        return []
