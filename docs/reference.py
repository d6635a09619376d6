"""`make reference` writes the pages that are made from the code; with `--check` it only says which are out of date.

configuration.md   every GRAFT_* variable, from `shared.config.Settings`
cli.md             every command and option of `graft`, as Typer describes them
endpoints.md       every request of the API, from its OpenAPI document
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click
from typer.main import get_command

from shared.config import GIB, MIB, Settings

DOCS = Path(__file__).parent
_MADE = "<!-- Made from the code by `make reference`; tests/unit/test_reference.py holds it to it. -->\n\n"
_METHODS = ("get", "post", "put", "patch", "delete")


def configuration() -> str:
    return f"""# Configuration

All from the environment, read once at the start of a process. Durations are seconds, sizes are bytes; lists are
comma-separated. A value that is refused is named, and the process does not start. API and workers read the same
variables; of those that only one of them uses, the other takes no notice.

{_settings()}
## Of one program

| variable | default | of | meaning |
|---|---|---|---|
| `GRAFT_BIND` | `127.0.0.1:8000` | gunicorn | Where the API listens; in the image `0.0.0.0:8000`. |
| `GRAFT_API_PROCESSES` | `2` | gunicorn | Processes of the API. |
| `GRAFT_API_THREADS` | `16` | gunicorn | Threads of each. |
| `GRAFT_URL` | `http://127.0.0.1:8000` | client, commands | Where the API is. |
| `GRAFT_API_KEY` | required | client, commands | The key to ask it with. |
"""


def cli() -> str:
    from graft.cli import app

    os.environ["COLUMNS"] = "100"
    command = get_command(app)
    return (
        get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="graft"), name="graft").strip()
        + "\n"
    )


def endpoints() -> str:
    from flask import current_app

    from api.app import create_app
    from api.auth import is_public, scope_of

    os.environ.setdefault("GRAFT_SIGNING_KEY", secrets.token_hex(16))
    app = create_app()
    views = {
        (method.lower(), re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    rows: dict[str, list[str]] = defaultdict(list)
    with app.app_context():
        for path, operations in current_app.spec["paths"].items():
            for method in filter(operations.__contains__, _METHODS):
                told = operations[method]
                scope = "no key" if is_public(path) else f"`{scope_of(app, views[method, path])}`"
                good = ", ".join(sorted(status for status in told["responses"] if status < "400"))
                rows[told["tags"][0]].append(
                    f"| `{method.upper()} {path}` | {told.get('summary', '')} | {scope} | {good} |"
                )
    parts = [
        f"## {tag}\n\n| request | does | scope | answers |\n|---|---|---|---|\n" + "\n".join(found)
        for tag, found in sorted(rows.items())
    ]
    return (
        "# Every request\n\n"
        "From the OpenAPI 3.1 document, which a running API has at `/openapi.json`, and at `/docs` to read and try.\n"
        "[api.md](api.md) says what they have in common, [http-statuses.md](http-statuses.md) which errors each answers"
        " and when.\n\n" + "\n\n".join(parts) + "\n"
    )


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "cli.md": cli,
    "endpoints.md": endpoints,
}


def main() -> None:
    stale = []
    for name, make in PAGES.items():
        text, page = _MADE + make(), DOCS / name
        if page.exists() and page.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            page.write_text(text)
    for name in stale:
        print(f"docs/{name} " + ("is out of date: make reference" if "--check" in sys.argv else "written"))  # noqa: T201
    sys.exit(bool(stale) and "--check" in sys.argv)


def _settings() -> str:
    """Every setting as a row of a Markdown table."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `GRAFT_{name.upper()}` | {_kind(field)} | {_default(name, field)} | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def _kind(field: FieldInfo) -> str:
    names = {
        bool: "yes or no",
        int: "whole number",
        float: "number",
        SecretStr: "secret",
        Path: "path",
        str: "text",
    }
    kind = next(names[part] for part in _parts(field.annotation) if part in names)
    return f"{kind}, several" if get_origin(field.annotation) is tuple else kind


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that it is put together of, outer ones first."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _default(name: str, field: FieldInfo) -> str:
    default = field.get_default()
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "the system's"
    if isinstance(default, SecretStr):
        return f"`{default.get_secret_value()}`"
    if default in (None, ()):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    if name.endswith("_bytes") and default >= MIB:
        unit, word = (GIB, "GiB") if default % GIB == 0 else (MIB, "MiB")
        return f"`{default}` ({default // unit} {word})"
    if name.endswith("_seconds") and default >= 3600:
        return (
            f"`{default:g}` ({default / 86400:g} d)"
            if default >= 86400
            else f"`{default:g}` ({default / 3600:g} h)"
        )
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    main()
