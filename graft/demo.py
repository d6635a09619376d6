"""`graft demo`: the main job, end to end, over HTTP, on real data and real servers.

A model learns upright handwritten digits. The digits of the target are turned by 15 degrees, and only a hundred
of them have labels. The model is fine-tuned on those, and the rest is scored as a batch.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.table import Table
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from graft.client import Client, GraftError, Job
from graft.stack import Stack

SOURCE_ROWS = 900
LABELLED_ROWS = 100
DEGREES = 15.0
_LIMIT_SECONDS = 300.0


class DemoFailed(Exception):
    """A part of the demo did not work; the message says which and how."""


@dataclass(frozen=True)
class Tables:
    """The demo's files, and the labels of the rows that are scored, to check the scores by."""

    source: Path
    target: Path
    unlabelled: Path
    truth: list[int]


def run(console: Console) -> None:
    """Start a stack, do the main job, print the numbers, stop. Raises DemoFailed."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="graft-demo-") as folder:
        tables = write_tables(Path(folder))
        console.print("Starting Redis, an object store, the API and a worker …")
        with Stack(Path(folder) / "data", port=0, say=lambda _: None) as stack:
            stack.start()
            console.print(
                f"  ready at {stack.plan.api.endpoint.url} after {time.monotonic() - begun:.1f} s\n"
            )
            with Client(stack.plan.api.endpoint.url, stack.plan.api_key) as client:
                try:
                    _main_job(client, tables, console)
                except GraftError as error:
                    raise DemoFailed(str(error)) from error
    console.print(f"\nAll of it took {time.monotonic() - begun:.1f} s.")


def write_tables(folder: Path) -> Tables:
    """scikit-learn's digits as files, as a user would have them: CSV, Parquet and JSON Lines."""
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(7).permutation(len(X))
    X, y = X[order], y[order]
    turned = rotate(X.reshape(-1, 8, 8), DEGREES, axes=(1, 2), reshape=False, order=1)
    turned = np.clip(turned, 0, 16).reshape(len(X), 64)
    labelled = slice(SOURCE_ROWS, SOURCE_ROWS + LABELLED_ROWS)
    rest = slice(SOURCE_ROWS + LABELLED_ROWS, None)
    tables = Tables(
        folder / "upright.csv", folder / "turned.parquet", folder / "unlabelled.jsonl", y[rest].tolist()
    )
    pa.csv.write_csv(_table(X[:SOURCE_ROWS], y[:SOURCE_ROWS]), tables.source)
    pa.parquet.write_table(_table(turned[labelled], y[labelled]), tables.target)
    rows = _table(turned[rest]).to_pylist()
    tables.unlabelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tables


def _table(X: Any, y: Any = None) -> pa.Table:
    columns = {f"pixel_{row}_{column}": X[:, 8 * row + column] for row in range(8) for column in range(8)}
    return pa.table(columns if y is None else {**columns, "digit": y})


def _main_job(client: Client, tables: Tables, console: Console) -> None:
    source = client.upload(tables.source)
    target = client.upload(tables.target)
    unlabelled = client.upload(tables.unlabelled)
    console.print(f"Uploaded {source.rows} upright digits (CSV), {target.rows} turned ones with labels")
    console.print(f"(Parquet) and {unlabelled.rows} turned ones to be scored (JSON Lines).\n")

    trained = _run(
        console,
        lambda: client.train(
            source, target="digit", estimator="neural_network", name="digits", description="upright digits"
        ),
    )
    tuned = _run(
        console,
        lambda: client.fine_tune(
            "digits",
            target,
            target="digit",
            evaluation={"method": "holdout", "test_fraction": 0.5},
            name="digits-turned",
        ),
    )
    scored = _run(
        console, lambda: client.batch_predict("digits-turned", unlabelled, output={"columns": "none"})
    )
    _show(console, trained, tuned, scored, tables.truth)


def _run(console: Console, submit: Callable[[], Job]) -> Job:
    """Submit a job and wait for its end."""
    begun = time.monotonic()
    job = submit().wait(timeout=_LIMIT_SECONDS)
    console.print(f"  {job.type:<14} {job.status} in {time.monotonic() - begun:.1f} s   {job.id}")
    return job


def _show(console: Console, trained: Job, tuned: Job, scored: Job, truth: list[int]) -> None:
    report, outputs = tuned.report or {}, scored.outputs
    predicted = outputs.to_arrow()["prediction"].to_pylist()
    expect(len(predicted) == len(truth), f"{len(predicted)} of {len(truth)} rows came back")
    expect(outputs.failed_rows == 0, "rows failed")
    metrics = (trained.result or {})["metrics"]
    table = Table("measured on", "model", "accuracy", "rows", title="Accuracy", title_justify="left")
    table.add_row("upright digits, held out", "source", *_numbers(metrics))
    for name, label in (
        ("majority", "most frequent digit"),
        ("source_only", "source as it is"),
        ("scratch", "trained from scratch"),
        ("fine_tuned", "fine-tuned"),
    ):
        table.add_row("turned digits, held out", label, *_numbers(report[name]))
    right = sum(a == b for a, b in zip(predicted, truth, strict=True)) / len(truth)
    table.add_row("turned digits, the batch", "fine-tuned", f"{right:.3f}", str(len(truth)))
    console.print()
    console.print(table)
    gain = report["gain"]
    console.print(
        f"Gain over {gain['over']}: {100 * gain['value']:+.1f} points "
        f"(95 % interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}); verdict: {report['verdict']}; "
        f"strategy: {report['strategy']}."
    )
    model = outputs.manifest.model
    console.print(f"Scored {outputs.rows} rows with {model.name}:{model.version}; none failed.")
    expect(right > report["source_only"]["accuracy"], "the fine-tuned model is no better than the source")


def _numbers(metrics: Mapping[str, Any]) -> tuple[str, str]:
    return f"{metrics['accuracy']:.3f}", str(metrics["n_test"])


def expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise DemoFailed(complaint)
