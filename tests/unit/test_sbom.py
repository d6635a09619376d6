"""The bill of materials tells of everything in the lock, and tells the same again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.txt").read_text()


def bill(lock: Path) -> str:
    command = [sys.executable, str(ROOT / "deploy" / "sbom.py"), str(lock)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_every_locked_version_is_in_it_with_its_digests_and_the_same_lock_gives_the_same_bytes() -> None:
    told = bill(ROOT / "requirements.txt")
    assert told == bill(ROOT / "requirements.txt")
    document = json.loads(told)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    locked = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", LOCK, re.MULTILINE)
    assert len(locked) > 50
    components = {(item["name"], item["version"]): item for item in document["components"]}
    assert set(components) == set(locked)
    assert {item["purl"] for item in components.values()} == {f"pkg:pypi/{n}@{v}" for n, v in locked}
    digests = [entry["content"] for item in components.values() for entry in item["hashes"]]
    assert sorted(digests) == sorted(re.findall(r"sha256:([0-9a-f]{64})", LOCK))


def test_what_is_not_pinned_makes_no_bill(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("flask>=3\n")
    with pytest.raises(subprocess.CalledProcessError):
        bill(tmp_path / "lock.txt")


def test_everything_in_the_lock_is_pinned_with_its_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip()]
        assert entries
        for entry in entries:
            assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
            assert "--hash=sha256:" in entry, entry
