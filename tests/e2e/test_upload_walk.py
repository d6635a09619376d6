"""The walk of docs/uploads.md works as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import KEYS, RunningStack
from tests.e2e.test_uploads import TABLE

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk needs curl")
def test_the_walk_ends_with_a_dataset(stack: RunningStack, tmp_path: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "uploads.md").read_text(), re.DOTALL)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / "big.csv").write_bytes(TABLE)
    env = {**os.environ, "GRAFT": stack.url, "KEY": KEYS["default"]}
    done = subprocess.run(
        ["bash", "-c", f"set -eu -o pipefail\n{script}"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = len(TABLE.splitlines()) - 1
    assert re.search(rf"\('ds_\w+', {rows}\)", done.stdout), done.stdout
