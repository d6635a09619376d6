"""Reading in a child: the same answers, and whatever a file does to the child is said and stays there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from shared import tables
from shared.config import SECRET_VARIABLES, Settings, forget_secrets
from shared.confinement import Readers
from shared.contracts.tables import Format
from shared.errors import GraftError, InvalidInput, Temporary
from tests.support import bombs
from tests.support.client import CSV, JSONL, PARQUET, written
from tests.support.waiting import eventually

TABLE = pa.table({"n": [1, 2, None], "x": [0.5, None, 1.5], "text": ["ä", None, "=1+1"]})
KINDS: dict[Format, str] = {"csv": CSV, "parquet": PARQUET, "jsonl": JSONL}


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    readers = Readers(memory_bytes=256 * 2**20, cpu_seconds=60, places=2, queue_seconds=0.2)
    yield readers
    readers.close()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file that takes seconds to read."""
    path = tmp_path / "slow.csv.gz"
    path.write_bytes(bombs.slow_text())
    return path


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def children() -> set[int]:
    """The readers of this process: children of its forkserver."""
    return {
        grandchild.pid
        for child in psutil.Process().children()
        for grandchild in child.children()
        if "forkserver" in " ".join(child.cmdline())
    }


def refusal(readers: Readers, path: Path, format: Format) -> str:
    with pytest.raises(GraftError) as refused:
        readers.profile("p", path, format)
    return refused.value.code


@pytest.mark.parametrize("format", KINDS)
def test_a_child_answers_what_the_reader_would(readers: Readers, tmp_path: Path, format: Format) -> None:
    path = saved(tmp_path / "t", written(TABLE, KINDS[format]))
    found = readers.profile("p", path, format)
    assert found == tables.profile(path, format)
    assert readers.preview("p", path, format, found.columns, 2) == tables.preview(
        path, format, found.columns, 2
    )


def test_a_refusal_keeps_its_code_and_place(readers: Readers, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="row 2") as refused:
        readers.profile("p", saved(tmp_path / "t", b"a,b\n1,2\n1,2,3\n"), "csv")
    assert refused.value.code == "ragged_row"


def test_a_bomb_costs_its_child_and_nobody_else(readers: Readers, tmp_path: Path) -> None:
    bomb = saved(tmp_path / "bomb", bombs.large_dictionary_entry())
    assert bomb.stat().st_size < 1_000
    before = psutil.Process().memory_info().rss
    assert refusal(readers, bomb, "parquet") == "too_costly"
    assert (
        refusal(readers, saved(tmp_path / "t", bombs.repeated_dictionary_entry()), "parquet") == "too_costly"
    )
    assert psutil.Process().memory_info().rss < before + 16 * 2**20
    assert readers.profile("p", saved(tmp_path / "fine", b"a\n1\n"), "csv").rows == 1


def test_processor_time_is_limited(slow: Path) -> None:
    readers = Readers(memory_bytes=2**30, cpu_seconds=0, places=1)
    try:
        assert refusal(readers, slow, "csv") == "too_costly"
        path = saved(slow.with_name("fine"), b"a\n1\n")
        assert [readers.profile("p", path, "csv").rows for _ in range(3)] == [1, 1, 1]
    finally:
        readers.close()


@pytest.mark.parametrize(
    ("by", "code"),
    [(signal.SIGSEGV, "unreadable_table"), (signal.SIGKILL, "too_costly"), (signal.SIGTERM, "reader_lost")],
)
def test_a_child_that_dies_is_an_answer(readers: Readers, slow: Path, by: int, code: str) -> None:
    readers.close()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(refusal, readers, slow, "csv")
        (reader,) = eventually(children)
        os.kill(reader, by)
        assert asked.result(30) == code
    eventually(lambda: not children())


def test_who_finds_all_readers_taken_is_told_to_come_back(readers: Readers, slow: Path) -> None:
    readers.close()
    go_on = threading.Event()

    def read() -> None:
        assert readers.profile("p", slow, "csv").rows == 60 * 2**20
        go_on.set()

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        eventually(lambda: len(children()) == 2)
        with pytest.raises(Temporary) as refused:
            readers.profile("p", slow, "csv")
        assert not go_on.is_set()
        assert (refused.value.code, refused.value.retry_after) == ("readers_busy", 5)
        for done in reading:
            done.result(60)


def test_a_reader_reads_for_one_project_only(readers: Readers, tmp_path: Path) -> None:
    readers.close()
    path = saved(tmp_path / "t", b"a\n1\n")

    def reader_of(project: str) -> set[int]:
        before = children()
        readers.profile(project, path, "csv")
        return children() - before

    first, second = reader_of("p"), reader_of("q")
    assert (len(first), len(second)) == (1, 1)
    assert reader_of("p") == set()
    assert reader_of("q") == set()
    assert reader_of("r")
    assert eventually(lambda: len(children()) == 2), "no more are kept than may read at a time"


def test_readers_die_with_their_parent(tmp_path: Path) -> None:
    program = (
        "import psutil, sys, time\nfrom pathlib import Path\nfrom shared.confinement import Readers\n"
        "readers = Readers(memory_bytes=2**27, cpu_seconds=60, places=1)\n"
        "path = Path(sys.argv[1])\nreaders.profile('p', path, 'csv')\n"
        "print(*[c.pid for c in psutil.Process().children(recursive=True)], flush=True)\ntime.sleep(60)\n"
    )
    path = tmp_path / "t"
    path.write_text("a\n1\n")
    process = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    family = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    assert family
    eventually(lambda: not any(member.is_running() for member in family))


def test_no_secret_stays_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        f"GRAFT_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert secret <= set(SECRET_VARIABLES)
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, "secret")
    forget_secrets()
    assert not set(SECRET_VARIABLES) & set(os.environ)
