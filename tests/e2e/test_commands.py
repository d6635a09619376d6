"""`graft`, as it is typed, against a running stack: a first session, scripts, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from graft.demo import write_tables
from tests.e2e.conftest import OPERATORS_KEY, RunningStack

OK, REFUSED, BAD_INPUT, UNREACHABLE, JOB_FAILED = range(5)
LONG = (
    "--model",
    "nn",
    "--set",
    "epochs=100000",
    "--set",
    "learning_rate=1e-6",
    "--set",
    "hidden_layers=256,128",
)
"""Options of a training that does not end by itself in time."""


class Shell:
    """A user's, in a folder with the demo's tables."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def graft(self, *arguments: object, code: int = OK, **settings: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
        env |= {"GRAFT_URL": self.url, "GRAFT_API_KEY": OPERATORS_KEY, "COLUMNS": "200", **settings}
        command = [sys.executable, "-m", "graft", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object, **settings: Any) -> Any:
        return json.loads(self.graft(*arguments, "--json", **settings).stdout)


@pytest.fixture(scope="module")
def shell(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("session")
    write_tables(folder)
    return Shell(stack.url, folder)


@pytest.fixture(scope="module")
def trained(shell: Shell) -> str:
    job = shell.json(
        "train", "upright.csv", "--target", "digit", "--model", "nn", "--name", "cli-digits", "--watch"
    )
    assert job["status"] == "succeeded"
    return "cli-digits"


@pytest.fixture(scope="module")
def tuned(shell: Shell, trained: str) -> str:
    done = shell.graft(
        "fine-tune", trained, "turned.parquet", "--name", "cli-turned", "--test-fraction", 0.5, "--watch"
    )
    assert "verdict" in done.stdout
    assert "points" in done.stdout
    return "cli-turned"


def test_a_first_session_from_files_to_scores(shell: Shell, tuned: str) -> None:
    report = shell.graft("models", "report", tuned).stdout
    assert report.startswith("improved: ")
    assert "from scratch" in report
    assert shell.graft("models", "report", tuned, "--html", "report.html").stdout == ""
    assert "<title>" in (shell.folder / "report.html").read_text()
    shell.graft("models", "alias", tuned, "champion", 1)
    shell.graft("predict", f"{tuned}@champion", "unlabelled.jsonl", "-o", "scored.parquet")
    scored = pa.parquet.read_table(shell.folder / "scored.parquet")
    assert scored.num_rows == 797
    assert "prediction" in scored.column_names


@pytest.mark.parametrize(("name", "read"), [("out.csv", pa.csv.read_csv), ("folder", None)])
def test_scores_are_written_as_the_name_says(shell: Shell, trained: str, name: str, read: Any) -> None:
    done = shell.json("predict", trained, "unlabelled.jsonl", "--columns", "none", "-o", name)
    (written,) = done["downloaded"]
    rows = read(shell.folder / written) if read else pa.parquet.read_table(shell.folder / written)
    assert rows.num_rows == done["counts"]["succeeded"] == 797


def test_a_dataset_is_given_by_file_or_by_id(shell: Shell) -> None:
    dataset = shell.graft("upload", "turned.parquet", "--name", "turned").stdout.strip()
    assert dataset.startswith("ds_")
    assert shell.json("datasets", "show", dataset)["rows"] == 100
    assert dataset in shell.graft("datasets").stdout
    assert len(shell.json("datasets", "preview", dataset)["rows"]) > 0
    job = shell.json("train", dataset, "--target", "digit", "--name", "cli-by-id", "--watch")
    assert job["spec"]["dataset"] == dataset
    shell.graft("models", "rm", "cli-by-id", "--yes")
    shell.graft("datasets", "rm", dataset)
    assert "there is no dataset" in shell.graft("datasets", "show", dataset, code=REFUSED).stderr


def test_jobs_are_looked_at_waited_for_and_stopped(shell: Shell) -> None:
    done = shell.graft("train", "upright.csv", "--target", "digit", "--name", "cli-long", *LONG)
    job = done.stdout.strip()
    assert f"graft jobs wait {job}" in done.stderr
    assert shell.json("jobs", "show", job)["spec"]["estimator"]["hidden_layers"] == [256, 128]
    assert job in shell.graft("jobs", "ls", "--type", "train").stdout
    shell.graft("jobs", "cancel", job)
    assert "cancelled" in shell.graft("jobs", "wait", job, code=JOB_FAILED).stderr
    again = shell.graft("jobs", "retry", job).stdout.strip()
    assert shell.json("jobs", "show", again)["parent"] == job
    shell.graft("jobs", "cancel", again)
    assert "cancel" in shell.graft("jobs", "events", job).stdout
    assert shell.graft("jobs", "logs", job, "--follow").returncode == OK


def test_versions_are_compared_and_aliases_moved_and_rolled_back(
    shell: Shell, trained: str, tuned: str
) -> None:
    compared = shell.graft("models", "compare", trained, tuned).stdout
    assert "accuracy" in compared
    assert shell.json("models", "alias", tuned, "rolling", 1)["version"] == 1
    refused = shell.graft("models", "rollback", tuned, "rolling", code=REFUSED)
    assert "no other version before" in refused.stderr
    shell.graft("models", "alias", tuned, "rolling", "--remove")
    assert "removed" in shell.graft("models", "alias", tuned, "rolling").stdout
    assert trained in shell.graft("models").stdout
    assert "accuracy" in shell.graft("models", "show", trained).stdout
    shell.graft("models", "export", trained, "-o", "card.md")
    assert (shell.folder / "card.md").read_text().startswith("# cli")


def test_a_schedule_from_its_making_to_its_end(shell: Shell, trained: str) -> None:
    made = shell.json(
        "schedules", "create", "cli-nightly", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin",
        "--predict", trained, "--input", "unlabelled.jsonl",
    )  # fmt: skip
    assert made["next_run_at"]
    assert "cli-nightly" in shell.graft("schedules").stdout
    assert "paused" in shell.graft("schedules", "pause", made["id"]).stderr
    assert shell.json("schedules", "run", made["id"], "--watch")["status"] == "succeeded"
    assert "next" in shell.graft("schedules", "resume", made["id"]).stderr
    assert "cli-nightly" in shell.graft("schedules", "show", made["id"]).stdout
    shell.graft("schedules", "rm", made["id"])
    assert made["id"] not in shell.graft("schedules", "ls").stdout


def test_a_model_that_was_tuned_on_other_names_goes_on_with_such_tables(shell: Shell, trained: str) -> None:
    theirs = pa.parquet.read_table(shell.folder / "turned.parquet")
    words = pa.array([f"Ziffer {digit}" for digit in theirs["digit"].to_pylist()])
    theirs = theirs.set_column(64, "ziffer", words).rename_columns(
        ["ecke", *theirs.schema.names[1:64], "ziffer"]
    )
    pa.parquet.write_table(theirs, shell.folder / "theirs.parquet")
    maps = (
        "--column",
        "ecke=pixel_0_0",
        *(f"--label=Ziffer {n}={n}" for n in range(10)),
        "--target",
        "ziffer",
    )
    tuning = ("--name", "cli-theirs", "--strategy", "l2_sp", "--watch")
    shell.graft("fine-tune", trained, "theirs.parquet", *maps, *tuning)
    table = ("cli-theirs", "theirs.parquet")
    refused = shell.graft("predict", *table, code=BAD_INPUT).stderr
    assert "pixel_0_0" in refused
    assert "--column theirs=ours" in refused
    shell.graft("predict", *table, *maps[:2], "-o", "theirs-scored.parquet")
    scored = pa.parquet.read_table(shell.folder / "theirs-scored.parquet")
    assert scored.schema.names[:66] == [*theirs.schema.names, "prediction"]
    right = [f"Ziffer {digit}" for digit in scored["prediction"].to_pylist()]
    share = sum(map(str.__eq__, right, words.to_pylist())) / len(right)
    measured = shell.json("evaluate", *table, *maps, "--watch")
    assert measured["result"]["report"]["columns"]["mapped"] == {"ecke": "pixel_0_0"}
    assert measured["result"]["metrics"]["accuracy"] == pytest.approx(share)
    shifted = shell.json("shift-report", *table, *maps, "--watch")
    assert shifted["result"]["report"]["columns"]["missing"] == []
    nightly = ("--cron", "30 2 * * *", "--predict", "cli-theirs", "--input", "theirs.parquet", *maps[:2])
    made = shell.json("schedules", "create", "cli-theirs-nightly", *nightly)
    assert made["job"]["column_map"] == {"ecke": "pixel_0_0"}
    assert shell.json("schedules", "run", made["id"], "--watch")["counts"]["succeeded"] == theirs.num_rows
    shell.graft("schedules", "rm", made["id"])
    body = shell.folder / "body.json"
    body.write_text("{}")
    both = shell.graft(
        "schedules", "create", "x", "--cron", "* * * * *", "--job", body, *maps[:2], code=BAD_INPUT
    )
    assert "column_map" in both.stderr


def test_what_is_wrong_is_said_with_an_exit_code_of_its_own(
    shell: Shell, trained: str, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("x,y\n1,a\n2,a\n3,a\n4,a\n")
    failed = shell.graft(
        "train", tmp_path / "one.csv", "--target", "y", "--name", "cli-one", "-w", code=JOB_FAILED
    )
    assert "one_class" in failed.stderr
    (tmp_path / "ragged.csv").write_text("x,y\n1,a\n2\n")
    assert "line 3" in shell.graft("upload", tmp_path / "ragged.csv", code=BAD_INPUT).stderr
    upright = ("train", "upright.csv", "--name", "x", "--target")
    assert "target" in shell.graft(*upright, "nothing", code=BAD_INPUT).stderr
    assert "svm" in shell.graft(*upright, "digit", "--model", "gpt", code=BAD_INPUT).stderr
    no_file = shell.graft("train", "no-such.csv", "--target", "y", "--name", "x", code=BAD_INPUT)
    assert "there is no file no-such.csv" in no_file.stderr
    assert "there is no" in shell.graft("predict", "no-such", "unlabelled.jsonl", code=BAD_INPUT).stderr
    assert "there is no" in shell.graft("jobs", "show", "job_01M881A5K9E7JJ9MYW8KW8BGVE", code=REFUSED).stderr
    away = shell.graft("jobs", code=UNREACHABLE, GRAFT_URL="http://127.0.0.1:1")
    assert "graft up" in away.stderr
    assert "GRAFT_API_KEY" in shell.graft("jobs", code=REFUSED, GRAFT_API_KEY="graft_wrong").stderr


def test_the_doctor_says_what_is_well_and_what_is_not(shell: Shell) -> None:
    found = {one["what"]: one["outcome"] for one in shell.json("doctor")}
    assert {found[name] for name in ("libraries", "api", "clock", "redis", "store", "worker", "key")} == {
        "ok"
    }
    sick = shell.graft(
        "doctor",
        code=REFUSED,
        GRAFT_URL="http://127.0.0.1:1",
        GRAFT_LEASE_SECOND="5",
        GRAFT_TICK_SECONDS="never",
    )
    assert "did you mean GRAFT_LEASE_SECONDS?" in sick.stderr
    assert "GRAFT_TICK_SECONDS" in sick.stdout
    assert "nobody answers" in sick.stdout


def test_bench_measures_and_leaves_nothing_behind(shell: Shell) -> None:
    figures = shell.json("bench", "--rounds", 3)
    assert all(0 < figure["p50_ms"] <= figure["max_ms"] for figure in figures)
    assert "graft-bench" not in shell.graft("models").stdout
    assert "graft-bench" not in shell.graft("datasets").stdout
