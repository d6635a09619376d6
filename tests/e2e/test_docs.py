"""Every command of the tutorial and of the how-to guides works as printed, and prints what they say."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graft.stack import Endpoint, RunningServer, ports, private
from tests.e2e.conftest import RunningStack
from tests.support import documents
from tests.support.client import Graft

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = DOCS / "tutorial.md"
GUIDES = sorted((DOCS / "how-to").glob("*.md"))
URL = "http://127.0.0.1:8000"
#: A guide that starts a stack of its own does so on this port.
OWN = [page for page in GUIDES if any("graft up" in block.command for block in documents.blocks(page))]
OTHERS = [page for page in GUIDES if page not in OWN]

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="the pages use bash and curl"
)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}


def prepared(directory: Path) -> Path:
    (directory / ".venv").symlink_to(Path(sys.prefix))
    return directory


@pytest.fixture(scope="module")
def after_the_tutorial(
    stack: RunningStack, client_of: Callable[..., Graft], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder in which a reader has gone through the tutorial, in a project of its own."""
    directory = prepared(tmp_path_factory.mktemp("tutorial"))
    key = client_of("tutorial").headers["Authorization"].removeprefix("Bearer ")
    private.write(directory / ".graft" / "api-key", key)
    documents.run(TUTORIAL, directory, environment(), {URL: stack.url}, before="exec 2>&1\n")
    return directory


def test_the_tutorial(after_the_tutorial: Path) -> None:
    assert "<title>digits-turned:1" in (after_the_tutorial / "report.html").read_text()


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_a_guide(page: Path, after_the_tutorial: Path, stack: RunningStack) -> None:
    documents.run(page, after_the_tutorial, environment(), {URL: stack.url})


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.stem)
def test_a_guide_with_a_stack_of_its_own(
    page: Path,
    tmp_path: Path,
    redis_server: RunningServer,
    object_store: RunningServer | Endpoint,
    request: pytest.FixtureRequest,
) -> None:
    port = ports.choose("127.0.0.1")
    store = object_store.settings
    replaced = {
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "--port 8000": f"--port {port}",
        "redis://:PASSWORD@redis.internal:6379/0": redis_server.url.replace("/0", "/7"),
        "https://objects.internal": object_store.url,
        "GRAFT_S3_ACCESS_KEY_ID=ID": f"GRAFT_S3_ACCESS_KEY_ID={store['GRAFT_S3_ACCESS_KEY_ID']}",
        "GRAFT_S3_SECRET_ACCESS_KEY=SECRET": f"GRAFT_S3_SECRET_ACCESS_KEY={store['GRAFT_S3_SECRET_ACCESS_KEY']}",
    }
    documents.run(page, prepared(tmp_path), environment(), replaced)


def test_every_guide_is_on_the_map() -> None:
    linked = set(re.findall(r"\]\((how-to/[^)]+|[^)/]+\.md)\)", (DOCS / "README.md").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages - linked == set()


def test_a_page_that_prints_something_else_is_noticed() -> None:
    assert documents.alike(
        "job_01M881A5K9E7JJ9MYW8KW8BGVE took 3 s", "job_01M881A6ZMJAGCHMBKB9X56PJ3 took 1.5 s"
    )
    assert documents.alike("a\n…\nz", "a\nb\nc\nz")
    assert not documents.alike("verdict: improved", "verdict: neutral")
    assert not documents.alike("a\nb", "a\nb\nc")
