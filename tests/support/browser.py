"""A real Chromium for the stories of the dashboard, if there is one on PATH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")

#: Where pictures of the pages go, if they are to be made: docs/images/dashboard.
PICTURES = os.environ.get("GRAFT_PICTURES")

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, until the tests are through."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def window(browser: Any, url: str, key: str | None, **options: Any) -> Iterator[Any]:
    """A page of a browser that knows nothing, logged in with the key. What a script complains of fails the test, and so
    does everything that the page's policy forbids: it would be in the console."""
    context = browser.new_context(base_url=url, **{"viewport": DESKTOP, **options})
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None
    )
    page.complaints = complaints
    if key is not None:
        page.goto("/login")
        page.fill("#key", key)
        page.press("#key", "Enter")
        page.wait_for_url("**/")
    yield page
    context.close()
    assert not complaints, complaints


def picture(page: Any, name: str) -> None:
    """The page as it stands, for the documents, if they are being made."""
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))
