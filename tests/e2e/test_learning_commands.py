"""`graft train` and `graft fine-tune` off the beaten track: other targets, other names, other labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import graft
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.e2e.test_commands import BAD_INPUT, JOB_FAILED, Shell


@pytest.fixture(scope="module")
def shell(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("learning")
    made = {"sugar": tables.diabetes(), "iris": tables.iris(), "north": _customers(400, 1)}
    south = _customers(120, 2).rename_columns(["alter", "umsatz", "gekuendigt"])
    words = ["ja" if left else "nein" for left in south["gekuendigt"].to_pylist()]
    made["south"] = south.set_column(2, "gekuendigt", pa.array(words))
    for name, table in made.items():
        pa.csv.write_csv(table, folder / f"{name}.csv")
    return Shell(stack.url, folder)


def _customers(rows: int, seed: int) -> pa.Table:
    random = np.random.RandomState(seed)
    age, spend = random.normal(45, 12, rows), random.normal(60, 20, rows)
    left = age / 12 - spend / 20 + random.normal(size=rows) > 0.75
    return pa.table({"age": age, "monthly_spend": spend, "churned": left})


@pytest.fixture(scope="module")
def churn(shell: Shell) -> str:
    shell.graft("train", "north.csv", "--target", "churned", "--name", "cli-churn", "--watch")
    return "cli-churn"


@pytest.mark.parametrize(("table", "kind"), [("sugar", "linear_regression"), ("iris", "logistic_regression")])
def test_without_a_kind_the_target_decides(shell: Shell, table: str, kind: str) -> None:
    name = f"plain-{table}"
    job = shell.json("train", f"{table}.csv", "--target", "label", "--name", name, "--watch")
    assert job["status"] == "succeeded"
    assert job["spec"]["estimator"]["kind"] == "auto"
    assert shell.json("models", "show", f"{name}:1")["estimator"]["kind"] == kind


def test_the_client_needs_no_kind_either(stack: RunningStack) -> None:
    with graft.Client(stack.url, KEYS["default"]) as client:
        job = client.train(tables.diabetes(), target="label", name="plain-client").wait(timeout=120)
        assert job.result is not None
        assert job.result["metrics"]["r2"] > 0.2
        tuned = client.fine_tune(
            "plain-client", tables.diabetes().slice(0, 100), target="label", name="plain-tuned"
        )
        assert tuned.wait(timeout=120).model == "plain-tuned:1"


def test_a_setting_or_a_name_that_cannot_be_is_answered_with_those_that_can(
    shell: Shell, tmp_path: Path
) -> None:
    wanted = ("train", "iris.csv", "--target", "label")
    refused = shell.graft(*wanted, "--name", "My Model", "--set", "epoch=5", code=BAD_INPUT).stderr
    assert "did you mean epochs?" in refused
    assert "small letters, digits, . _ -" in refused
    assert "^[a-z" not in refused
    alias = shell.graft("models", "alias", "plain-iris", "Prod!", 1, code=BAD_INPUT).stderr
    assert "small letters, digits, . _ -" in alias


def test_a_table_with_other_names_is_told_how_to_say_which_is_which(shell: Shell, churn: str) -> None:
    moved = ("fine-tune", churn, "south.csv", "--name", "cli-churn-south")

    def refused(*options: str) -> str:
        return shell.graft(*moved, *options, code=BAD_INPUT).stderr

    plain = refused()
    assert "give it as target (--target)" in plain
    assert "column_map (--column theirs=ours)" in plain
    assert "--target gekuendigt" in refused("--column", "gekuendigt=churned")
    assert "is it alter=age?" in refused("--target", "gekuendigt", "--column", "age=alter")
    assert "--target" not in refused("--target", "nope"), "a name that was given is not taken for granted"


def test_labels_that_are_written_otherwise_are_told_how_to_be_mapped(shell: Shell, churn: str) -> None:
    named = ("--target", "gekuendigt", "--column", "alter=age", "--column", "umsatz=monthly_spend", "--watch")
    moved = ("fine-tune", churn, "south.csv", "--name", "cli-churn-south", *named)
    mismatched = shell.graft(*moved, code=JOB_FAILED).stderr
    assert "(label_type_mismatch)" in mismatched
    assert "label_map (`--label theirs=ours`" in mismatched
    unknown = shell.graft(*moved, "--label", "1=true", code=JOB_FAILED).stderr
    assert "no target row has the label '1'; there are 'ja' and 'nein'" in unknown
    done = shell.json(*moved, "--label", "ja=True", "--label", "nein=False")
    assert done["result"]["report"]["labels"]["new"] == [], "True is written as in the predictions"
