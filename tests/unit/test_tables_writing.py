"""Writing: what a reader, a spreadsheet and a JSON parser find in the files."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared import tables
from shared.contracts.tables import Format
from shared.tables import open_writer, profile, read_all

FORMATS: tuple[Format, ...] = ("csv", "parquet", "jsonl")


def written(path: Path, table: pa.Table, format: Format) -> Path:
    with open_writer(path, format, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=2):
            writer.write(batch)
    assert writer.rows == table.num_rows
    return path


def test_the_package_exports_what_it_says() -> None:
    assert all(hasattr(tables, name) for name in tables.__all__)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_left_only_by_a_block_that_ends_well(tmp_path: Path, format: Format) -> None:
    path = tmp_path / "out"
    batch = pa.record_batch({"a": [1]})
    with suppress(RuntimeError), open_writer(path, format, batch.schema) as writer:
        writer.write(batch)
        raise RuntimeError("stop")
    assert not path.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_other_columns_than_the_schemas_are_refused(tmp_path: Path, format: Format) -> None:
    with (
        pytest.raises(ValueError, match="expected the columns"),
        open_writer(tmp_path / "out", format, pa.schema([("a", pa.int64())])) as writer,
    ):
        writer.write(pa.record_batch({"b": [1]}))


def test_a_column_that_no_type_describes_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="column 'v'"),
        open_writer(tmp_path / "out", "csv", pa.schema([("v", pa.binary())])),
    ):
        pass


@pytest.mark.parametrize("format", FORMATS)
def test_no_batches_make_a_file_all_the_same(tmp_path: Path, format: Format) -> None:
    path = written(tmp_path / "out", pa.table({"a": pa.array([], pa.int64())}), format)
    assert path.exists()


class TestCsv:
    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
    def test_formulas_are_defused_in_cells_and_header(self, tmp_path: Path, start: str) -> None:
        name = start.strip() + "name"
        table = pa.table({name: [start + "1+1", "safe", None], "n": [-1, 2, 3]})
        path = written(tmp_path / "out.csv", table, "csv")
        text = path.read_bytes().decode()
        assert f'"\'{start}1+1",-1\n"safe",2\n,3\n' in text
        assert text.startswith("\"'" if start.strip() else '"name"')

    def test_a_formula_inside_a_text_is_left_alone(self, tmp_path: Path) -> None:
        path = written(tmp_path / "out.csv", pa.table({"s": ["a=1", " =1", "a\n=1"], "k": [1, 2, 3]}), "csv")
        assert "'" not in path.read_text()

    def test_a_dictionary_column_is_defused_too(self, tmp_path: Path) -> None:
        table = pa.table({"s": pa.array(["=1", "x"]).dictionary_encode(), "k": [1, 2]})
        assert '"\'=1"' in written(tmp_path / "out.csv", table, "csv").read_text()

    def test_a_missing_value_alone_in_its_row_is_still_a_row(self, tmp_path: Path) -> None:
        path = written(tmp_path / "out.csv", pa.table({"a": [1, None, 3]}), "csv")
        found = profile(path, "csv")
        assert (found.rows, found.columns[0].type, found.columns[0].nulls) == (3, "integer", 1)


class TestJsonLines:
    def test_lines_are_what_pythons_json_reads_back(self, tmp_path: Path) -> None:
        texts = ['q"\\', "a\nb\t\x01\x7f", "é日🙂\u2028", "", "null", None]
        table = pa.table(
            {
                'k"é': texts,
                "i": [2**63 - 1, -(2**63), 0, None, 1, 2],
                "x": [0.1, float("nan"), float("inf"), None, 1e300, -0.0],
                "f": pa.array([0.1, 1, 2, 3, 4, None], pa.float32()),
                "b": [True, False, None, True, True, True],
            }
        )
        path = written(tmp_path / "out.jsonl", table, "jsonl")
        lines = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
        assert [line['k"é'] for line in lines] == texts
        assert [line["i"] for line in lines] == table.column("i").to_pylist()
        assert [line["x"] for line in lines] == [0.1, None, None, None, 1e300, 0.0]
        assert [line["f"] for line in lines] == [0.1, 1, 2, 3, 4, None]
        assert [line["b"] for line in lines] == table.column("b").to_pylist()

    def test_dates_are_iso_8601_and_zones_become_utc(self, tmp_path: Path) -> None:
        moment = datetime(2024, 1, 2, 3, 4, 5)
        table = pa.table(
            {
                "d": [date(2024, 1, 2)],
                "t": pa.array([moment], pa.timestamp("s")),
                "z": pa.array([moment], pa.timestamp("ms", "Asia/Tokyo")),
            }
        )
        path = written(tmp_path / "out.jsonl", table, "jsonl")
        assert json.loads(path.read_text()) == {
            "d": "2024-01-02",
            "t": "2024-01-02T03:04:05",
            "z": "2024-01-02T03:04:05.000Z",
        }

    def test_many_columns_and_rows_are_written_in_pieces(self, tmp_path: Path) -> None:
        table = pa.table({f"c{i}": pa.array(range(300), pa.int32()) for i in range(5_000)})
        path = tmp_path / "out.jsonl"
        with open_writer(path, "jsonl", table.schema) as writer:
            for batch in table.to_batches():
                writer.write(batch)
        assert json.loads(path.read_text().splitlines()[299])["c4999"] == 299


class TestParquet:
    def test_small_batches_share_a_row_group(self, tmp_path: Path) -> None:
        path = written(tmp_path / "out.parquet", pa.table({"a": range(1_000)}), "parquet")
        assert pq.read_metadata(path).num_row_groups == 1

    def test_types_are_kept_and_dictionaries_decoded(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "i": pa.array([1], pa.int32()),
                "f": pa.array([1], pa.float32()),
                "c": pa.array(["x"]).dictionary_encode(),
                "t": pa.array([0], pa.timestamp("ms", "UTC")),
            }
        )
        path = written(tmp_path / "out.parquet", table, "parquet")
        back = read_all(path, "parquet", profile(path, "parquet").columns)
        assert back.schema.types == [pa.int32(), pa.float32(), pa.string(), pa.timestamp("ms", "UTC")]
