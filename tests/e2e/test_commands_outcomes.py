"""`graft`: what it says of a job that is waited for, has ended, or is left alone."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from graft.demo import write_tables
from tests.e2e import tables
from tests.e2e.conftest import OPERATORS_KEY, RunningStack
from tests.e2e.test_commands import BAD_INPUT, JOB_FAILED, LONG, Shell
from tests.support.visitor import Visitor

INTERRUPTED = 130


@pytest.fixture(scope="module")
def shell(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("outcomes")
    write_tables(folder)
    pyarrow.csv.write_csv(tables.mixed(300), folder / "north.csv")
    pyarrow.csv.write_csv(tables.mixed(200, seed=1), folder / "south.csv")
    return Shell(stack.url, folder)


@pytest.fixture(scope="module")
def trained(shell: Shell) -> str:
    shell.graft("train", "north.csv", "--target", "label", "--name", "outcome", "--watch")
    return "outcome"


def in_terminal(shell: Shell, *arguments: object) -> str:
    """What a command prints on standard output where that is a terminal of 200 columns."""
    main, its = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    env |= {"GRAFT_URL": shell.url, "GRAFT_API_KEY": OPERATORS_KEY, "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "graft", *map(str, arguments)]
    with subprocess.Popen(command, cwd=shell.folder, env=env, stdout=its, stderr=subprocess.PIPE) as running:
        os.close(its)
        printed = b""
        try:
            while chunk := os.read(main, 1 << 16):
                printed += chunk
        except OSError:  # Linux says so that the other end is closed
            pass
        finally:
            os.close(main)
        assert running.wait(timeout=60) == 0
    return printed.decode()


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_shift_report_is_told_in_its_own_sentences(shell: Shell, trained: str, stack: RunningStack) -> None:
    done = shell.graft("shift-report", trained, "south.csv", "--target", "label", "--watch")
    job = next(word for word in done.stderr.split() if word.startswith("job_"))
    report = shell.json("jobs", "show", job)["result"]["report"]
    told = [report["sentence"], report["advice"], *report["sentences"].values()]
    seen = (
        done.stdout,
        shell.graft("jobs", "show", job).stdout,
        shell.graft("jobs", "wait", job).stdout,
        in_terminal(shell, "jobs", "wait", job),
    )
    for text in seen:
        assert [sentence for sentence in told if words(sentence) not in words(text)] == []
    with Visitor(stack.url, OPERATORS_KEY) as visitor:
        page = visitor.page(f"/jobs/{job}").partition("<details>")[0]
    assert [sentence for sentence in told if escaped(sentence) not in page] == []


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("'", "&#39;").replace(">", "&gt;").replace("<", "&lt;")


def test_sources_are_ranked_in_a_table(shell: Shell, trained: str, stack: RunningStack) -> None:
    shell.graft(
        "train", "south.csv", "--target", "label", "--name", "outcome-tree", "--model", "forest", "-w"
    )
    asked = ("rank-sources", "south.csv", "--target", "label", "--candidate", trained)
    done = shell.graft(*asked, "--candidate", "outcome-tree", "--watch")
    job = next(word for word in done.stderr.split() if word.startswith("job_"))
    report = shell.json("jobs", "show", job)["result"]["report"]
    best = report["ranking"][0]
    for text in (done.stdout, in_terminal(shell, "jobs", "wait", job)):
        assert words(report["sentence"]) in words(text)
        row = next(line for line in text.splitlines() if line.startswith(f"{best['model']['name']}:"))
        assert row.split()[1:4] == [f"{best[way]['score']:.3f}" for way in ("own", "stacked", "fine_tuned")]
    with Visitor(stack.url, OPERATORS_KEY) as visitor:
        assert f">{best['model']['name']}:{best['model']['version']}</a>" in visitor.page(f"/jobs/{job}")


def test_only_what_may_go_better_is_offered_again(shell: Shell) -> None:
    (shell.folder / "one.csv").write_text("x,y\n" + "1,a\n" * 20)
    failed = shell.graft("train", "one.csv", "--target", "y", "--name", "o", "-w", code=JOB_FAILED).stderr
    assert "graft jobs logs" in failed
    assert "retry" not in failed


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_get_back_to_it(shell: Shell) -> None:
    job = shell.graft("train", "upright.csv", "--target", "digit", "--name", "o-long", *LONG).stdout.strip()
    try:
        with waiting(shell, "jobs", "wait", job) as running:
            assert running.stderr is not None
            assert job in running.stderr.readline()
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)
        assert running.returncode == INTERRUPTED
        assert f"{job} goes on" in said
        assert f"graft jobs wait {job}" in said
        assert f"graft jobs cancel {job}" in said
        assert "Traceback" not in said
        assert shell.json("jobs", "show", job)["status"] in {"queued", "running"}
    finally:
        shell.graft("jobs", "cancel", job)


def waiting(shell: Shell, *arguments: object) -> subprocess.Popen[str]:
    """The command, at work, with pipes for what it says. Ctrl-C reaches it, also where a shell in the background told
    all that it started to ignore that."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    env |= {"GRAFT_URL": shell.url, "GRAFT_API_KEY": OPERATORS_KEY}
    command: Any = [sys.executable, "-m", "graft", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=Path(shell.folder),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def test_the_rows_of_a_batch_are_fetched_by_whoever_has_its_id(shell: Shell, trained: str) -> None:
    done = shell.graft("predict", trained, "south.csv", "--watch")
    job = next(word for word in done.stderr.split() if word.startswith("job_"))
    told = f"graft jobs output {job} -o scored.parquet"
    seen = (done, shell.graft("jobs", "show", job), shell.graft("jobs", "wait", job))
    assert [told in one.stderr for one in seen] == [True] * 3
    assert shell.graft("jobs", "output", job, "-o", "scored.parquet").stdout == "scored.parquet\n"
    assert pyarrow.parquet.read_table(shell.folder / "scored.parquet").num_rows == 200
    (file,) = shell.graft("jobs", "output", job, "-o", "scored").stdout.split()
    assert pyarrow.parquet.read_table(shell.folder / file).num_rows == 200
    other = shell.graft("jobs", "output", job, "-o", "scored.csv", code=BAD_INPUT)
    assert ".parquet" in other.stderr
    assert not (shell.folder / "scored.csv").exists()
    here = shell.graft("predict", trained, "south.csv", "-o", "here.csv")
    assert "graft jobs output" not in here.stderr


def test_the_list_of_bad_rows_is_named_and_fetched(shell: Shell, trained: str) -> None:
    lines = (shell.folder / "south.csv").read_text().splitlines()
    lines[3] = '"old",true,"Bern",2021-01-01,"stays"'
    (shell.folder / "bad.csv").write_text("\n".join(lines) + "\n")
    failed = shell.graft("predict", trained, "bad.csv", "--watch", code=JOB_FAILED).stderr
    assert "bad_row" in failed
    assert "--skip-bad-rows" in failed
    done = shell.graft("predict", trained, "bad.csv", "--skip-bad-rows", 0.1, "-o", "good.csv")
    job = next(word for word in done.stderr.split() if word.startswith("job_"))
    assert f"graft jobs output {job} --errors -o bad.jsonl" in done.stderr
    shell.graft("jobs", "output", job, "--errors", "-o", "bad.jsonl")
    (bad,) = map(json.loads, (shell.folder / "bad.jsonl").read_text().splitlines())
    assert (bad["row"], bad["column"]) == (3, "age")
    none = shell.graft("predict", trained, "south.csv", "-o", "all.csv").stderr
    job = next(word for word in none.split() if word.startswith("job_"))
    assert "--errors" not in none
    shell.graft("jobs", "output", job, "--errors", "-o", "none.jsonl")
    assert (shell.folder / "none.jsonl").read_text() == ""
