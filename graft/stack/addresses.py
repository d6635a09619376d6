"""Hosts as users write them: whether others can reach them, and how to write and reach them."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """A name other than `localhost` counts as public: what it stands for may change."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reachable(host: str) -> str:
    """Where a server that listens on `host` answers from here: "every address" is none to connect to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
