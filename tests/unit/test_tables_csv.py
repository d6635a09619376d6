"""CSV: what is accepted, what it is read as, and that every refusal names its place."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables import Limits, Profile, preview, profile, read, read_all
from shared.tables.csv_reader import profile_csv, read_csv

DEFAULT = Limits()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def profiled(path: Path, text: str | bytes, limits: Limits = DEFAULT) -> Profile:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return profile(path, "csv", limits)


def types(path: Path, text: str | bytes) -> dict[str, str]:
    return {column.name: column.type for column in profiled(path, text).columns}


def rows(path: Path, text: str | bytes) -> list[tuple[object, ...]]:
    found = profiled(path, text)
    table = read_all(path, "csv", found.columns)
    assert table.num_rows == found.rows
    return [tuple(row.values()) for row in table.to_pylist()]


def refusal(path: Path, text: str | bytes, limits: Limits = DEFAULT) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        profiled(path, text, limits)
    assert caught.value.status == 422
    return caught.value.code, caught.value.message


class TestRefusals:
    def test_a_file_of_no_bytes_is_an_empty_table(self, path: Path) -> None:
        assert refusal(path, "") == ("empty_table", "the file is empty")

    @pytest.mark.parametrize("text", ["\n\n", "\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    def test_blank_lines_alone_are_an_empty_table(self, path: Path, text: str | bytes) -> None:
        assert refusal(path, text)[0] == "empty_table"

    @pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n\r\n", "\na,b\n\n\n"])
    def test_a_header_without_rows_is_refused(self, path: Path, text: str) -> None:
        assert refusal(path, text)[0] == "no_rows"

    def test_two_columns_of_one_name_are_named_with_their_positions(self, path: Path) -> None:
        assert refusal(path, "a,b,a\n1,2,3\n") == ("duplicate_column", 'columns 1 and 3 are both named "a"')

    @pytest.mark.parametrize(("header", "position"), [(",b", 1), ("a,,c", 2), ("a,b,", 3), ('a,""', 2)])
    def test_an_empty_name_is_reported_with_its_position(
        self, path: Path, header: str, position: int
    ) -> None:
        code, message = refusal(path, header + "\n1,2\n")
        assert (code, message) == ("empty_column_name", f"column {position} has an empty name")

    def test_a_control_character_in_a_name_is_refused(self, path: Path) -> None:
        code, message = refusal(path, "a,b\tc\n1,2\n")
        assert code == "bad_column_name"
        assert message == 'column 2 has a control character in its name "b\N{REPLACEMENT CHARACTER}c"'

    @pytest.mark.parametrize("length", [1_001, 200_000])
    def test_an_overlong_name_is_refused(self, path: Path, length: int) -> None:
        code, message = refusal(path, "x" * length + ",b\n1,2\n")
        assert code == "bad_column_name"
        assert len(message) < 200

    def test_a_name_at_the_limit_is_accepted(self, path: Path) -> None:
        assert types(path, "x" * 1_000 + "\n1\n") == {"x" * 1_000: "integer"}

    @pytest.mark.parametrize(("row", "found"), [("3", 1), ("3,4,5", 3), ("3,4,", 3), ("   ", 1)])
    def test_a_ragged_row_is_named_with_its_row_and_line(self, path: Path, row: str, found: int) -> None:
        assert refusal(path, f'a,b\n"1\n1",2\n\n{row}\n5,6\n') == (
            "ragged_row",
            f"row 2 (line 5) has {found} values, expected 2",
        )

    def test_a_ragged_row_far_into_the_file_has_the_right_numbers(self, path: Path) -> None:
        good = "a,b\r\n" + "1,2\r\n" * 600_000
        assert refusal(path, good + "1\r\n" + "3,4\r\n" * 10) == (
            "ragged_row",
            "row 600001 (line 600002) has 1 values, expected 2",
        )

    def test_commas_in_quotes_do_not_make_a_row_ragged(self, path: Path) -> None:
        assert rows(path, 'a,b\n"1,2",3\n') == [("1,2", 3)]

    @pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
    def test_invalid_utf8_is_reported_with_line_and_byte(self, path: Path, bad: bytes) -> None:
        code, message = refusal(path, b"a,b\n1,2\nx," + bad + b"\n")
        assert code == "invalid_utf8"
        assert message == f"line 3 is not valid UTF-8 (0x{bad[0]:02x} at byte 10)"

    def test_invalid_utf8_in_the_header_is_reported(self, path: Path) -> None:
        assert refusal(path, b"a\xe9\n1\n")[0] == "invalid_utf8"

    def test_a_character_cut_off_by_the_end_of_the_file_is_invalid(self, path: Path) -> None:
        assert refusal(path, b"a\nx\n\xe2\x82")[0] == "invalid_utf8"

    def test_a_nul_byte_is_reported_with_its_line(self, path: Path) -> None:
        assert refusal(path, b"a,b\n1,2\n3,\x00\n") == ("nul_byte", "line 3 holds a NUL byte (at byte 10)")

    @pytest.mark.parametrize("text", ['a,b\n1,2\n"3,4\n5,6\n', 'a,b\n1,2\n"3""\n', 'a,b\n1,2\n"""\n'])
    def test_a_quote_never_closed_is_reported_where_it_opened(self, path: Path, text: str) -> None:
        assert refusal(path, text) == (
            "unbalanced_quotes",
            "the quote opened on line 3 is never closed",
        )

    @pytest.mark.parametrize("cell", ['5" pipe', '"5"x', ' "5"', '"5" ', 'x"5"', '"a"b"c"'])
    def test_a_quote_in_the_middle_of_a_value_is_reported(self, path: Path, cell: str) -> None:
        code, message = refusal(path, f"a,b\n1,2\n{cell},4\n5,6\n")
        assert code == "stray_quote"
        assert message.startswith("line 3 has a quote in the middle of a value")

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_a_row_over_the_limit_is_refused_and_one_at_the_limit_is_not(
        self, path: Path, quote: str
    ) -> None:
        limits = Limits(max_row_bytes=64)

        def text(length: int) -> str:
            return f"a,b\n1,2\n{quote}{'x' * (length - 3 - 2 * len(quote))}{quote},4\n"

        assert profiled(path, text(64), limits).rows == 2
        assert refusal(path, text(65), limits) == (
            "row_too_long",
            "the row that starts on line 3 is longer than 64 bytes",
        )

    def test_too_many_columns_are_refused_and_the_limit_itself_is_not(self, path: Path) -> None:
        text = "a,b,c\n1,2,3\n"
        assert profiled(path, text, Limits(max_columns=3)).rows == 1
        assert refusal(path, text, Limits(max_columns=2)) == (
            "too_many_columns",
            "the table has 3 columns, the limit is 2",
        )

    def test_no_message_repeats_more_than_a_little_of_the_file(self, path: Path) -> None:
        path.write_text("a\n" + "y" * 100_000 + "\n")
        with pytest.raises(InvalidInput) as caught:
            read_all(path, "csv", [Column(name="a", type="integer", nulls=0)])
        assert len(caught.value.message) < 150


