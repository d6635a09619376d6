"""What counts as drift: more than chance, and only what is counted right."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chi2

from shared.drift import DRIFTED, MODERATE, judged
from shared.modeling import rows_to_batch
from shared.modeling.stability import noise
from shared.watching import MAX_PENDING_ROWS, Watch, Yardstick
from tests.unit.test_exports import fitted

ROWS = 600
ROW = {"age": 40.0, "vip": True, "city": "Bern"}


class Kept:
    """Takes the counts, as the store does."""

    def __init__(self) -> None:
        self.added: list[dict[str, list[int]]] = []

    def add(self, project: str, name: str, version: int, counts: dict[str, list[int]]) -> None:
        self.added.append(counts)


def mixed() -> pa.Table:
    from tests.unit.test_exports import MIXED

    return MIXED


@pytest.mark.parametrize("error", [0.05, 0.01, 0.001, 0.0001])
@pytest.mark.parametrize("bins", [2, 3, 5, 12, 22])
def test_what_chance_reaches_is_the_quantile_of_chi_square(bins: int, error: float) -> None:
    exact = chi2.ppf(1 - error, bins - 1) * (1 / 500 + 1 / 200)
    assert noise(bins, 500, 200, error) == pytest.approx(exact, rel=0.04 if error >= 0.001 else 0.08)


@pytest.mark.parametrize("rows", [1, 5, 20, 50, 200, 1_000, 5_000])
def test_rows_of_the_same_kind_raise_no_alarm_however_few(rows: int) -> None:
    random, columns, alarms = np.random.RandomState(rows), 20, 0
    for _ in range(100):
        for _ in range(columns):
            shares = np.full(11, 1 / 11)
            before = random.multinomial(ROWS, shares)
            _, _, status = judged(before, random.multinomial(rows, shares), columns)
            alarms += status in ("watch", "drifted")
    assert alarms / (100 * columns) < 0.005, "for all 20 columns of a version together about 1 %"


@pytest.mark.parametrize("rows", [300, 1_000])
def test_rows_of_another_kind_are_noticed(rows: int) -> None:
    before = np.full(10, ROWS // 10)
    moved = np.array([0.25, 0.25, 0.2, 0.1, 0.1, 0.05, 0.05, 0, 0, 0]) * rows
    assert judged(before, moved.astype(int), 5)[2] == "drifted"


def test_the_statuses_begin_at_their_thresholds() -> None:
    before = [50_000, 50_000]
    seen = {}
    for share in range(500, 800):
        index, chance, status = judged(before, [share * 100, (1000 - share) * 100], 1)
        assert chance < MODERATE
        expected = "drifted" if index > DRIFTED else "watch" if index > MODERATE else "ok"
        assert status == expected
        seen[status] = index
    assert set(seen) == {"ok", "watch", "drifted"}


def test_few_rows_say_too_few_and_not_ok() -> None:
    assert judged([100] * 6, [1] * 6, 6)[2] == "too_few"


def test_cells_unseen_texts_and_predictions_are_counted() -> None:
    model, described = fitted(mixed(), "logistic_regression")
    kept = Kept()
    watch, stick = Watch(kept, flush_seconds=3_600), Yardstick.of(model, described)  # type: ignore[arg-type]
    for rows in ([ROW, {**ROW, "city": "Oslo", "age": None}], [{**ROW, "vip": None, "city": None}]):
        batch = rows_to_batch(rows, model.schema())
        watch.note(("p", "m", 1), stick, batch, model.predict(batch))
    watch.flush()
    (found,) = kept.added
    assert (found["requests"], found["rows"], found["unwatched"]) == ([2], [3], [0])
    assert sum(found["c0"]) == sum(found["c1"]) == sum(found["c2"]) == sum(found["p"]) == 3
    assert (found["c0"][-1], found["c1"][-1], found["c2"][-1]) == (1, 1, 1)
    assert found["u2"] == [1]
    watch.flush()
    assert len(kept.added) == 1


def test_rows_beyond_what_may_wait_are_counted_as_unwatched() -> None:
    model, described = fitted(mixed(), "logistic_regression")
    kept = Kept()
    watch, stick = Watch(kept, flush_seconds=3_600), Yardstick.of(model, described)  # type: ignore[arg-type]
    batch = rows_to_batch([ROW] * 10_000, model.schema())
    prediction = model.predict(batch)
    for _ in range(MAX_PENDING_ROWS // 10_000 + 1):
        watch.note(("p", "m", 1), stick, batch, prediction)
    watch.flush()
    assert kept.added[0]["rows"] == [MAX_PENDING_ROWS]
    assert kept.added[0]["unwatched"] == [10_000]
