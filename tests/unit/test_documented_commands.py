"""Every command that a document names is there, with its options: also what only a cluster or an engine could run.

What works as printed, and prints what the pages say, is tried in tests/e2e/test_docs.py and test_readme.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from graft.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if path.name != "cli.md")]
PROGRAMS = ("make", "graft", "python", "pytest", "docker", "kubectl")
FOREIGN = {"pytest", "pip", "gunicorn"}
"""Modules whose options are theirs to tell."""


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in blocks and in the text, as far as its first pipe, redirection or remark."""
    blocks = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = []
    for block in blocks:
        found = block.replace("\\\n", " ").splitlines()
        lines += [line for line in found if line.startswith("$ ")] or found
    for line in [*lines, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)]:
        for part in re.split(r"&&|[|;&]|\d?[<>]|#|\s{3,}", re.sub(r"^(\$ )?([A-Z_]+=\S* )*", "", line)):
            try:
                words = shlex.split(part)
            except ValueError:  # a quotation that goes on in the next line
                continue
            if len(words) > 1 and Path(words[0]).name in PROGRAMS and "…" not in part:
                yield [Path(words[0]).name, *words[1:]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for program, *words in commands(page.read_text()):
        told = " ".join([program, *words])
        if program == "make":
            targets = re.findall(r"^([\w./$()-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            known = {target.replace("$(VENV)", ".venv") for target in targets}
            assert all(word in known for word in words if "=" not in word), told
        elif program == "graft":
            _exists_in(get_command(app), words, told)
        elif program in {"python", "pytest"}:
            _is_ours(program, words, told)
        else:
            paths = [word for word in words if word.startswith("deploy/") or word.endswith(".yml")]
            assert all((ROOT / path).exists() for path in paths), told


def test_the_pages_name_many_commands() -> None:
    found = [words for page in PAGES for words in commands(page.read_text())]
    assert {words[0] for words in found} == set(PROGRAMS)
    assert len(found) > 100


def _exists_in(command: Any, words: list[str], told: str) -> None:
    for word in words:
        if word.startswith("--"):
            options = {
                option for parameter in command.params for option in parameter.opts + parameter.secondary_opts
            }
            assert word.partition("=")[0] in {*options, "--help", "--version"}, told
        elif re.fullmatch("[a-z-]+", word) and (known := getattr(command, "commands", None)):
            assert word in known, told
            command = known[word]


def _is_ours(program: str, words: list[str], told: str) -> None:
    if program == "python" and words[0] == "-m":
        spec = find_spec(words[1])
        assert spec is not None, told
        if words[1] not in FOREIGN:
            origin = Path(spec.origin or "")
            folder = origin.parent if origin.name == "__init__.py" else origin
            files = [folder] if folder.is_file() else list(folder.glob("*.py"))
            source = "".join(file.read_text() for file in files)
            options = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
            assert all(f'"{option}"' in source for option in options), told
    for word in words:
        if word.startswith(("tests/", "docs/", "benchmarks/")) and "*" not in word:
            assert (ROOT / word.partition("::")[0]).exists(), told
