"""What commands print on standard output: tables and colour on a terminal, plain columns or JSON into a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LEAST_WIDTH = 8
_GAP = 2
_COLOURS = {
    "succeeded": "green",
    "improved": "green",
    "submitted": "green",
    "ok": "green",
    "running": "cyan",
    "queued": "yellow",
    "waiting": "yellow",
    "skipped": "yellow",
    "neutral": "yellow",
    "warning": "yellow",
    "cancelled": "yellow",
    "failed": "red",
    "negative_transfer": "red",
}


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """One line a row; `empty` says what to do if there are none."""
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        typer.echo(empty, err=True)
    elif sys.stdout.isatty():
        console = Console()
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for head, width in _fitting([list(heads), *lines], console.width):
            table.add_column(head, width=width, no_wrap=True)
        for line in lines:
            shown = line[: len(table.columns)]
            table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in shown))
        console.print(table)
    else:
        typer.echo(columns([list(heads), *lines]))


def show_fields(fields: Mapping[str, object]) -> None:
    """One line a field; those that are None are left out."""
    lines = [[name, cell(value)] for name, value in fields.items() if value is not None]
    if not lines:
        return
    if sys.stdout.isatty():
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, text in lines:
            table.add_row(Text(name, style="bold"), Text(text, style=_COLOURS.get(text, "")))
        Console().print(table)
    else:
        typer.echo(columns(lines))


def show_text(text: str) -> None:
    """A paragraph, broken between words where the terminal ends."""
    if sys.stdout.isatty():
        Console().print(Text(clean(text)), soft_wrap=False)
    else:
        typer.echo(clean(text))


def show_json(value: object) -> None:
    """As the API has it; a list is one JSON array."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _fitting(lines: Sequence[Sequence[str]], width: int) -> list[tuple[str, int]]:
    """The columns that a terminal of that width can show, from the left: only the last of them is cut short.

    What people copy stands on the left. `--json` and a pipe have everything.
    """
    found, left = [], width
    for place, head in enumerate(lines[0]):
        wanted = max(len(line[place]) for line in lines)
        if left < min(wanted, _LEAST_WIDTH):
            break
        found.append((head, min(wanted, left)))
        left -= wanted + _GAP
    return found


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be, two spaces between them."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def clean(text: str) -> str:
    """Control characters, which could move a cursor or turn text around, are shown as `?`."""
    return _CONTROL.sub("?", text)


def cell(value: object) -> str:
    """A value as one word or line: times as how long ago, numbers with four digits, lists with spaces."""
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return ago(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return clean(" ".join(f"{name}={cell(item)}" for name, item in value.items())) or "-"
    if isinstance(value, list | tuple):
        return " ".join(cell(item) for item in value) or "-"
    return clean(str(value))


def ago(moment: datetime) -> str:
    """`3 min ago`, or `in 3 min`."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def size(count: int) -> str:
    """Bytes with a binary unit."""
    power = max(0, (count.bit_length() - 1) // 10)
    amount = count / 1024**power
    return f"{amount:.0f} B" if power == 0 else f"{amount:.1f} {'KMGTPE'[power - 1]}iB"


def _plain(value: object) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
