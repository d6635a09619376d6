"""If-Match and If-None-Match as RFC 9110 has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, Response

from api import preconditions
from shared.conditions import UNCONDITIONAL, Condition
from shared.errors import Malformed, PreconditionFailed

app = Flask(__name__)


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    with app.test_request_context():
        yield


def asked(**headers: str) -> Condition:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context(headers=named):
        return preconditions.condition()


def looked(revision: str, **headers: str) -> Response | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context(headers=named):
        return preconditions.unchanged(revision)


def test_without_headers_everything_is_allowed() -> None:
    assert asked() == UNCONDITIONAL
    assert UNCONDITIONAL.matches(None)
    assert UNCONDITIONAL.matches("3")
    assert not UNCONDITIONAL.excludes("3")


@pytest.mark.parametrize(
    ("header", "revision", "holds"),
    [
        ('"3"', "3", True),
        ('"3"', "4", False),
        ('"3"', "33", False),
        ('"33"', "3", False),
        ('"3"', None, False),
        ('"1", "2","3"', "3", True),
        ('"1", "2","3"', "2", True),
        (' , "1",, "3" ,', "3", True),
        ('W/"3"', "3", False),  # strong comparison: a weak tag is never the same
        ('W/"3", "4"', "4", True),
        ('W/"3"', None, False),
        ('""', "3", False),
        ("*", "3", True),
        (" * ", "3", True),
        ("*", None, False),
        ('"a,b"', "a,b", True),
        ('"a,b"', "b", False),
        ('"1764225000000-0"', "1764225000000-0", True),
    ],
)
def test_if_match_allows_only_the_revisions_that_it_names(
    header: str, revision: str | None, holds: bool
) -> None:
    assert asked(If_Match=header).matches(revision) is holds


@pytest.mark.parametrize(
    ("header", "revision", "excluded"),
    [
        ('"3"', "3", True),
        ('W/"3"', "3", True),  # weak comparison
        ('"2", W/"3"', "3", True),
        ('"3"', "4", False),
        ("*", "3", True),
        ("*", None, False),
        ('"3"', None, False),
    ],
)
def test_if_none_match_excludes_the_revisions_that_it_names(
    header: str, revision: str | None, excluded: bool
) -> None:
    assert asked(If_None_Match=header).excludes(revision) is excluded


@pytest.mark.parametrize("name", ["If_Match", "If_None_Match"])
@pytest.mark.parametrize(
    "value",
    [
        "3",
        "",
        ",",
        '"3',
        '3"',
        "'3'",
        '"3" "4"',
        '*, "3"',
        '"3", *',
        "**",
        'w/"3"',
        "W/3",
        '"a b"',
        '"3";q=1',
        '"3",4',
    ],
)
def test_what_is_neither_a_star_nor_entity_tags_is_malformed(name: str, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        asked(**{name: value})
    assert name.replace("_", "-") in caught.value.message
    assert caught.value.status == 400


def test_a_long_header_that_fails_at_its_end_is_refused_quickly() -> None:
    with pytest.raises(Malformed):
        asked(If_Match='"3"' + " ,\t" * 20_000 + "x")


def test_a_look_at_the_same_revision_is_304_with_its_tag() -> None:
    response = looked("3", If_None_Match='"2", "3"')
    assert response is not None
    assert (response.status_code, response.headers["ETag"], response.data) == (304, '"3"', b"")
    assert looked("4", If_None_Match='"2", "3"') is None
    assert looked("4") is None


def test_if_match_is_looked_at_first() -> None:
    with pytest.raises(PreconditionFailed) as caught:
        looked("3", If_Match='"2"', If_None_Match='"3"')
    assert caught.value.status == 412
    assert looked("3", If_Match='"3"') is None


def test_an_answer_says_its_revision() -> None:
    assert preconditions.tagged(Response("{}"), "7").headers["ETag"] == '"7"'
