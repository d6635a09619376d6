"""The Prefer header as RFC 7240 has it: what is not understood is ignored."""

from __future__ import annotations

import pytest

from api.preferences import Preferences, parse


@pytest.mark.parametrize(
    ("header", "wait", "respond_async"),
    [
        ("", None, False),
        ("wait=10", 10, False),
        ("respond-async", None, True),
        ("respond-async, wait=10", 10, True),
        ("respond-async,wait=10", 10, True),
        ("Wait=5, Respond-Async", 5, True),
        ("WAIT = 5", 5, False),
        ('wait="7"', 7, False),
        ("wait=0", 0, False),
        ("wait=30", 30, False),
        ("wait=31", 30, False),
        ("wait=999999999", 30, False),
        ("wait=10, wait=20", 10, False),
        ("wait=10; foo=bar", 10, False),
        ("respond-async; foo", None, True),
        ("return=minimal, handling=lenient; wait=3", None, False),
    ],
)
def test_what_is_preferred(header: str, wait: int | None, respond_async: bool) -> None:
    assert parse(header) == Preferences(wait=wait, respond_async=respond_async)


@pytest.mark.parametrize(
    "header",
    [
        "wait",
        "wait=",
        "wait=-1",
        "wait=1.5",
        "wait=soon",
        "wait=1e1",
        "wait=٣",
        "wait=²",
        "wait=" + "9" * 5000,
        "respond-async=1",
        "respond-async=true",
        "",
        ";;,,==",
        "=",
        'wait="',
        "\x80",
    ],
)
def test_what_is_malformed_is_ignored(header: str) -> None:
    assert parse(header) == Preferences()


def test_of_a_preference_that_comes_twice_the_first_counts_even_if_it_is_malformed() -> None:
    assert parse("wait=soon, wait=3") == Preferences()
