"""gzip and zstd: the same table as the text inside, the same places in messages, and a bound for bombs."""

from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.tables import Format
from shared.datasets import _format_named
from shared.errors import InvalidInput
from shared.tables import Limits, compression_named, compression_of, preview, profile, read_all

CODECS = ("gzip", "zstd")
TEXTS: dict[Format, str] = {
    "csv": 'a,b\n1,"x\ny"\n\n2,z\n',
    "jsonl": '{"a": 1, "b": "x"}\n\n{"a": 2, "b": "z"}\n',
}


def packed(text: str | bytes, codec: str) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return gzip.compress(content) if codec == "gzip" else pa.Codec("zstd").compress(content, asbytes=True)


def refusal(path: Path, content: bytes, format: Format = "csv", limits: Limits = Limits()) -> tuple[str, str]:  # noqa: B008
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        profile(path, format, limits)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("format", TEXTS)
def test_a_compressed_table_is_the_table(tmp_path: Path, format: Format, codec: str) -> None:
    plain, compressed = tmp_path / "plain", tmp_path / "compressed"
    plain.write_text(TEXTS[format])
    compressed.write_bytes(packed(TEXTS[format], codec))
    found = profile(compressed, format)
    assert found == profile(plain, format)
    assert read_all(compressed, format, found.columns) == read_all(plain, format, found.columns)
    assert preview(compressed, format, found.columns) == preview(plain, format, found.columns)


@settings(max_examples=20)
@given(st.integers(1, 400_000), st.sampled_from(CODECS))
def test_a_stream_of_several_members_and_any_length_is_read_to_its_end(rows: int, codec: str) -> None:
    line = b"12345\n"
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed(b"a\n" + line * (rows // 2), codec) + packed(line * (rows - rows // 2), codec))
        file.flush()
        assert profile(Path(file.name), "csv").rows == rows


@pytest.mark.parametrize("codec", CODECS)
def test_a_byte_order_mark_inside_is_left_out(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(packed(b"\xef\xbb\xbfa\n1\n", codec))
    assert [column.name for column in profile(path, "csv").columns] == ["a"]


@pytest.mark.parametrize("codec", CODECS)
def test_lines_are_those_of_the_text_inside(tmp_path: Path, codec: str) -> None:
    ragged = packed('a,b\n1,"x\ny"\n\n2\n', codec)
    assert refusal(tmp_path / "t", ragged) == ("ragged_row", "row 2 (line 5) has 1 values, expected 2")
    broken = packed('{"a": 1}\n' * 100_000 + "{\n", codec)
    code, message = refusal(tmp_path / "t", broken, "jsonl")
    assert (code, message[:11]) == ("bad_json_line", "line 100001")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [5, 20, -20, -1])
def test_a_stream_that_is_cut_short_is_refused(tmp_path: Path, codec: str, cut: int) -> None:
    content = packed("a\n" + "".join(f"{n}\n" for n in range(10_000)), codec)[:cut]
    assert refusal(tmp_path / "t", content)[0] == "corrupt_compression"


@pytest.mark.parametrize("codec", CODECS)
def test_damage_and_trailing_bytes_are_refused(tmp_path: Path, codec: str) -> None:
    content = packed("a\n" + "".join(f"{n}\n" for n in range(10_000)), codec)
    assert refusal(tmp_path / "t", content + b"garbage")[0] == "corrupt_compression"
    if codec == "gzip":  # it carries a checksum
        flipped = content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]
        assert refusal(tmp_path / "t", flipped)[0] == "corrupt_compression"


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_within_constant_memory(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "bomb"
    sink = pa.CompressedOutputStream(str(path), codec)
    sink.write(b"a\n")
    for _ in range(300):
        sink.write(b"1\n" * 2**19)
    sink.close()
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    assert refusal(path, path.read_bytes())[0] == "decompressed_too_large"
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    assert pa.total_allocated_bytes() - before < 64 * 2**20
    tracemalloc.stop()


def test_the_bound_in_bytes_holds_on_both_sides(tmp_path: Path) -> None:
    content = packed("a\n" + "1\n" * 499, "gzip")
    path = tmp_path / "t"
    path.write_bytes(content)
    assert profile(path, "csv", Limits(max_decompressed_bytes=1_000)).rows == 499
    assert refusal(path, content, limits=Limits(max_decompressed_bytes=999))[0] == "decompressed_too_large"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_parquet_inside_is_refused_in_so_many_words(tmp_path: Path, codec: str, format: Format) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), sink)
    code, message = refusal(tmp_path / "t", packed(sink.getvalue(), codec), format)
    assert code == "compressed_parquet"
    assert f"inside a {codec} file" in message


def test_names_tell_format_and_compression() -> None:
    assert _format_named("day/table.csv.gz") == "csv"
    assert _format_named("table.JSONL.ZST") == "jsonl"
    assert _format_named("table.ndjson") == "jsonl"
    assert _format_named("table.gz") is None
    assert compression_named("a.csv.zst") == "zstd"
    assert compression_named("a.csv") is None


def test_the_first_bytes_tell_the_compression(tmp_path: Path) -> None:
    for codec in CODECS:
        (tmp_path / codec).write_bytes(packed("a\n1\n", codec))
        assert compression_of(tmp_path / codec) == codec
    (tmp_path / "plain").write_text("a\n1\n")
    assert compression_of(tmp_path / "plain") is None
