"""`graft bench`: how quick the API that you use is, from here. What it makes for that it deletes again."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graft.commands import options
from graft.commands.showing import show_json, show_table
from graft.commands.telling import connected, say

if TYPE_CHECKING:
    from graft.client import Client

NAME = "graft-bench"
_ROWS = 1_000
_COLUMNS = 10


def bench(
    rounds: Annotated[int, typer.Option(min=3, max=1_000, help="How often each thing is done.")] = 20,
    as_json: options.Json = False,
) -> None:
    """Measure what a user waits for: a look, a prediction, a small training, a small batch. One at a time."""
    with connected() as client, _prepared(client) as (dataset, row, rows):
        figures = [
            _figure("look at a job", rounds, lambda: next(client.jobs.list(limit=1))),
            _figure("predict a row", rounds, lambda: client.models.predict(NAME, [row])),
            _figure("predict 1,000 rows", rounds, lambda: client.models.predict(NAME, rows)),
            _figure("train, submitted to done", max(3, rounds // 5), lambda: _trained(client, dataset)),
            _figure("batch, submitted to done", max(3, rounds // 5), lambda: _scored(client, dataset)),
        ]
    if as_json:
        show_json(figures)
        return
    heads = ("what", "times", "p50 ms", "p90 ms", "max ms")
    show_table(heads, [list(figure.values()) for figure in figures], empty="")
    say(f"{client.url}, a table of {_ROWS:,} rows and {_COLUMNS} columns, one request at a time")


@contextmanager
def _prepared(client: Client) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """A dataset and a model of our own."""
    from graft.client import GraftError

    rows, content = _table()
    dataset = client.datasets.upload(content, name=NAME, format="csv")
    try:
        _trained(client, dataset.id)
        yield dataset.id, rows[0], rows
    finally:
        with suppress(GraftError):
            client.models.delete(NAME)
        with suppress(GraftError):
            client.datasets.delete(dataset.id)


def _table() -> tuple[list[dict[str, Any]], bytes]:
    draw = random.Random(42)
    names = [f"x{place}" for place in range(_COLUMNS)]
    rows: list[dict[str, Any]] = [{name: draw.gauss(0, 1) for name in names} for _ in range(_ROWS)]
    lines = [",".join([*names, "label"])]
    lines += [
        ",".join([*map(repr, row.values()), "yes" if row["x0"] + row["x1"] > 0 else "no"]) for row in rows
    ]
    return rows, "\n".join(lines).encode()


def _trained(client: Client, dataset: str) -> None:
    client.train(dataset, target="label", name=NAME).wait()


def _scored(client: Client, dataset: str) -> None:
    client.batch_predict(NAME, dataset, output={"columns": "none"}).wait()


def _figure(what: str, times: int, act: Callable[[], Any]) -> dict[str, Any]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        taken.append(1000 * (time.perf_counter() - begun))
    cuts = statistics.quantiles(taken, n=10, method="inclusive")
    return {
        "what": what,
        "times": times,
        "p50_ms": round(statistics.median(taken), 2),
        "p90_ms": round(cuts[-1], 2),
        "max_ms": round(max(taken), 2),
    }
