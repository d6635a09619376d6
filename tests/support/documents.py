"""Runs the commands of a page as its reader would, and compares what they print with what the page says they do.

A block marked `sh` is run by bash, all blocks of a page in one shell. An unmarked block right after it is its output.
Ids, times and numbers may differ, so may how wide the page's columns are; a line `…` stands for any lines.
`RENEW_DOCS=1` writes what was printed into the page instead.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n(?:\n```\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
_VARYING = (
    (r"\b(job|ds|sch|key|wh|dlv|up)_[0-9A-HJKMNP-TV-Z]{26}\b", r"\1_ID"),
    (r"\b[0-9a-f]{16,64}\b", "HASH"),
    (r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)?", "TIME"),
    (r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", "N"),
    (r"[ \t─━┈┉]+", " "),
)
RENEW = os.environ.get("RENEW_DOCS") == "1"


@dataclass(frozen=True)
class Block:
    command: str
    output: str | None


def blocks(page: Path) -> list[Block]:
    return [Block(found["command"], found["output"]) for found in _BLOCK.finditer(page.read_text())]


def run(
    page: Path,
    directory: Path,
    env: Mapping[str, str],
    replaced: Mapping[str, str],
    *,
    before: str = "",
    seconds: float = 300,
) -> None:
    """In that directory, with these texts of the page replaced. Whatever the page starts ends with it."""
    found = blocks(page)
    assert found, page
    mark = f"--{secrets.token_hex(8)}--"
    commands = [_replaced(block.command, replaced) for block in found]
    script = "set -eu\n" + before + "".join(f"{command}\necho '{mark}'\n" for command in commands)
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=directory,
        env=dict(env),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        printed, errors = shell.communicate(timeout=seconds)
    finally:
        _end(shell.pid)
    told = [text.strip("\n") for text in printed.split(mark)]
    assert shell.returncode == 0, f"{page.name}: block {len(told)} of {len(found)}: {told[-1]}\n{errors}"
    back = {new: old for old, new in replaced.items()}
    shown = [_replaced(text, back) for text in told]
    if RENEW:
        _renew(page, shown)
        return
    for block, text in zip(found, shown, strict=False):
        if block.output is not None:
            assert alike(block.output, text), (
                f"{page.name}, after\n{block.command}\nprints\n{text}\nand not\n{block.output}"
            )


def alike(expected: str, printed: str) -> bool:
    """Whether they are the same but for what varies."""
    pattern = "\n".join("(?:.*\n?)*" if line == "…" else re.escape(line) for line in _settled(expected))
    return re.fullmatch(pattern, "\n".join(_settled(printed))) is not None


def _settled(text: str) -> Sequence[str]:
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text)
    return [line.strip() for line in text.strip().splitlines()]


def _renew(page: Path, shown: Sequence[str]) -> None:
    given = iter(shown)

    def block(found: re.Match[str]) -> str:
        text, output = next(given), found["output"]
        if output is None or ("…" in output and output.strip() != "…"):
            return found[0]
        return f"```sh\n{found['command']}```\n\n```\n{text}\n```\n"

    page.write_text(_BLOCK.sub(block, page.read_text()))


def _replaced(text: str, by: Mapping[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text


def _end(session: int) -> None:
    """Everything that the page's shell left running, which has its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(session, number)
        except ProcessLookupError:
            return
        if number == signal.SIGTERM:
            _wait_gone(session, 20)


def _wait_gone(session: int, seconds: float) -> None:
    import time

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
