"""What commands print: whole ids on narrow terminals, nothing that moves a cursor, times and sizes in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from graft.commands import showing
from graft.commands.verdicts import gain

LINES = [["id", "name", "when"], ["job_1234567890", "a name of some length", "3 min ago"]]


@pytest.mark.parametrize(
    ("width", "fitting"),
    [
        (80, [("id", 14), ("name", 21), ("when", 9)]),
        (46, [("id", 14), ("name", 21)]),
        (30, [("id", 14), ("name", 14)]),
        (20, [("id", 14)]),
    ],
)
def test_columns_that_do_not_fit_are_left_out_from_the_right(
    width: int, fitting: list[tuple[str, int]]
) -> None:
    assert showing._fitting(LINES, width) == fitting


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\u202eb", "a\nb", "a\x9bb"])
def test_what_moves_a_cursor_or_turns_text_around_is_not_printed(text: str) -> None:
    shown = showing.cell({"name": [text]})
    assert "?" in shown
    assert not set(shown) & set("\x1b\u202e\n\x9b")


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB")],
)
def test_sizes(bytes_: int, shown: str) -> None:
    assert showing.size(bytes_) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.42, "0.4 s"), (61, "61 s"), (180, "3 min"), (7_300, "2 h"), (200_000, "2 d")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert showing.duration(seconds) == shown
    assert showing.ago(datetime.now(UTC) - timedelta(seconds=seconds)) == f"{shown} ago"


def test_a_time_to_come_is_told_as_such() -> None:
    assert showing.ago(datetime.now(UTC) + timedelta(minutes=5, seconds=1)) == "in 5 min"


def test_a_gain_is_told_with_its_interval() -> None:
    found = {"gain": {"value": 0.14, "low": 0.04, "high": 0.26, "over": "scratch", "confidence": 0.95}}
    assert gain(found) == "+14.0 points over from scratch (95 % interval +4.0 to +26.0)"
