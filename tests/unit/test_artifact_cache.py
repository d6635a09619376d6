"""The workers' folder of fetched artifacts: it saves fetches, keeps to its size, and is never in the way."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from worker.artifacts import ArtifactCache


def digest(name: str) -> str:
    return hashlib.sha256(name.encode() * 10).hexdigest()


class Store:
    def __init__(self) -> None:
        self.fetched: list[str] = []

    def fetch(self, name: str) -> bytes:
        self.fetched.append(name)
        return name.encode() * 10


def test_an_artifact_is_fetched_once(tmp_path: Path) -> None:
    cache, store = ArtifactCache(tmp_path / "cache", 1_000), Store()
    contents = [cache.content(digest("a"), lambda: store.fetch("a")) for _ in range(3)]
    assert contents == [b"a" * 10] * 3
    assert store.fetched == ["a"]


def test_those_used_last_are_kept(tmp_path: Path) -> None:
    cache, store = ArtifactCache(tmp_path / "cache", 25), Store()
    for moment, name in enumerate(["a", "b", "a", "c", "a", "b"]):
        cache.content(digest(name), lambda name=name: store.fetch(name))
        os.utime(tmp_path / "cache" / digest(name), (moment, moment))
    assert store.fetched == ["a", "b", "c", "b"]
    assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= 25


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    cache, store = ArtifactCache(tmp_path / "cache", 5), Store()
    for _ in range(2):
        assert cache.content(digest("a"), lambda: store.fetch("a")) == b"a" * 10
    assert store.fetched == ["a", "a"]


def test_a_folder_that_cannot_be_written_costs_no_job(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    store = Store()
    assert ArtifactCache(tmp_path / "cache", 100).content(digest("a"), lambda: store.fetch("a")) == b"a" * 10


def test_an_error_of_the_fetch_is_the_callers(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise OSError("the store is away")

    with pytest.raises(OSError, match="away"):
        ArtifactCache(tmp_path / "cache", 100).content(digest("a"), fail)
    assert not (tmp_path / "cache").exists()


def test_what_is_not_the_artifact_asked_for_is_handed_on_and_not_kept(tmp_path: Path) -> None:
    cache, store = ArtifactCache(tmp_path / "cache", 1_000), Store()
    assert cache.content(digest("a"), lambda: b"swapped") == b"swapped"
    assert cache.content(digest("a"), lambda: store.fetch("a")) == b"a" * 10
