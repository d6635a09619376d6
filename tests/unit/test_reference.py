"""Pages that are made from the code are those that it makes now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shared.config import Settings

ROOT = Path(__file__).parents[2]


def test_no_page_is_out_of_date() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    done = subprocess.run(
        [sys.executable, "docs/reference.py", "--check"],
        cwd=ROOT,
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert all(f"| `GRAFT_{name.upper()}` |" in text for name in Settings.model_fields)
