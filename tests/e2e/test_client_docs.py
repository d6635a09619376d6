"""docs/client.md does what it says: its sessions print what stands there, and its table is the client's."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from graft.client import errors, retrying
from tests.e2e.conftest import RunningStack
from tests.support import client_methods
from tests.support.client import Graft

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_page_prints_what_it_says(
    stack: RunningStack, newcomers_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_URL", stack.url)
    monkeypatch.setenv("GRAFT_API_KEY", newcomers_key)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    session = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(session, {}, "client.md", str(PAGE), 0)
    assert len(test.examples) > 12
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=flags)
    runner.run(test, out=said.append, clear_globs=False)
    test.globs["client"].close()
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.fixture
def newcomers_key(client_of: object) -> str:
    made: Graft = client_of("client-page")  # type: ignore[operator]
    return made.headers["Authorization"].removeprefix("Bearer ")


def test_the_table_has_every_request_and_its_method() -> None:
    assert client_methods.table() in PAGE.read_text(), "renew it with: python -m tests.support.client_methods"


def test_the_tree_of_errors_and_the_table_of_retries_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    tree = re.findall(r"^    ((?:GraftError|[├│└]).*)$", errors.__doc__ or "", re.MULTILINE)
    assert "\n".join(tree) in page
    table = re.findall(r"^\|.*$", retrying.__doc__ or "", re.MULTILINE)
    assert "\n".join(table) in page
