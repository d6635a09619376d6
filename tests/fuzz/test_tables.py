"""Tables that are broken, odd or made to cost much: read, or refused with a documented code; in time, and in memory.

All are read as the API reads them, in a child with limits: what kills it or what nobody foresaw would be told as such.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import tables
from shared.confinement import Readers
from shared.confinement.child import LIBRARIES_BYTES
from shared.contracts.tables import Format
from shared.errors import GraftError, InvalidInput
from tests.fuzz.naughty_strings import NAMES, TEXTS
from tests.fuzz.table_cases import CSV, JSONL, Shape, made
from tests.unit.test_confinement import children

MEMORY_BYTES = 512 * 2**20
SOON_SECONDS = 20.0
DOCUMENTED = set(re.findall(r"^    (\w+)  ", str(tables.__doc__), re.MULTILINE)) | {
    "too_costly",
    "unreadable_table",
}


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    readers = Readers(memory_bytes=MEMORY_BYTES, cpu_seconds=60, places=2)
    yield readers
    readers.close()


@pytest.fixture(autouse=True)
def small_readers() -> Iterator[None]:
    """After each test: what its readers needed at most."""
    yield
    for pid in children() if sys.platform == "linux" else ():
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert peak
        assert int(peak[1]) * 1024 < MEMORY_BYTES + LIBRARIES_BYTES


def profiled(readers: Readers, path: Path, format: Format) -> Shape | GraftError:
    try:
        found = readers.profile("p", path, format)
    except GraftError as error:
        return error
    return found.rows, len(found.columns)


def outcome(readers: Readers, path: Path, format: Format) -> Shape | str:
    """(rows, columns), or the code of the refusal. Within time and memory, whichever."""
    began = time.monotonic()
    told = profiled(readers, path, format)
    if isinstance(told, GraftError):
        assert isinstance(told, InvalidInput), (told.code, told.message)
        assert told.code in DOCUMENTED
        assert len(told.message) < 2_000
        assert "Traceback" not in told.message
        told = told.code
    assert time.monotonic() - began < SOON_SECONDS
    return told


@pytest.mark.parametrize("name", CSV)
def test_csv_is_read_or_refused_as_the_table_says(readers: Readers, tmp_path: Path, name: str) -> None:
    content, expected = CSV[name]
    path = tmp_path / "t"
    path.write_bytes(made(content))
    told = outcome(readers, path, "csv")
    assert isinstance(told, str) if expected == "*" else told == expected


@pytest.mark.parametrize("name", JSONL)
def test_json_lines_are_read_or_refused_as_the_table_says(
    readers: Readers, tmp_path: Path, name: str
) -> None:
    content, expected = JSONL[name]
    path = tmp_path / "t"
    path.write_bytes(made(content))
    told = outcome(readers, path, "jsonl")
    assert isinstance(told, str) if expected == "*" else told == expected


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_every_case_is_safe_under_a_wrong_name(readers: Readers, tmp_path: Path, format: Format) -> None:
    path = tmp_path / "t"
    for cases, own in ((CSV, "csv"), (JSONL, "jsonl")):
        for content, _ in cases.values():
            if own != format and isinstance(content, bytes) and len(content) < 2**12:
                path.write_bytes(content)
                outcome(readers, path, format)


# Parquet: one sound file, and what is left of it when any of its bytes are others.


@pytest.fixture(scope="module", params=["none", "zstd"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = 120
    table = pa.table(
        {
            "n": pa.array([None if i % 7 == 0 else i for i in range(rows)]),
            "x": [i * 0.5 for i in range(rows)],
            "yes": [i % 2 == 0 for i in range(rows)],
            "text": [TEXTS[i % 40] for i in range(rows)],
            "word": pa.array([f"w{i % 3}" for i in range(rows)]).dictionary_encode(),
            "at": pa.array(range(rows), pa.timestamp("us", tz="UTC")),
            NAMES[0]: pa.array(range(rows), pa.int8()),
        }
    )
    path = tmp_path_factory.mktemp("parquet") / "sound.parquet"
    pq.write_table(table, path, compression=request.param, row_group_size=60)
    return path


REGIONS = 40


def corrupted(content: bytes) -> Iterator[bytes]:
    """Every region in turn: a bit flipped, zeroed, set, doubled, left out, and cut off from there. The footer is tried
    byte by byte where it says how long it is."""
    size = max(1, len(content) // REGIONS)
    for start in range(0, len(content), size):
        end = min(len(content), start + size)
        middle = (start + end) // 2
        yield content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]
        yield content[:start] + bytes(end - start) + content[end:]
        yield content[:start] + b"\xff" * (end - start) + content[end:]
        yield content[:start] + content[end:]
        yield content[:end] + content[start:]
        yield content[:start]
    for place in range(len(content) - 8, len(content)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            yield content[:place] + bytes([value]) + content[place + 1 :]


def test_parquet_with_any_region_corrupted_is_read_or_refused(
    readers: Readers, sound: Path, tmp_path: Path
) -> None:
    assert outcome(readers, sound, "parquet") == (120, 7)
    path, told = tmp_path / "t", []
    for content in corrupted(sound.read_bytes()):
        path.write_bytes(content)
        told.append(outcome(readers, path, "parquet"))
    refused = [code for code in told if isinstance(code, str)]
    assert len(told) > 270
    assert len(refused) > 200
    assert refused.count("unreadable_table") + refused.count("too_costly") < 40, "a dead child each is dear"


# Whatever comes. Text readers are Python's and Arrow's own; in this process, so that a crash is one.

PIECES = (
    *(
        b"a",
        b"1",
        b",",
        b'"',
        b"\n",
        b"\r",
        b"\r\n",
        b";",
        b"\x00",
        b"\xff",
        b"{",
        b"}",
        b":",
        b'"a":',
        b"null",
    ),
    *(b"1e999", b"-", b".", b"\xed\xa0\x80", b"\\", b"[", b"]", b"2024-01-01", b"true", b"\xef\xbb\xbf"),
)
TEXT = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
ANYTHING = st.binary(max_size=200) | TEXT


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ANYTHING)
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, format: Format, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    with suppress(InvalidInput):
        found = tables.profile(path, format)
        assert len(tables.preview(path, format, found.columns, 5)) == min(5, found.rows)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), wrapped=st.booleans())
def test_any_bytes_are_no_parquet_and_harm_nobody(
    readers: Readers, tmp_path: Path, content: bytes, wrapped: bool
) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1" if wrapped else content)
    assert isinstance(outcome(readers, path, "parquet"), str)
