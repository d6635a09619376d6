"""Parquet: the file's own types, and damage of any kind answered with InvalidInput."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import InvalidInput
from shared.tables import Limits, preview, profile, read, read_all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


DEFAULT = Limits()


def refusal(path: Path, limits: Limits = DEFAULT) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        profile(path, "parquet", limits)
    return caught.value.code, caught.value.message


def column_file(path: Path, values: object, arrow_type: pa.DataType) -> None:
    pq.write_table(pa.table({"k": pa.array(range(2)), "v": pa.array(values, arrow_type)}), path)


def small_table() -> pa.Table:
    return pa.table(
        {
            "i": pa.array([1, None, 3] * 30, pa.int32()),
            "f": [1.5, 2.0, None] * 30,
            "s": ["a", "bc", None] * 30,
            "b": [True, None, False] * 30,
            "t": pa.array([0, None, 5] * 30, pa.timestamp("us", "UTC")),
            "c": pa.array(["x", "y", "x"] * 30).dictionary_encode(),
            "d": pa.array([Decimal("1.25"), None, None] * 30, pa.decimal128(20, 2)),
        }
    )


class TestTypes:
    @pytest.mark.parametrize(
        ("arrow_type", "values", "kind", "read_as"),
        [
            (pa.int8(), [1, -1], "integer", pa.int8()),
            (pa.int32(), [1, None], "integer", pa.int32()),
            (pa.uint64(), [2**64 - 1, 0], "integer", pa.uint64()),
            (pa.float16(), [np.float16(0.5), None], "number", pa.float32()),
            (pa.float32(), [0.5, None], "number", pa.float32()),
            (pa.decimal128(10, 2), [Decimal("1.25"), None], "number", pa.decimal128(10, 2)),
            (pa.decimal256(50, 2), [Decimal("1.25"), None], "number", pa.decimal256(50, 2)),
            (pa.bool_(), [True, None], "boolean", pa.bool_()),
            (pa.string(), ["", None], "string", pa.string()),
            (pa.large_string(), ["x", None], "string", pa.string()),
            (pa.string_view(), ["x", None], "string", pa.string()),
            (pa.dictionary(pa.int32(), pa.string()), ["x", None], "string", pa.string()),
            (pa.null(), [None, None], "string", pa.string()),
            (pa.date32(), [date(2024, 1, 2), None], "date", pa.date32()),
            (pa.date64(), [date(2024, 1, 2), None], "date", pa.date32()),
            (pa.timestamp("ms"), [datetime(2024, 1, 2), None], "datetime", pa.timestamp("ms")),
            (pa.timestamp("ns"), [datetime(2024, 1, 2), None], "datetime", pa.timestamp("ns")),
            (
                pa.timestamp("us", "Europe/Berlin"),
                [datetime(2024, 1, 2), None],
                "datetime",
                pa.timestamp("us", "UTC"),
            ),
            (
                pa.timestamp("s", "+02:00"),
                [datetime(2024, 1, 2), None],
                "datetime",
                pa.timestamp("ms", "UTC"),
            ),
        ],
        ids=str,
    )
    def test_a_supported_type_is_named_and_kept(
        self, path: Path, arrow_type: pa.DataType, values: list[object], kind: str, read_as: pa.DataType
    ) -> None:
        column_file(path, values, arrow_type)
        column = profile(path, "parquet").columns[1]
        assert (column.type, column.nulls) == (kind, values.count(None))
        table = read_all(path, "parquet", [column])
        assert table.schema.types == [read_as]
        assert table.column("v").null_count == values.count(None)
        preview(path, "parquet", [column])

    @pytest.mark.parametrize(
        ("arrow_type", "values"),
        [
            (pa.binary(), [b"x", None]),
            (pa.binary(4), [b"xxxx", None]),
            (pa.time64("us"), [time(1), None]),
            (pa.duration("s"), [timedelta(1), None]),
        ],
        ids=str,
    )
    def test_an_unsupported_type_is_refused_with_column_and_type(
        self, path: Path, arrow_type: pa.DataType, values: list[object]
    ) -> None:
        column_file(path, values, arrow_type)
        assert refusal(path) == (
            "unsupported_type",
            f'column "v" has the type "{arrow_type}", which is not supported',
        )

    @pytest.mark.parametrize(
        ("arrow_type", "values"),
        [
            (pa.list_(pa.int64()), [[1], None]),
            (pa.struct([("x", pa.int64())]), [{"x": 1}, None]),
            (pa.map_(pa.string(), pa.int64()), [[("a", 1)], None]),
        ],
        ids=str,
    )
    def test_a_nested_column_is_refused_by_name(
        self, path: Path, arrow_type: pa.DataType, values: list[object]
    ) -> None:
        column_file(path, values, arrow_type)
        code, message = refusal(path)
        assert code == "nested_column"
        assert message.startswith('column "v" is nested (')

    def test_nan_counts_as_missing_and_an_empty_string_does_not(self, path: Path) -> None:
        pq.write_table(pa.table({"x": [1.0, float("nan"), None], "s": ["", "NA", None]}), path)
        assert [c.nulls for c in profile(path, "parquet").columns] == [2, 1]

    def test_a_preview_shows_what_json_can_hold(self, path: Path) -> None:
        times = pa.array([0, 10**18], pa.timestamp("us", "Europe/Berlin"))  # the second is in the year 33658
        pq.write_table(
            pa.table({"t": times, "d": [Decimal("1.25"), None], "x": [float("nan"), float("inf")]}), path
        )
        assert preview(path, "parquet", profile(path, "parquet").columns, rows=1) == [
            {"t": "1970-01-01T00:00:00.000000Z", "d": 1.25, "x": None}
        ]
        assert len(preview(path, "parquet", profile(path, "parquet").columns)) == 2


class TestReading:
    def test_rows_come_in_file_order_across_row_groups_with_only_the_columns_asked_for(
        self, path: Path
    ) -> None:
        pq.write_table(
            pa.table({"a": range(1_000), "b": range(1_000), "a.b": range(1_000)}), path, row_group_size=70
        )
        found = {c.name: c for c in profile(path, "parquet").columns}
        batches = list(read(path, "parquet", [found["b"], found["a"]], batch_rows=64))
        assert {tuple(b.schema.names) for b in batches} == {("b", "a")}
        assert max(b.num_rows for b in batches) <= 64
        assert [v for b in batches for v in b.column("a").to_pylist()] == list(range(1_000))

    def test_batches_of_wide_rows_have_fewer_rows(self, path: Path) -> None:
        pq.write_table(pa.table({f"c{i}": np.zeros(5_000) for i in range(1_000)}), path)
        batches = list(read(path, "parquet", profile(path, "parquet").columns))
        assert sum(b.num_rows for b in batches) == 5_000
        assert max(b.nbytes for b in batches) <= 32 * 2**20

    def test_a_missing_column_is_named(self, path: Path) -> None:
        pq.write_table(pa.table({"a": [1], "b": [2]}), path)
        column = profile(path, "parquet").columns[0].model_copy(update={"name": "z"})
        with pytest.raises(InvalidInput, match='no column "z"'):
            read_all(path, "parquet", [column])


class TestRefusals:
    def test_a_file_of_no_bytes_is_an_empty_table(self, path: Path) -> None:
        path.touch()
        assert refusal(path) == ("empty_table", "the file is empty")

    def test_a_table_without_rows_is_refused(self, path: Path) -> None:
        pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
        assert refusal(path)[0] == "no_rows"

    def test_a_table_without_columns_is_refused(self, path: Path) -> None:
        pq.write_table(pa.table({}), path)
        assert refusal(path)[0] == "empty_table"

    @pytest.mark.parametrize(
        ("names", "code"),
        [
            (["a", "a"], "duplicate_column"),
            (["a", ""], "empty_column_name"),
            (["a", "b\n"], "bad_column_name"),
        ],
    )
    def test_bad_names_are_refused(self, path: Path, names: list[str], code: str) -> None:
        pq.write_table(pa.table([[1], [2]], names=names), path)
        assert refusal(path)[0] == code

    def test_too_many_columns_are_refused(self, path: Path) -> None:
        pq.write_table(pa.table({"a": [1], "b": [1]}), path)
        with pytest.raises(InvalidInput, match="2 columns, the limit is 1"):
            profile(path, "parquet", Limits(max_columns=1))

    def test_another_format_is_not_parquet(self, path: Path) -> None:
        path.write_text("a,b\n1,2\n3,4\n")
        assert refusal(path) == (
            "corrupt_parquet",
            "the Parquet file is damaged: it does not start with PAR1",
        )

    def test_strings_that_are_not_utf8_are_damage(self, path: Path) -> None:
        pq.write_table(pa.table({"s": ["abcdefgh"] * 10}), path, use_dictionary=False, write_statistics=False)
        path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abcd\xff\xfegh", 1))
        assert refusal(path)[0] == "corrupt_parquet"

    def test_run_lengths_cannot_stand_for_a_huge_table(self, path: Path) -> None:
        table = pa.table({"a": pa.nulls(15_000_000, pa.int8())})
        with pq.ParquetWriter(path, table.schema) as writer:
            for _ in range(9):
                writer.write_table(table, row_group_size=table.num_rows)
        assert path.stat().st_size < 2**18
        code, message = refusal(path, Limits(max_parquet_cells_per_byte=1))
        assert code == "too_many_cells"
        assert "135,000,000 rows of 1 columns" in message

    def test_a_repetitive_table_of_ordinary_size_is_welcome(self, path: Path) -> None:
        pq.write_table(pa.table({"a": pa.nulls(2_000_000, pa.int8())}), path)
        assert profile(path, "parquet").columns[0].nulls == 2_000_000


class TestDamage:
    """Every damaged file is either still readable or refused; nothing else may come out."""

    def outcome(self, path: Path, damaged: bytes) -> str:
        path.write_bytes(damaged)
        try:
            found = profile(path, "parquet")
            read_all(path, "parquet", found.columns)
            preview(path, "parquet", found.columns)
        except InvalidInput as error:
            return error.code
        return "ok"

    def test_a_file_cut_short_anywhere_is_refused(self, path: Path) -> None:
        pq.write_table(small_table().select(["i", "s"]), path)
        whole = path.read_bytes()
        for length in range(1, len(whole)):
            assert self.outcome(path, whole[:length]) == "corrupt_parquet", length

    @pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_a_flipped_byte_anywhere_is_survived(self, path: Path, compression: str, version: str) -> None:
        pq.write_table(
            small_table(), path, compression=compression, data_page_version=version, row_group_size=50
        )
        whole = path.read_bytes()
        chance = random.Random(compression + version)
        outcomes = set()
        for at in range(chance.randrange(3), len(whole), 3):
            damaged = bytearray(whole)
            damaged[at] ^= chance.choice([0x01, 0x80, 0xFF])
            outcomes.add(self.outcome(path, bytes(damaged)))
        assert {"ok", "corrupt_parquet"} <= outcomes

    def test_a_footer_that_promises_other_rows_than_there_are_is_damage(self, path: Path) -> None:
        pq.write_table(pa.table({"i": range(50)}), path)
        whole = path.read_bytes()
        messages = []
        for at in (i for i, byte in enumerate(whole) if byte == 2 * 50):  # a zigzag varint
            path.write_bytes(whole[:at] + bytes([2 * 49]) + whole[at + 1 :])
            try:
                profile(path, "parquet")
            except InvalidInput as error:
                messages.append(error.message)
        assert any("it holds 50 rows, its footer says 49" in message for message in messages)

    def test_page_checksums_are_verified_where_there_are_any(self, path: Path) -> None:
        table = pa.table({"x": np.arange(1_000.0)})
        pq.write_table(
            table,
            path,
            write_page_checksum=True,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
        whole = path.read_bytes()
        damaged = whole.replace(np.float64(500.0).tobytes(), np.float64(501.0).tobytes())
        assert damaged != whole
        assert self.outcome(path, damaged) == "corrupt_parquet"
