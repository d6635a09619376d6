"""Which method of the Python client sends which operation, read from the client's own source.

An operation stands in the client as the OpenAPI document has it, `GET /v1/jobs/{job_id}`, in the method that sends it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from graft import client
from graft.client.aliases import Aliases
from graft.client.client import Client
from graft.client.datasets import Datasets
from graft.client.job import Job
from graft.client.jobs import Jobs
from graft.client.keys import Keys
from graft.client.loading import LoadedModel
from graft.client.model import Model
from graft.client.model_version import ModelVersion
from graft.client.models import Models
from graft.client.outputs import Outputs
from graft.client.schedules import Schedules
from graft.client.service import Service
from graft.client.uploads import Uploads
from graft.client.versions import Versions
from graft.client.webhooks import Webhooks

FOLDER = Path(client.__file__).parent
OPERATION = re.compile(r"(GET|PUT|POST|PATCH|DELETE) /\S*")

#: What has a method for each request, by the name that a user writes.
RESOURCES: dict[str, type] = {
    "client.datasets": Datasets,
    "client.uploads": Uploads,
    "client.jobs": Jobs,
    "client.models": Models,
    "client.models.versions": Versions,
    "client.models.aliases": Aliases,
    "client.schedules": Schedules,
    "client.webhooks": Webhooks,
    "client.keys": Keys,
    "client.service": Service,
}
#: What is made of these.
CONVENIENCES: dict[str, type] = {
    "client": Client,
    "job": Job,
    "outputs": Outputs,
    "model": Model,
    "version": ModelVersion,
    "loaded": LoadedModel,
}


def senders() -> list[tuple[str, str]]:
    """(operation, method that sends it) of each place in the source where an operation stands."""
    names = {kind.__name__: name for name, kind in RESOURCES.items()}
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        for scope, operation in _operations(ast.parse(path.read_text()), ()):
            kind, _, method = ".".join(scope).partition(".")
            found.append((operation, f"{names.get(kind, kind)}.{method}"))
    return found


def table() -> str:
    """The table of docs/client.md, by method."""
    rows = sorted((method, operation) for operation, method in senders())
    lines = ["| method | request |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{method}` | `{operation}` |" for method, operation in rows)])


def methods(kinds: dict[str, type]) -> dict[str, Any]:
    """All public methods and properties, by the name that a user writes."""
    return {
        f"{name}.{attribute}": value
        for name, kind in kinds.items()
        for part in kind.__mro__
        for attribute, value in vars(part).items()
        if not attribute.startswith("_") and (callable(value) or hasattr(value, "__get__"))
    }


def parameters(method: Any) -> set[str]:
    """The names that a method takes, those of an unpacked TypedDict included."""
    found = set()
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            hint = get_type_hints(method)[name]
            assert get_origin(hint) is Unpack, f"{method.__qualname__} takes anything"
            found |= set(get_args(hint)[0].__annotations__)
        elif name != "self":
            found.add(name)
    return found


def modules() -> list[Any]:
    return [
        importlib.import_module(f"graft.client.{found.name}") for found in pkgutil.iter_modules([str(FOLDER)])
    ]


def _operations(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _operations(child, (*scope, child.name))
        elif (
            isinstance(child, ast.Constant)
            and isinstance(child.value, str)
            and OPERATION.fullmatch(child.value)
        ):
            yield scope, child.value
        else:
            yield from _operations(child, scope)


if __name__ == "__main__":
    print(table())
