"""Options that several commands take, and how their texts are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graft.commands import completing
from shared.queue import PRIORITIES, Priority

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_LONGEST_SECONDS = 100 * 366 * 86_400

if TYPE_CHECKING:
    from graft.client.submitting import JobOptions
    from shared.contracts.kinds import ChosenKind

#: What people call the kinds of estimators, besides their names.
_NICKNAMES: dict[str, ChosenKind] = {
    "logistic": "logistic_regression",
    "linear": "linear_regression",
    "nn": "neural_network",
    "mlp": "neural_network",
    "forest": "random_forest",
    "boosting": "gradient_boosting",
}

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", autocompletion=completing.jobs)]
Json = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")]
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Stay until the job has ended. A failed job is exit code 4.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")]
PriorityOption = Annotated[str, typer.Option(help="high, normal or low.")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="name=value, kept with the job; several times.")
]
Timeout = Annotated[str | None, typer.Option(help="How long an attempt may take: 90s, 30m, 2h.")]
Source = Annotated[
    str, typer.Argument(metavar="FILE|DATASET", help="A table, which is uploaded, or a dataset's id.")
]

Column = Annotated[
    list[str] | None,
    typer.Option("--column", help="theirs=ours: a column of the table, and the model's that it is."),
]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", help="theirs=ours: a label of the table, and the model's that it is."),
]


def duration(text: str, option: str) -> timedelta:
    """`90s`, `30m`, `12h`, `90d`, `2w`, up to a hundred years. Raises BadParameter."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else None
    if seconds is None or seconds > _LONGEST_SECONDS:
        raise typer.BadParameter("should be a length of time like 90d, 12h or 30m", param_hint=option)
    return timedelta(seconds=seconds)


def kind(text: str) -> ChosenKind:
    """An estimator's kind, as people may write it. Raises BadParameter."""
    from shared.contracts.kinds import CHOICES

    name = text.strip().lower().replace("-", "_")
    name = _NICKNAMES.get(name, name)
    for known in CHOICES:
        if name == known:
            return known
    raise typer.BadParameter(f"{text} is no kind of model; these are: {', '.join(CHOICES)}")


def kinds(incomplete: str) -> list[str]:
    """Completions of a kind."""
    from shared.contracts.kinds import CHOICES

    return [name for name in (*CHOICES, *_NICKNAMES) if name.startswith(incomplete)]


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """`name=value` texts. Raises BadParameter."""
    found = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise typer.BadParameter(f"{option} should look like name=value, not {text}")
        found[name] = value
    return found


def settings(given: Iterable[str] | None, option: str = "--set") -> dict[str, Any]:
    """`name=value` texts whose values are numbers, true, false, lists (`64,32`) or words. Raises BadParameter."""
    return {name: _value(text) for name, text in pairs(given, option).items()}


def priority(text: str) -> Priority:
    """Raises BadParameter."""
    for known in PRIORITIES:
        if text == known:
            return known
    raise typer.BadParameter(f"{text} is no priority; these are: {', '.join(PRIORITIES)}")


def common(priority_: str, metadata: list[str] | None, timeout: str | None) -> JobOptions:
    """What every type of job takes, as far as it was given. Raises BadParameter."""
    found: JobOptions = {"priority": priority(priority_)}
    if metadata:
        found["metadata"] = settings(metadata, "--metadata")
    if timeout:
        found["timeout_seconds"] = int(duration(timeout, "--timeout").total_seconds())
    return found


def _value(text: str) -> Any:
    """What JSON it is, if it is any; with commas a list of that; else the text."""
    if "," in text and not text.startswith(("[", "{", '"')):
        return [_value(part) for part in text.split(",") if part]
    try:
        return json.loads(text)
    except ValueError:
        return text
