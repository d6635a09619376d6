"""`graft train` and `graft fine-tune` off the beaten track: other targets, other names, other labels."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

import graft
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.e2e.test_commands import BAD_INPUT, Shell


@pytest.fixture(scope="module")
def shell(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("learning")
    for name, table in {"sugar": tables.diabetes(), "iris": tables.iris()}.items():
        pa.csv.write_csv(table, folder / f"{name}.csv")
    return Shell(stack.url, folder)


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
