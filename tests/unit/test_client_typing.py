"""Who uses the client has types for everything: mypy --strict finds what is wrong, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from typing import assert_type

import graft
from shared.contracts.datasets import Dataset
from shared.contracts.jobs import JobEvent, JobProgress
from shared.contracts.models import Predictions
from shared.states import JobState

with graft.Client() as client:
    dataset = client.upload("churn.csv", on_progress=lambda done, total: None)
    assert_type(dataset, Dataset)
    job = client.train(dataset, target="churned", name="churn", estimator={"kind": "svm"}, priority="high")
    assert_type(job.wait(progress=True), graft.Job)
    assert_type(job.status, JobState)
    for event in job.events():
        assert_type(event, JobEvent)
    for told in job.events(follow=True):
        assert_type(told, JobEvent | JobProgress)
    assert_type(client.models["churn@production"].predict([{"age": 4}]), Predictions)
    assert_type(client.models.versions.report("churn", 1, as_html=True), str)
    try:
        client.schedules.update("sch_0", end=None)
    except graft.InvalidInput as error:
        assert_type(error.errors, dict[str, str])
"""
MISTAKES = """
import graft

client = graft.Client()
client.train("churn.csv", name="churn")  # no target
client.train("churn.csv", target="y", name="churn", priority="soon")
client.batch_predict("churn", "t.csv", on_bad_row="ignore")
client.schedules.update("sch_0", crno="* * * * *")
client.models["churn"].predcit([])
"""


def mypy(program: str, folder: Path) -> list[str]:
    file = folder / "program.py"
    file.write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
    command += ["--config-file", str(Path(__file__).parents[2] / "pyproject.toml"), str(file)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=280)
    assert not ran.stderr, ran.stderr
    return [line for line in ran.stdout.splitlines() if ": error:" in line]


def test_the_client_is_typed(tmp_path: Path) -> None:
    assert mypy(PROGRAM, tmp_path) == []
    found = mypy(MISTAKES, tmp_path)
    assert [line.split(":")[1] for line in found] == ["5", "6", "7", "8", "9"], found