class TestShapes:
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", [True, False])
    def test_every_line_end_is_one(self, path: Path, end: str, last: bool) -> None:
        text = end.join(["a,b", "1,x", "2,y"]) + (end if last else "")
        assert rows(path, text) == [(1, "x"), (2, "y")]

    def test_blank_lines_are_no_rows(self, path: Path) -> None:
        assert rows(path, "\n\na,b\n\n1,2\n\n\n3,4\n\n\n") == [(1, 2), (3, 4)]

    def test_blank_lines_in_a_single_column_are_no_rows_but_quoted_nothing_is(self, path: Path) -> None:
        assert rows(path, 'a\n1\n\n""\n2\n\n') == [(1,), (None,), (2,)]

    def test_quoted_values_hold_commas_quotes_and_line_ends(self, path: Path) -> None:
        text = 'a,b\r\n"x,1","say ""hi"""\r\n"line\r\nbreak","""\n"""\r\n'
        assert rows(path, text) == [("x,1", 'say "hi"'), ("line\r\nbreak", '"\n"')]

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, path: Path) -> None:
        assert types(path, b"\xef\xbb\xbfa,b\n1,2\n") == {"a": "integer", "b": "integer"}

    def test_a_byte_order_mark_may_precede_a_quote(self, path: Path) -> None:
        assert types(path, b'\xef\xbb\xbf"a,1",b\n1,2\n') == {"a,1": "integer", "b": "integer"}

    @pytest.mark.parametrize("block_bytes", [1, 1_000])
    def test_a_byte_order_mark_inside_the_file_is_a_character(self, path: Path, block_bytes: int) -> None:
        path.write_text("a,b\n\ufeffx,1\n\ufeffy,2\n")
        columns = profile_csv(path, Limits(), block_bytes=block_bytes).columns
        batches = read_csv(path, columns, 10, Limits(), block_bytes=block_bytes)
        assert pa.Table.from_batches(batches).column("a").to_pylist() == ["\ufeffx", "\ufeffy"]

    def test_names_are_taken_as_they_are(self, path: Path) -> None:
        text = 'größe, padded ,"with ""quotes"", comma",日本,1\n1,2,3,4,5\n'
        assert list(types(path, text)) == ["größe", " padded ", 'with "quotes", comma', "日本", "1"]

    def test_one_cell_is_a_table(self, path: Path) -> None:
        assert rows(path, "a\n1") == [(1,)]

    def test_five_thousand_columns_are_read_in_order(self, path: Path) -> None:
        names = [f"c{i}" for i in range(5_000)]
        text = "\n".join([",".join(names), *(",".join(str(i + j) for i in range(5_000)) for j in range(3))])
        table = read_all(path, "csv", profiled(path, text).columns)
        assert table.column_names == names
        assert table.column("c4999").to_pylist() == [4999, 5000, 5001]

    def test_a_row_longer_than_a_block_is_read(self, path: Path) -> None:
        path.write_text("a,b\n1," + "x" * 5_000 + "\n2,y\n")
        columns = profile_csv(path, Limits(), block_bytes=64).columns
        batches = list(read_csv(path, columns, 10, Limits(), block_bytes=64))
        assert [row for batch in batches for row in batch.to_pylist()] == [
            {"a": 1, "b": "x" * 5_000},
            {"a": 2, "b": "y"},
        ]


