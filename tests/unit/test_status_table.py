"""docs/http-statuses.md names a test for every status that the OpenAPI document gives a route, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.routes import documented, protected

ROOT = Path(__file__).parents[2]
EVERYWHERE_FILE = "tests/e2e/test_http_statuses.py"
Pair = tuple[str, int]

_TEXT = (ROOT / "docs" / "http-statuses.md").read_text()
_EACH, _SOME, _OWN = re.split(r"^## .*$", _TEXT, flags=re.MULTILINE)[1:]

EVERYWHERE: dict[int, str] = {
    int(status): f"{EVERYWHERE_FILE}::{test}"
    for status, test in re.findall(r"^\| (\d{3}) \|.*\| `(\w+)` \|$", _EACH, re.MULTILINE)
}
ROWS: dict[Pair, str] = {
    (route, int(status)): test
    for route, status, test in re.findall(r"^\| `([A-Z]+ \S+)` \| (\d{3}) \| `(\S+)` \|$", _OWN, re.MULTILINE)
}
SOME = re.findall(r"^\| [^|]+ \| ([\d, ]+) \| `(tests/\S+)` \|$", _SOME, re.MULTILINE)


def covered_by_groups() -> set[Pair]:
    """What the first two tables say, in pairs. Their tests are parametrized by the same lists of routes."""
    pairs: set[Pair] = set()
    for route in protected():
        statuses = documented()[str(route)]
        pairs |= {(str(route), status) for status in EVERYWHERE}
        if route.parameters:
            pairs.add((str(route), 404))
        if route.method == "GET":
            pairs |= {(str(route), 200), (str(route), 302)} & {(str(route), status) for status in statuses}
        if 412 in statuses:
            pairs |= {(str(route), 412), *([(str(route), 304)] if route.method == "GET" else [])}
    return pairs


def in_the_document() -> set[Pair]:
    return {(route, status) for route, statuses in documented().items() for status in statuses}


def test_every_status_in_the_document_has_its_test() -> None:
    missing = in_the_document() - covered_by_groups() - set(ROWS)
    assert not missing, "\n".join(
        f"| `{route}` | {status} | `tests/…` |" for route, status in sorted(missing)
    )


def test_the_table_has_nothing_that_the_document_lacks() -> None:
    stale = set(ROWS) - in_the_document()
    assert not stale, sorted(stale)
    assert not set(ROWS) & covered_by_groups(), "said above already"


@pytest.mark.parametrize(
    ("status", "test"),
    sorted(
        set(EVERYWHERE.items())
        | {(int(status), test) for statuses, test in SOME for status in statuses.split(", ")}
        | {(status, test) for (_, status), test in ROWS.items()}
    ),
)
def test_each_named_test_exists_and_is_about_that_status(status: int, test: str) -> None:
    path, _, name = test.partition("::")
    source = (ROOT / path).read_text()
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    assert found, f"{path} has no test {name}"
    first = min([found[0].lineno, *(decorator.lineno for decorator in found[0].decorator_list)])
    text = "\n".join(source.splitlines()[first - 1 : found[0].end_lineno])
    assert str(status) in text, f"{name} says nothing of {status}"


def test_the_tables_are_read() -> None:
    assert len(EVERYWHERE) == 11
    assert len(SOME) == 5
    assert len(ROWS) > 30
