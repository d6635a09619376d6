"""Counts what is asked of model versions, beside predicting and never in its way.

A prediction leaves its rows and its outcome here, which costs a lock and an append; every two seconds a thread puts
them into bins, all rows of a version at once, and adds the counts to Redis. A process that is killed loses what it has
not added yet: two seconds of it. Rows beyond `MAX_PENDING_ROWS` within that time are counted as unwatched.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shared import logs
from shared.asked import AskedStore
from shared.errors import GraftError
from shared.model_cache import Key
from shared.modeling import Model, Prediction
from shared.modeling.bins import Binned, NumberBins, count, from_baseline, values_of
from shared.modeling.columns import UNSEEN, category_codes
from shared.modeling.encoder import CategoryColumn, InputColumn

log = logs.get(__name__)

FLUSH_SECONDS: Final = 2.0
MAX_PENDING_ROWS: Final = 200_000
#: The first so many columns of a model are watched.
MAX_COLUMNS: Final = 100


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What a version's requests are counted in: bins of its baseline, for each column that has them."""

    columns: tuple[tuple[int, InputColumn, Binned], ...]
    predictions: Binned | None
    """None for a classification, whose labels are the bins, and where the baseline has none."""
    labels: int

    @staticmethod
    def of(model: Model, baseline: Mapping[str, Any]) -> Yardstick:
        described, rows = baseline.get("columns") or {}, int(baseline.get("rows") or 0)
        watched = []
        for place, item in enumerate(model.encoder.columns[:MAX_COLUMNS]):
            if binned := from_baseline(described.get(item.name) or {}, rows):
                watched.append((place, item, binned))
        said = baseline.get("predictions") or {}
        amounts = from_baseline(said, int(said.get("rows") or 0)) if model.task == "regression" else None
        return Yardstick(tuple(watched), amounts, len(model.classes))


@dataclass(slots=True)
class _Pending:
    yardstick: Yardstick
    batches: list[pa.RecordBatch] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    requests: int = 0
    unwatched: int = 0


class Watch:
    """One in each API process. Its thread begins with the first prediction."""

    def __init__(self, asked: AskedStore, *, flush_seconds: float = FLUSH_SECONDS) -> None:
        self._asked = asked
        self._flush_seconds = flush_seconds
        self._lock = threading.Lock()
        self._pending: dict[Key, _Pending] = {}
        self._rows = 0
        self._thread: threading.Thread | None = None

    def note(self, key: Key, yardstick: Yardstick, batch: pa.RecordBatch, prediction: Prediction) -> None:
        """Remember one request's rows and what was said of them."""
        with self._lock:
            held = self._pending.setdefault(key, _Pending(yardstick))
            held.requests += 1
            if self._rows + batch.num_rows > MAX_PENDING_ROWS:
                held.unwatched += batch.num_rows
            else:
                self._rows += batch.num_rows
                held.batches.append(batch)
                held.outcomes.append(prediction.values if prediction.codes is None else prediction.codes)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Add what has come since the last time. What cannot be added, because Redis is away, is lost and logged."""
        with self._lock:
            pending, self._pending, self._rows = self._pending, {}, 0
        for (project, name, version), held in pending.items():
            try:
                self._asked.add(project, name, version, counted(held))
            except GraftError as error:
                log.warning("drift_not_counted", model=name, version=version, reason=error.message)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._flush_seconds):
            try:
                self.flush()
            except Exception:
                log.exception("watch_failed")


def counted(held: _Pending) -> dict[str, list[int]]:
    """The fields of `shared.asked`."""
    rows = sum(batch.num_rows for batch in held.batches)
    found = {"requests": [held.requests], "rows": [rows], "unwatched": [held.unwatched]}
    if not rows:
        return found
    table, stick = pa.Table.from_batches(held.batches), held.yardstick
    for place, item, binned in stick.columns:
        values = values_of(table, item)
        found[f"c{place}"] = count(binned.bins, values).tolist()
        if isinstance(item, CategoryColumn):
            found[f"u{place}"] = [int((category_codes(values, item.categories) == UNSEEN).sum())]
    outcomes = np.concatenate(held.outcomes)
    if stick.labels:
        found["p"] = np.bincount(outcomes, minlength=stick.labels).tolist()
    elif stick.predictions is not None and isinstance(stick.predictions.bins, NumberBins):
        found["p"] = count(stick.predictions.bins, outcomes).tolist()
    return found