class TestTypes:
    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            (["1", "-2", " 3", "NA"], "integer"),
            (["-9223372036854775808", "9223372036854775807"], "integer"),
            (["1", "9223372036854775808"], "number"),
            (["1", "2.5"], "number"),
            (["1e5", "-.5", "inf", "+7"], "number"),
            (["0", "-0", "0.5", "-0.5", "10", "100"], "integer+number"),
            (["1.5", "Nan"], "string"),
            (["00123", "45"], "string"),
            (["1", "-05"], "string"),
            (["1.5", " 007"], "string"),
            (["0x1F", "1"], "string"),
            (["1_000", "1"], "string"),
            (["true", "FALSE", "tRuE"], "boolean"),
            ([*[""] * 1_000, "true"], "boolean"),
            (["true", "1"], "string"),
            (["yes", "no"], "string"),
            (["2024-01-31", "1999-12-31"], "date"),
            (["2024-01-31", "2024-01-31T10:00:00"], "datetime"),
            (["2024-01-31 10:00", "2024-01-31T10:00:00.123456Z"], "datetime"),
            (["2024-01-31T10:00:00+02:00"], "datetime"),
            (["2024-01-31T10:00:00.1234567"], "string"),
            (["2024-02-30", "2024-01-01"], "string"),
            (["0000-01-01", "2024-01-01"], "string"),
            (["9999-12-31T23:59:59-05:00"], "string"),
            (["2024-01-01", "5"], "string"),
            (["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"], "string"),
            (["none", "1"], "string"),
        ],
    )
    def test_a_column_has_the_narrowest_type_that_holds_all_of_it(
        self, path: Path, cells: list[str], expected: str
    ) -> None:
        text = "k,v\n" + "".join(f"k,{cell}\n" for cell in cells)
        assert types(path, text)["v"] == expected.split("+")[-1]
        read_all(path, "csv", profile(path, "csv").columns)

    @pytest.mark.parametrize(
        ("first", "last", "expected"),
        [
            ("1", "2.5", "number"),
            ("1", "x", "string"),
            ("true", "3", "string"),
            ("2024-01-01", "2024-01-01 00:00:01", "datetime"),
            ("NA", "7", "integer"),
            ("7", "007", "string"),
        ],
    )
    def test_the_last_row_of_a_long_file_can_widen_a_type(
        self, path: Path, first: str, last: str, expected: str
    ) -> None:
        assert types(path, "k,v\n" + f"k,{first}\n" * 700_000 + f"k,{last}\n")["v"] == expected

    @pytest.mark.parametrize("code", ["007", "-07"])
    @pytest.mark.parametrize("place", [0, 150_000, 299_999])
    def test_a_code_is_found_anywhere_in_a_block(self, path: Path, code: str, place: int) -> None:
        cells = ["1"] * 300_000
        cells[place] = code
        assert types(path, "v\n" + "\n".join(cells)) == {"v": "string"}

    def test_missing_values_are_counted_and_read_as_null(self, path: Path) -> None:
        text = 'n,s\nNA,N/A\n1,""\n"null",None\n'
        assert [c.nulls for c in profiled(path, text).columns] == [2, 3]
        assert rows(path, text) == [(None, None), (1, None), (None, None)]

    def test_datetimes_are_read_in_utc(self, path: Path) -> None:
        text = "t\n2024-01-01T12:00:00\n2024-01-01T12:00:00+02:00\n2024-01-01T12:00:00Z\n2024-01-01\n"
        hours = [row[0].hour for row in rows(path, text) if isinstance(row[0], datetime)]
        assert hours == [12, 10, 12, 0]

    @pytest.mark.parametrize("block_bytes", [1, 7, 64, 1_000])
    def test_blocks_do_not_change_what_is_found(self, path: Path, block_bytes: int) -> None:
        path.write_text(
            'n,s,d,q,z\r\n1,NA,2024-01-01,"a\r\nb",7\r\n2.5,x,2024-01-02T03:04:05Z,"say ""x"", y",007\r\n'
            '\r\n3,,2024-01-02T03:04:05+01:00,"""",8\r\n'
        )
        whole = profile(path, "csv")
        assert profile_csv(path, Limits(), block_bytes=block_bytes) == whole
        batches = list(read_csv(path, whole.columns, 100, Limits(), block_bytes=block_bytes))
        assert pa.Table.from_batches(batches).combine_chunks() == read_all(path, "csv", whole.columns)


