"""Rows of text files with every fault that makes only the row bad, and what should become of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Written:
    """A row as it lies in a file, how many lines it takes, and what should become of it."""

    text: bytes
    lines: int
    column: str | None = None
    bad: bool = False


def csv_row(number: int, fault: str, text: str) -> Written:
    day, at = "2024-05-31", "2024-05-31T10:00:00Z"
    s = '"' + text.replace('"', '""') + '"'
    lines = 1 + text.count("\n")
    match fault:
        case "x":
            return Written(f"{number},oops,{s},{day},{at}".encode(), lines, "x", bad=True)
        case "day":
            return Written(f"{number},1.5,{s},31.5.2024,{at}".encode(), lines, "day", bad=True)
        case "at":
            return Written(f"{number},1.5,{s},{day},noon".encode(), lines, "at", bad=True)
        case "short":
            return Written(f"{number},{s}".encode(), lines, bad=True)
        case "long":
            return Written(f"{number},1.5,{s},{day},{at},more".encode(), lines, bad=True)
        case "bytes":
            return Written(f"{number},1.5,".encode() + b"\xff\xfe" + f",{day},{at}".encode(), 1, bad=True)
        case "nul":
            return Written(f"{number},1.5,\0,{day},{at}".encode(), 1, bad=True)
        case _:
            return Written(f"{number},1.5,{s},{day},{at}".encode(), lines)


def jsonl_row(number: int, fault: str, text: str) -> Written:
    row: dict[str, Any] = {
        "id": number,
        "x": 1.5,
        "s": text,
        "day": "2024-05-31",
        "at": "2024-05-31T10:00:00",
    }
    match fault:
        case "x":
            return Written(json.dumps({**row, "x": "oops"}).encode(), 1, "x", bad=True)
        case "day":
            return Written(json.dumps({**row, "day": "31.5."}).encode(), 1, "day", bad=True)
        case "at":
            return Written(json.dumps({**row, "at": True}).encode(), 1, "at", bad=True)
        case "short":
            return Written(json.dumps(row).encode()[:-2], 1, bad=True)
        case "long":
            return Written(json.dumps(row).encode() + b", 5", 1, bad=True)
        case "bytes":
            return Written(b'{"s": "\xff"}', 1, bad=True)
        case "nul":
            return Written(json.dumps({**row, "s": [1]}).encode(), 1, "s", bad=True)
        case _:
            return Written(json.dumps(row).encode(), 1)


MAKERS = {"csv": csv_row, "jsonl": jsonl_row}
FAULTS = st.sampled_from([*["none"] * 12, "x", "day", "at", "short", "long", "bytes", "nul"])
TEXTS = st.sampled_from(["", "plain", "two\nlines", 'a "quoted", one', "Zürich", "a\r\nb", "\n"])
