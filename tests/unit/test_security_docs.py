"""docs/security.md: every threat names tests, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
TABLE = TEXT.split("## Threats, defences, tests")[1].split("\n## ")[0]
ROWS = [
    line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| threat"))
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in functions_of(ROOT / path)


def test_every_threat_names_a_test() -> None:
    assert len(ROWS) > 20
    for row in ROWS:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row.split("|")[3]), row


def test_every_file_of_attacks_is_in_the_table() -> None:
    files = {path.name for path in (ROOT / "tests" / "e2e").glob("test_attacks*.py")}
    files |= {path.name for path in (ROOT / "tests" / "fuzz").glob("test_*.py")}
    assert files
    assert {name for name in files if name in TEXT} == files
