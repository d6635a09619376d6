"""The README's tour works as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import KEYS, RunningStack

ROOT = Path(__file__).parents[2]


def test_the_tour_runs_as_printed(stack: RunningStack, tmp_path: Path) -> None:
    """Its commands, and then its Python, in a folder like one in which `make up` runs."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / ".graft").mkdir()
    (tmp_path / ".graft" / "api-key").write_text(KEYS["default"])
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / "tour.py").write_text(python)
    script = "\n".join(["set -eu", *blocks, "python tour.py"])
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**env, "GRAFT_URL": stack.url},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for told in ("verdict   improved", "improved: ", "written: scored.csv", "next: 20", "797 rows;"):
        assert told in done.stdout + done.stderr
    assert done.stdout.endswith("improved\n")
    assert "<title>digits-turned:1" in (tmp_path / "report.html").read_text()
