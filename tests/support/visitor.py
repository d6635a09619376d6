"""Somebody at the dashboard: logs in with a key, keeps the cookie, sends forms with their token."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx


class Visitor(httpx.Client):
    """An HTTP client that behaves as a browser does with the pages, but runs no script."""

    def __init__(self, url: str, key: str | None = None) -> None:
        super().__init__(base_url=url, timeout=60)
        self._key = key

    def __enter__(self) -> Visitor:
        super().__enter__()
        if self._key is not None:
            assert self.log_in(self._key).status_code == 303
        return self

    def log_in(self, key: str, **fields: str) -> httpx.Response:
        """The answer to the login form; the session's cookie is kept."""
        return self.send_form("/login", page="/login", key=key, **fields)

    def send_form(self, path: str, *, page: str = "/datasets", **fields: Any) -> httpx.Response:
        """Send a form that carries the token of that page."""
        return self.post(
            path, data={"csrf": self.token(page), "once": "a-word-of-its-own-" + path[-20:], **fields}
        )

    def token(self, page: str = "/datasets") -> str:
        found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', self.get(page).text)
        assert found, f"{page} has no token"
        return found[1]

    def page(self, path: str, status: int = 200) -> str:
        """The text of a page that has to be there."""
        response = self.get(path)
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"].startswith("text/html")
        return response.text


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every tag of a page with its attributes, as a parser finds them."""
    parser = _Elements()
    parser.feed(html)
    return parser.found
