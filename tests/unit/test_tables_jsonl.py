"""JSON Lines: Arrow's fast parser and Python's strict one must never be told apart from outside."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables import Limits, Profile, preview, profile, read, read_all
from shared.tables.jsonl_profile import profile_jsonl
from shared.tables.jsonl_reader import read_jsonl

DEFAULT = Limits()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.jsonl"


def profiled(path: Path, text: str | bytes, limits: Limits = DEFAULT) -> Profile:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return profile(path, "jsonl", limits)


def types(path: Path, text: str | bytes) -> dict[str, str]:
    return {column.name: column.type for column in profiled(path, text).columns}


def rows(path: Path, text: str | bytes) -> list[dict[str, object]]:
    found = profiled(path, text)
    table = read_all(path, "jsonl", found.columns)
    assert table.num_rows == found.rows
    return list(table.to_pylist())


def refusal(path: Path, text: str | bytes, limits: Limits = DEFAULT) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        profiled(path, text, limits)
    return caught.value.code, caught.value.message


#: Enough plain lines that what follows them meets columns that are known and Arrow's parser.
GOOD = '{"a":1,"s":"x"}\n' * 30_000


@pytest.mark.parametrize("before", ["", GOOD], ids=["at the start", "far into the file"])
class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "code", "problem"),
        [
            ("{", "bad_json_line", ", character 2: "),
            ('{"a":1,}', "bad_json_line", ", character "),
            ('{"a":01}', "bad_json_line", ", character "),
            ("{'a':1}", "bad_json_line", ", character 2: "),
            ('{"a":1}{"a":2}', "bad_json_line", ", character 8: Extra data"),
            ('{"a":"x\x01"}', "bad_json_line", ", character 8: "),
            ('{"a":1} // no', "bad_json_line", ", character "),
            ("[1]", "bad_json_line", ' is not an object: "[1]"'),
            ("1", "bad_json_line", ' is not an object: "1"'),
            ("null", "bad_json_line", ' is not an object: "null"'),
            ('{"a":NaN}', "bad_json_line", ": NaN is not JSON"),
            ('{"a":Infinity}', "bad_json_line", ": Infinity is not JSON"),
            ('{"a":-Infinity}', "bad_json_line", ": -Infinity is not JSON"),
            ('{"a":1e999}', "bad_json_line", ', key "a": the number is too large'),
            ('{"a":1' + "0" * 400 + "}", "bad_json_line", ', key "a": the number is too large'),
            ('{"a":1' + "0" * 5_000 + "}", "bad_json_line", " has a number that is too large"),
            ('{"s":"\\ud800"}', "bad_json_line", ', key "s": half of a surrogate pair'),
            ('{"a":1,"a":2}', "duplicate_column", ' has the key "a" twice'),
            ('{"a":{"b":1}}', "nested_value", ', key "a": the value is nested'),
            ('{"b":[]}', "nested_value", ', key "b": the value is nested'),
            ('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested_value", " is nested too deeply"),
            (
                '{"a":' + '{"a":' * 200_000 + "1" + "}" * 200_000 + "}",
                "nested_value",
                " is nested too deeply",
            ),
            ("[" * 1_000_000, "nested_value", " is nested too deeply"),
            ('{"":1}', "empty_column_name", ": a key has an empty name"),
            ('{"a\\u0007":1}', "bad_column_name", ": a key has a control character"),
        ],
    )
    def test_a_bad_line_is_named_by_its_number(
        self, path: Path, before: str, line: str, code: str, problem: str
    ) -> None:
        found, message = refusal(path, before + '{"a":1,"s":"y"}\n\n' + line + '\n{"a":2}\n')
        assert found == code
        assert message.startswith(f"line {before.count(chr(10)) + 3}{problem}")
        assert len(message) < 200

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ('"1"', 'key "a": text where the lines before have integer'),
            ("true", 'key "a": boolean where the lines before have integer'),
        ],
    )
    def test_a_change_of_type_is_named_where_it_happens(
        self, path: Path, before: str, value: str, problem: str
    ) -> None:
        text = before + '{"a":1}\n{"a":null}\n{"a":' + value + '}\n{"a":4}\n'
        assert refusal(path, text) == ("mixed_types", f"line {before.count(chr(10)) + 3}, {problem}")

    def test_an_object_over_two_lines_is_two_bad_lines(self, path: Path, before: str) -> None:
        code, message = refusal(path, before + '{"a":\n1}\n')
        assert code == "bad_json_line"
        assert message.startswith(f"line {before.count(chr(10)) + 1}, character 6: ")

    @pytest.mark.parametrize("line", ['{"a":1}{"a":2}', '{"x":NaN}', '{"x":-Infinity}', '{"x":1e999}'])
    def test_what_only_arrow_takes_is_refused_among_plain_lines(
        self, path: Path, before: str, line: str
    ) -> None:
        text = before + '{"a":1,"x":1.5}\n' * 30_000 + line + "\n"
        code, message = refusal(path, text)
        assert code == "bad_json_line"
        assert message.startswith(f"line {text.count(chr(10))}")

    def test_invalid_utf8_is_reported_with_its_line(self, path: Path, before: str) -> None:
        code, message = refusal(path, before.encode() + b'{"a":1}\n{"s":"\xff"}\n')
        assert code == "invalid_utf8"
        assert message.startswith(f"line {before.count(chr(10)) + 2} is not valid UTF-8 (0xff at byte ")


class TestBounds:
    def test_a_file_of_no_bytes_is_an_empty_table(self, path: Path) -> None:
        assert refusal(path, "") == ("empty_table", "the file is empty")

    def test_blank_lines_alone_are_no_rows(self, path: Path) -> None:
        assert refusal(path, "\n \n\r\n")[0] == "no_rows"

    def test_objects_without_keys_make_no_table(self, path: Path) -> None:
        assert refusal(path, "{}\n{}\n")[0] == "empty_table"

    def test_a_line_over_the_limit_is_refused(self, path: Path) -> None:
        line = '{"a":"' + "x" * 55 + '"}\n'
        assert profiled(path, line * 2, Limits(max_row_bytes=len(line))).rows == 2
        assert refusal(path, line * 2, Limits(max_row_bytes=len(line) - 1)) == (
            "row_too_long",
            f"the row that starts on line 1 is longer than {len(line) - 1} bytes",
        )

    def test_a_new_key_on_every_line_stops_at_the_limit(self, path: Path) -> None:
        text = "".join(f'{{"k{i}":1}}\n' for i in range(3_000))
        assert refusal(path, text, Limits(max_columns=2_999))[0] == "too_many_columns"
        assert profiled(path, text, Limits(max_columns=3_000)).rows == 3_000

    def test_empty_objects_cannot_stand_for_a_huge_table(self, path: Path) -> None:
        wide = json.dumps({f"k{i}": 1 for i in range(10_000)}) + "\n"
        code, message = refusal(path, wide + "{}\n" * 1_000_000)
        assert code == "too_many_cells"
        assert "10,000 columns" in message


class TestTypes:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (["1", "null", "-3"], "integer"),
            (["1", "2.5"], "number"),
            (["1", "9223372036854775808"], "number"),
            (["1.0", "2"], "number"),
            (["true", "false"], "boolean"),
            (['"x"', '""'], "string"),
            (['"1"', '"2"'], "string"),
            (['"true"', '"false"'], "string"),
            (["null", "null"], "string"),
            (['"2024-01-31"', "null"], "date"),
            (['"2024-01-31"', '"2024-01-31T01:02:03Z"'], "datetime"),
            (['"2024-01-31"', '"soon"'], "string"),
        ],
    )
    @pytest.mark.parametrize("distance", [0, 40_000])
    def test_a_column_has_the_narrowest_type_that_holds_all_of_it(
        self, path: Path, values: list[str], expected: str, distance: int
    ) -> None:
        lines = [values[0]] * distance + values
        assert types(path, "".join(f'{{"v":{v},"k":0}}\n' for v in lines))["v"] == expected
        read_all(path, "jsonl", profile(path, "jsonl").columns)

    def test_keys_come_in_the_order_of_their_first_appearance(self, path: Path) -> None:
        assert list(types(path, '{"b":1}\n{"a":1,"b":2}\n' + '{"c":1,"a":2}\n')) == ["b", "a", "c"]

    def test_an_absent_key_is_a_missing_value_even_before_its_first_appearance(self, path: Path) -> None:
        text = '{"a":1}\n' * 40_000 + '{"a":null,"late":"x"}\n'
        assert [c.nulls for c in profiled(path, text).columns] == [1, 40_000]
        assert rows(path, text)[-1] == {"a": None, "late": "x"}

    def test_an_empty_string_is_a_value(self, path: Path) -> None:
        assert profiled(path, '{"a":""}\n').columns[0].nulls == 0

    @pytest.mark.parametrize(
        "text",
        [
            '{"a":1}\r\n{"a":2}\r\n',
            '{"a":1}\n{"a":2}',
            '\n{"a":1}\n\n  {"a": 2} \n\n',
            '\ufeff{"a":1}\n{"a":2}\n',
            '{\t"a" : 1 }\n{"\\u0061":2}\n',
        ],
    )
    def test_white_space_blank_lines_and_line_ends_do_not_matter(self, path: Path, text: str) -> None:
        assert rows(path, text) == [{"a": 1}, {"a": 2}]

    def test_brackets_and_escapes_in_strings_are_text(self, path: Path) -> None:
        texts = ["}{", "[[[" * 100, '"\\', "a\nb", "\x00", "é日🙂", "}\n{"]
        text = "".join(json.dumps({"s": t}) + "\n" for t in texts)
        assert [row["s"] for row in rows(path, text)] == texts

    def test_dates_are_read_as_dates_and_times_in_utc(self, path: Path) -> None:
        text = '{"d":"2024-01-02","t":"2024-01-02T03:00:00+01:00"}\n'
        assert rows(path, text) == [{"d": date(2024, 1, 2), "t": datetime(2024, 1, 2, 2)}]
        assert preview(path, "jsonl", profile(path, "jsonl").columns) == [
            {"d": "2024-01-02", "t": "2024-01-02T02:00:00.000000"}
        ]

    @pytest.mark.parametrize("block_bytes", [1, 50, 1_000])
    def test_blocks_do_not_change_what_is_found(self, path: Path, block_bytes: int) -> None:
        path.write_text('{"a":1,"d":"2024-01-01"}\n\n{"b":"}\\n{"}\r\n{"a":2.5,"d":"2024-01-01T00:00:01"}')
        whole = profile(path, "jsonl")
        assert profile_jsonl(path, Limits(), block_bytes=block_bytes) == whole
        batches = list(read_jsonl(path, whole.columns, 100, Limits(), block_bytes=block_bytes))
        assert pa.Table.from_batches(batches).combine_chunks() == read_all(path, "jsonl", whole.columns)


class TestReading:
    def columns(self, **types: str) -> list[Column]:
        return [Column.model_validate({"name": n, "type": t, "nulls": 0}) for n, t in types.items()]

    def test_batches_hold_the_columns_asked_for_in_that_order(self, path: Path) -> None:
        path.write_text('{"a":1,"b":[1],"c":true}\n{"c":false}\n{"a":3}\n')
        batches = list(read(path, "jsonl", self.columns(c="boolean", a="number"), batch_rows=2))
        assert [b.num_rows for b in batches] == [2, 1]
        assert batches[0].schema == pa.schema([("c", pa.bool_()), ("a", pa.float64())])

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("integer", "2.5"),
            ("integer", "9223372036854775808"),
            ("integer", '"2"'),
            ("integer", "true"),
            ("number", '"x"'),
            ("number", "false"),
            ("boolean", "1"),
            ("string", "1"),
            ("date", '"2024-13-01"'),
            ("datetime", '"later"'),
        ],
    )
    def test_a_cell_that_does_not_fit_is_named_with_row_line_and_key(
        self, path: Path, kind: str, value: str
    ) -> None:
        path.write_text("{}\n" * 50_000 + '\n{"v":null}\n{"v":' + value + "}\n{}\n")
        with pytest.raises(InvalidInput) as caught:
            read_all(path, "jsonl", self.columns(v=kind))
        assert caught.value.code == "type_mismatch"
        assert caught.value.message.startswith('row 50002 (line 50003), key "v": ')
        assert caught.value.message.endswith(f"does not fit the type {kind}")

    def test_what_only_pythons_parser_takes_is_read_the_same(self, path: Path) -> None:
        path.write_text('{"a":1,"x":1,"s":"é"} \n\n {"a":2,"x":null,"s":null}\n')
        assert read_all(path, "jsonl", self.columns(a="integer", x="number", s="string")).to_pylist() == [
            {"a": 1, "x": 1.0, "s": "é"},
            {"a": 2, "x": None, "s": None},
        ]
