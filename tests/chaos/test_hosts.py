"""Outgrowing one machine: API, Redis and store on one host, workers on two others, one of which is cut off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

APART = ("unshare", "--user", "--map-root-user", "--net")


def test_a_batch_spreads_over_hosts_and_survives_one_that_is_cut_off(tmp_path: Path) -> None:
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no network namespaces to users")
    played = subprocess.run(
        [*APART, sys.executable, "-m", "tests.chaos.hosts", str(tmp_path), "16000"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert played.returncode == 0, played.stderr[-4000:]
    found = json.loads(played.stdout.splitlines()[-1])
    assert (found["status"], found["rows_once_in_order"]) == ("succeeded", True)
    assert found["workers"] == 2, "the job did not spread"
    assert found["requeued"] >= 1
    print(f"cable pulled → its shard is taken over: {found['seconds_until_the_shard_was_taken']} s")
