"""The documents say what the code does, where that can be checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.states import TERMINAL, TRANSITIONS, JobState, sources

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda path: path.name
)
def test_every_file_that_a_document_links_to_exists(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_states_and_moves_are_those_of_the_design() -> None:
    assert {state.value for state in JobState} == {"queued", "running", "succeeded", "failed", "cancelled"}
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == TERMINAL
    assert TRANSITIONS[JobState.QUEUED] == {JobState.RUNNING, JobState.CANCELLED}
    assert TRANSITIONS[JobState.RUNNING] == {JobState.QUEUED, *TERMINAL}
    assert sources(JobState.CANCELLED) == (JobState.QUEUED, JobState.RUNNING)


def test_every_test_that_the_parts_name_exists() -> None:
    text = (ROOT / "docs" / "parts.md").read_text()
    file = ""
    for named in re.findall(r"`(tests/[^`]+|…::[^`]+)`", text):
        path, _, test = named.partition("::")
        file = file if path == "…" else path
        found = list(ROOT.glob(file))
        assert found, file
        assert not test or f"def {test}(" in found[0].read_text(), named