class TestReading:
    def columns(self, **types: str) -> list[Column]:
        return [Column.model_validate({"name": n, "type": t, "nulls": 0}) for n, t in types.items()]

    def test_batches_hold_the_columns_asked_for_in_that_order(self, path: Path) -> None:
        path.write_text("a,b,c\n1,2,3\n4,5,6\n7,8,9\n")
        batches = list(read(path, "csv", self.columns(c="integer", a="number"), batch_rows=2))
        assert [b.num_rows for b in batches] == [2, 1]
        assert batches[0].schema == pa.schema([("c", pa.int64()), ("a", pa.float64())])
        assert batches[1].to_pylist() == [{"c": 9, "a": 7.0}]

    def test_a_declared_number_may_have_leading_zeros(self, path: Path) -> None:
        path.write_text("a\n007\n")
        assert read_all(path, "csv", self.columns(a="integer")).to_pylist() == [{"a": 7}]

    def test_a_missing_column_is_named(self, path: Path) -> None:
        path.write_text("a\n1\n")
        with pytest.raises(InvalidInput, match='no column "b", "c"') as caught:
            read_all(path, "csv", self.columns(b="integer", a="integer", c="string"))
        assert caught.value.code == "missing_column"

    @pytest.mark.parametrize(
        ("kind", "cell", "phrase"),
        [
            ("integer", "2.5", "an integer"),
            ("number", "x", "a number"),
            ("boolean", "1", "true or false"),
            ("date", "2024-13-01", "a date (YYYY-MM-DD)"),
            ("date", "0000-01-01", "a date (YYYY-MM-DD)"),
            ("datetime", "later", "a date and time (ISO 8601)"),
        ],
    )
    def test_a_cell_that_does_not_fit_is_named_with_row_line_and_column(
        self, path: Path, kind: str, cell: str, phrase: str
    ) -> None:
        path.write_text(f'k,v\n"a\nb",\n\nc,{cell}\nd,\n')
        with pytest.raises(InvalidInput) as caught:
            read_all(path, "csv", self.columns(v=kind))
        assert caught.value.code == "type_mismatch"
        assert caught.value.message == f'row 2 (line 5), column "v": "{cell}" is not {phrase}'

    def test_the_first_of_several_misfits_is_named_across_blocks(self, path: Path) -> None:
        path.write_text("a,b\n" + "1,1\n" * 600_000 + "1,x\ny,1\n")
        batches = read(path, "csv", self.columns(a="integer", b="integer"))
        with pytest.raises(InvalidInput, match=r'row 600001 \(line 600002\), column "b"'):
            for _ in batches:
                pass

    def test_rows_before_a_misfit_are_yielded(self, path: Path) -> None:
        path.write_text("a\n" + "1\n" * 2_000_000 + "x\n")
        seen: list[int] = []
        with pytest.raises(InvalidInput):
            seen.extend(batch.num_rows for batch in read(path, "csv", self.columns(a="integer")))
        assert sum(seen) > 500_000

    def test_a_preview_is_ready_for_json(self, path: Path) -> None:
        found = profiled(path, "n,x,d,t,s\n1,inf,2024-01-02,2024-01-02T03:04:05Z,a\n2,,,,\n3,3,,,\n")
        assert preview(path, "csv", found.columns, rows=2) == [
            {"n": 1, "x": None, "d": "2024-01-02", "t": "2024-01-02T03:04:05.000000", "s": "a"},
            {"n": 2, "x": None, "d": None, "t": None, "s": None},
        ]

    def test_dates_are_dates(self, path: Path) -> None:
        assert rows(path, "d\n2024-02-29\n") == [(date(2024, 2, 29),)]
