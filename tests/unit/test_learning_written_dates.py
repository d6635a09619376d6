"""Dates that are written otherwise than ISO 8601 are text: what a job says of them."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from tests.support.labelled_tables import columns_of, labelled_from
from worker.learning.estimators import fit_model
from worker.learning.preprocessing import fit_encoder
from worker.learning.target import align_target
from worker.learning.written_dates import form, look_like_dates

DAYS = [dt.date(1985, 1, 1) + dt.timedelta(days=37 * n) for n in range(40)]
GERMAN = [day.strftime("%d.%m.%Y") for day in DAYS]
LABELS = pa.array(["a", "b"] * 20)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("03.06.1985", True),
        ("6/3/85", True),
        ("1985/06/03 12:30", True),
        ("03-06-1985", True),
        ("1.2.3", False),
        ("192.168.1.10", False),
        ("030/123456", False),
        ("3 June", False),
    ],
)
def test_what_looks_like_a_date(text: str, is_one: bool) -> None:
    assert look_like_dates([text]) is is_one
    assert look_like_dates([text, text, "n/a"]) is is_one, "most of them decide"


def test_the_form_of_a_cell_says_nothing_of_what_is_in_it() -> None:
    assert form(" 3. Juni 1985 ") == "9. aaaa 9999"
    assert form("geheim-42-ä") == "aaaaaa-99-a"
    assert len(form("x" * 1_000)) < 40


def test_training_on_dates_that_are_text_says_how_to_write_them() -> None:
    warnings: list[str] = []
    table = pa.table({"built": GERMAN, "plan": ["basic", "pro"] * 20})
    fit_encoder(table, columns_of(table), PreprocessingSpec(), warnings.append)
    (told,) = warnings
    assert "'built' is taken as text" in told
    assert "99.99.9999" in told
    assert "2024-05-31" in told
    assert not any(day in told for day in GERMAN)


def test_a_target_whose_dates_are_lost_says_how_to_write_them() -> None:
    source = fit_model(
        labelled_from(pa.table({"built": DAYS, "x": [float(n) for n in range(40)], "label": LABELS})),
        EstimatorSpec(kind="auto"),
        PreprocessingSpec(),
        1,
    )

    def warned(built: list[str]) -> str:
        warnings: list[str] = []
        table = pa.table({"built": built, "x": [1.0] * 40, "label": LABELS})
        align_target(source, table, columns_of(table), "label", warnings.append)
        (told,) = warnings
        return told

    told = warned(GERMAN)
    assert "40 cells could not be" in told
    assert "written 99.99.9999" in told
    assert "2024-05-31" in told
    assert not any(day in told for day in GERMAN)
    assert "written" not in warned([f" {day} " for day in DAYS]), "nothing is lost"
