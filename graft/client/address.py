"""Where the API is, and with which key: what is given, else the environment, else the stack of this folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from graft.client.errors import BadSettings

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_FILE = Path(".graft") / "api-key"
"""Where `graft up` keeps its key (`graft.stack.directory`)."""
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


def find_url(given: str | None) -> str:
    """Without a slash at its end. Raises BadSettings."""
    url = (given or os.environ.get("GRAFT_URL", "")).strip() or DEFAULT_URL
    if not _is_address(url):
        raise BadSettings(
            f"{url} is no URL of an API", "GRAFT_URL should look like https://graft.example.org"
        )
    return url.rstrip("/")


def find_key(given: str | None, url: str) -> str:
    """The key of this folder's stack is given to nobody but an API on this machine. Raises BadSettings."""
    key = (given or os.environ.get("GRAFT_API_KEY", "")).strip()
    if not key and urlsplit(url).hostname in _THIS_MACHINE:
        key = _key_of_the_stack()
    if not key:
        raise BadSettings(
            "GRAFT_API_KEY is not set",
            f"give it a key; or start `graft up` in this folder, which keeps its own in {KEY_FILE}",
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise BadSettings("the key holds characters that no key has", "check GRAFT_API_KEY")
    return key


def _key_of_the_stack() -> str:
    try:
        return KEY_FILE.read_text().strip()
    except (OSError, ValueError):
        return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False
