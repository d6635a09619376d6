"""Every route of the API, asked of the application itself, so that a test that goes over all of them misses none."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask

from api import auth


@dataclass(frozen=True)
class Route:
    """One method of one path. `scope` is what a key must have; None: it needs no key."""

    method: str
    path: str
    endpoint: str
    parameters: tuple[str, ...]
    scope: str | None

    def filled(self, **values: object) -> str:
        """The path with its parameters. A parameter that has no value here is a KeyError: say what stands for it."""
        path = self.path
        for name in self.parameters:
            path = path.replace(f"{{{name}}}", str(values[name]))
        return path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def routes() -> tuple[Route, ...]:
    """In the order of their paths, as OpenAPI writes them: `/v1/jobs/{job_id}`.

    A process of its own makes the application, which sets up logging. Nothing is sent to any server.
    """
    return tuple(Route(**{**route, "parameters": tuple(route["parameters"])}) for route in _told()["routes"])


def documented() -> dict[str, set[int]]:
    """The statuses that the OpenAPI document gives each route, as a Route is written."""
    return {
        f"{method.upper()} {path}": {int(status) for status in operation["responses"]}
        for path, operations in _told()["document"]["paths"].items()
        for method, operation in operations.items()
    }


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = _told()["document"]
    return found


def protected() -> tuple[Route, ...]:
    """Those that need a key."""
    return tuple(route for route in routes() if route.scope)


@cache
def _told() -> dict[str, Any]:
    env = {**os.environ, "GRAFT_SIGNING_KEY": secrets.token_hex(16)}
    ran = subprocess.run(
        [sys.executable, "-m", __name__],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def _of(app: Flask) -> list[Route]:
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard."):  # pages, which take no key but a session
            continue
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        scope = None if auth.is_public(rule.rule) else auth.scope_of(app, rule.endpoint)
        found += [
            Route(method, path, rule.endpoint, tuple(sorted(rule.arguments)), scope)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        ]
    return sorted(found, key=lambda route: (route.path, route.method))


if __name__ == "__main__":
    from api.app import create_app

    made = create_app()
    print(json.dumps({"routes": [asdict(route) for route in _of(made)], "document": made.spec}))
