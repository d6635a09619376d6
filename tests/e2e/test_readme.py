"""The README's tour works as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import KEYS, RunningStack

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour needs curl")
def test_the_tour_runs_and_ends_with_a_prediction(stack: RunningStack, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / ".graft").mkdir()
    (tmp_path / ".graft" / "api-key").write_text(KEYS["default"])
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    script = "set -eu\n" + "\n".join(blocks).replace("http://127.0.0.1:8000", stack.url)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"predictions":[' in done.stdout.replace(" ", "")
    assert "verdict: improved" in done.stdout
