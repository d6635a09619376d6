"""`graft`: names where ids are long, lists without `ls`, and advice that can be typed."""

from __future__ import annotations

import pyarrow.csv
import pytest

from tests.e2e import tables
from tests.e2e.conftest import OPERATORS_KEY, RunningStack
from tests.e2e.test_commands import BAD_INPUT, REFUSED, Shell

CREATE = ("--cron", "0 0 1 1 *", "--predict", "named", "--input", "flowers.csv")


@pytest.fixture(scope="module")
def shell(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("names")
    pyarrow.csv.write_csv(tables.iris(), folder / "flowers.csv")
    shell = Shell(stack.url, folder)
    shell.graft("train", "flowers.csv", "--target", "label", "--name", "named", "--watch")
    return shell


def test_a_schedule_goes_by_its_name_while_no_other_has_it(shell: Shell) -> None:
    first = shell.graft("schedules", "create", "yearly", *CREATE)
    assert "warning" not in first.stderr
    assert shell.json("schedules", "show", "yearly")["id"] == first.stdout.strip()
    assert shell.json("schedules", "pause", "yearly")["paused"] is True
    assert shell.json("schedules", "resume", "yearly")["paused"] is False
    assert shell.json("schedules", "run", "yearly")["schedule"] == first.stdout.strip()
    second = shell.graft("schedules", "create", "yearly", *CREATE)
    assert "warning: yearly" in second.stderr
    assert first.stdout.strip() in second.stderr
    for command in ("show", "run", "pause", "resume", "rm"):
        refused = shell.graft("schedules", command, "yearly", code=REFUSED).stderr
        assert first.stdout.strip() in refused
        assert second.stdout.strip() in refused
    shell.graft("schedules", "rm", second.stdout.strip())
    shell.graft("schedules", "rm", "yearly")
    assert "`graft schedules`" in shell.graft("schedules", "rm", "yearly", code=REFUSED).stderr


def test_a_key_that_may_only_submit_makes_schedules(shell: Shell) -> None:
    dataset = shell.graft("upload", "flowers.csv").stdout.strip()
    key = shell.graft("keys", "create", "--scope", "submit").stdout.strip()
    asked = ("--cron", "0 0 1 1 *", "--job", "job.json")
    (shell.folder / "job.json").write_text(
        f'{{"type": "evaluate", "model": "named", "dataset": "{dataset}"}}'
    )
    made = shell.graft("schedules", "create", "alone", *asked, GRAFT_API_KEY=key)
    shell.graft("schedules", "rm", made.stdout.strip(), GRAFT_API_KEY=key)


def test_a_dataset_goes_by_its_name_while_no_other_has_it(shell: Shell) -> None:
    dataset = shell.graft("upload", "flowers.csv", "--name", "meadow").stdout.strip()
    assert shell.json("datasets", "show", "meadow")["id"] == dataset
    assert len(shell.json("datasets", "preview", "meadow")["rows"]) == 20
    again = shell.graft("upload", "flowers.csv", "--name", "meadow").stdout.strip()
    assert again in shell.graft("datasets", "rm", "meadow", code=REFUSED).stderr
    shell.graft("datasets", "rm", again)
    assert f"{dataset} is deleted" in shell.graft("datasets", "rm", "meadow").stderr
    assert "`graft datasets`" in shell.graft("datasets", "show", "meadow", code=REFUSED).stderr


@pytest.mark.parametrize("group", ["jobs", "models", "datasets", "schedules"])
def test_a_group_without_a_command_takes_the_options_of_its_list(shell: Shell, group: str) -> None:
    assert shell.json(group) == shell.json(group, "ls")
    assert shell.graft(group).stderr == shell.graft(group, "ls").stderr
    assert "Usage: graft jobs [OPTIONS]" in " ".join(shell.graft("jobs", "--help").stdout.split())
    assert "No such command" in shell.graft(group, "list", code=BAD_INPUT).stderr


def test_a_list_takes_its_own_options_and_the_shell_is_offered_the_commands(shell: Shell) -> None:
    assert len(shell.json("jobs", "--limit", 1)) == 1
    asked = {"_GRAFT_COMPLETE": "complete_bash", "COMP_WORDS": "graft jobs ", "COMP_CWORD": "2"}
    offered = shell.graft("jobs", **asked, GRAFT_API_KEY=OPERATORS_KEY).stdout.split()
    assert {"ls", "output", "wait"} <= set(offered)


def test_advice_names_commands_and_no_calls(shell: Shell) -> None:
    typo = shell.graft("train", "flwoers.csv", "--target", "label", "--name", "n", code=BAD_INPUT).stderr
    assert "there is no file flwoers.csv" in typo
    assert "`graft datasets`" in typo
    (shell.folder / "flowers.txt").write_bytes((shell.folder / "flowers.csv").read_bytes())
    unnamed = shell.graft("train", "flowers.txt", "--target", "label", "--name", "n", code=BAD_INPUT).stderr
    assert "name it .csv" in unnamed
    trained = shell.json("jobs", "--type", "train", "--limit", 1)[0]["id"]
    no_output = shell.graft("jobs", "output", trained, "-o", "x.csv", code=REFUSED).stderr
    for said in (typo, unnamed, no_output):
        assert "()" not in said
        assert "=…" not in said
        assert "client." not in said
