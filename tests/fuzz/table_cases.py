"""Text tables of our own making, and what reading each should come to: (rows, columns), or the code of a refusal."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from typing import Final

import pyarrow as pa

Shape = tuple[int, int]
Content = bytes | Callable[[], bytes]
"""What is large is made when it is needed."""
BOM: Final = b"\xef\xbb\xbf"


def _zip(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", content)
    return sink.getvalue()


def _zstd(content: bytes) -> bytes:
    compressed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return compressed


CSV: Final[dict[str, tuple[Content, Shape | str]]] = {
    "plain": (b"a,b\n1,2\n", (1, 2)),
    "no newline at the end": (b"a,b\n1,2", (1, 2)),
    "CRLF": (b"a,b\r\n1,2\r\n", (1, 2)),
    "CR alone": (b"a,b\r1,2\r", (1, 2)),
    "newlines mixed": (b"a,b\r\n1,2\n3,4\r5,6", (3, 2)),
    "empty lines between": (b"a,b\n\n1,2\n\n", (1, 2)),
    "byte order mark": (BOM + b"a,b\n1,2\n", (1, 2)),
    "mark alone": (BOM, "empty_table"),
    "nothing": (b"", "empty_table"),
    "a newline": (b"\n", "empty_table"),
    "spaces": (b"   ", "no_rows"),
    "header alone": (b"a,b\n", "no_rows"),
    "header without a newline": (b"a,b", "no_rows"),
    "names that come twice": (b"a,a\n1,2\n", "duplicate_column"),
    "names that differ in case": (b"a,A\n1,2\n", (1, 2)),
    "names that differ in space": (b"a, a\n1,2\n", (1, 2)),
    "empty name": (b"a,\n1,2\n", "empty_column_name"),
    "comma at the end of every line": (b"a,b,\n1,2,\n", "empty_column_name"),
    "name with a newline": (b'"a\nb",c\n1,2\n', "bad_column_name"),
    "name with a NUL": (b"a\x00,b\n1,2\n", "nul_byte"),
    "long name": (b"x" * 2_000 + b",b\n1,2\n", "bad_column_name"),
    "row too short": (b"a,b\n1\n", "ragged_row"),
    "row too long": (b"a,b\n1,2,3\n", "ragged_row"),
    "ragged far down": (b"a,b\n" + b"1,2\n" * 5_000 + b"1\n", "ragged_row"),
    "semicolons": (b"a;b\n1;2\n", (1, 1)),
    "tabs": (b"a\tb\n1\t2\n", "bad_column_name"),
    "pipes": (b"a|b\n1|2\n", (1, 1)),
    "delimiters mixed": (b"a,b\n1;2\n", "ragged_row"),
    "quoted": (b'"a","b"\n"1","2"\n', (1, 2)),
    "quoted comma": (b'a,b\n"1,5",2\n', (1, 2)),
    "quoted newline": (b'a,b\n"1\n5",2\n', (1, 2)),
    "doubled quote": (b'a,b\n"1""5",2\n', (1, 2)),
    "quotes of nothing": (b'a,b\n"",""\n', (1, 2)),
    "quote never closed": (b'a,b\n"1,2\n', "unbalanced_quotes"),
    "quote never closed in the header": (b'a,"b\n1,2\n', "unbalanced_quotes"),
    "quote inside a value": (b'a,b\n1"5,2\n', "stray_quote"),
    "letters after a quote": (b'a,b\n"1"x,2\n', "stray_quote"),
    "backslash before a quote": (b'a,b\n"1\\"5",2\n', "stray_quote"),
    "a lone quote": (b'a,b\n",2\n', "unbalanced_quotes"),
    "single quotes": (b"a,b\n'1,2'\n", (1, 2)),
    "a cell of NUL": (b"a,b\n\x00,2\n", "nul_byte"),
    "Latin-1": ("a,b\nä,2\n".encode("latin-1"), "invalid_utf8"),
    "Windows-1252": (b"a,b\n\x93x\x94,2\n", "invalid_utf8"),
    "UTF-16 with its mark": ("a,b\n1,2\n".encode("utf-16"), "nul_byte"),
    "UTF-16 without": ("a,b\n1,2\n".encode("utf-16-be"), "nul_byte"),
    "UTF-32": ("a,b\n1,2\n".encode("utf-32"), "nul_byte"),
    "Shift-JIS": ("a,b\n日本,2\n".encode("shift-jis"), "invalid_utf8"),
    "half a surrogate pair": (b"a,b\n\xed\xa0\x80,2\n", "invalid_utf8"),
    "overlong slash": (b"a,b\n\xc0\xaf,2\n", "invalid_utf8"),
    "letters beyond ASCII": ("a,b\n漢字,😀\n".encode(), (1, 2)),
    "numbers of every kind": (b"a\n1\n-1\n1.5\n1e3\n.5\n5.\n", (6, 1)),
    "numbers beyond 64 bits": (b"a\n99999999999999999999\n1\n", (2, 1)),
    "numbers beyond doubles": (b"a\n1e999\n1\n", (2, 1)),
    "infinities": (b"a\ninf\n-inf\nnan\n", (3, 1)),
    "dates that are none": (b"a\n2024-02-30\n2024-13-01\n", (2, 1)),
    "years of many digits": (b"a\n99999-01-01\n", (1, 1)),
    "only missing values": (b"a,b\n,\n,\n", (2, 2)),
    "a thousand columns": (
        b",".join(b"c%d" % n for n in range(1_000)) + b"\n" + b",".join([b"1"] * 1_000) + b"\n",
        (1, 1_000),
    ),
    "ten thousand columns": (
        b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b",".join([b"1"] * 10_000) + b"\n",
        (1, 10_000),
    ),
    "ten thousand and one": (b",".join(b"c%d" % n for n in range(10_001)) + b"\n", "too_many_columns"),
    "a million commas": (b"," * 1_000_000, "too_many_columns"),
    "a million newlines": (b"\n" * 1_000_000, "empty_table"),
    "a row of twenty megabytes": (lambda: b"a\n" + b"x" * (20 * 2**20) + b"\n", "row_too_long"),
    "quotes alone": (b'"' * 100_001, "unbalanced_quotes"),
    "HTML": (b"<!doctype html>\n<html></html>\n", (1, 1)),
    "a gzip": (gzip.compress(b"a,b\n1,2\n"), (1, 2)),
    "two gzips in a row": (gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n"), (1, 2)),
    "a gzip cut short": (gzip.compress(b"a,b\n1,2\n" * 99)[:-6], "corrupt_compression"),
    "a gzip with junk behind": (gzip.compress(b"a,b\n1,2\n") + b"junk", "corrupt_compression"),
    "a gzip with a wrong sum": (gzip.compress(b"a,b\n1,2\n")[:-8] + bytes(8), "corrupt_compression"),
    "a gzip's head": (b"\x1f\x8b", "corrupt_compression"),
    "a gzip in a gzip": (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "*"),
    "a gzip of zeros": (lambda: gzip.compress(bytes(300 * 2**20), 1), "*"),
    "a gzip of lines": (lambda: gzip.compress(b"a\n" + b"\n" * (300 * 2**20), 1), "*"),
    "a zstd": (_zstd(b"a,b\n1,2\n"), (1, 2)),
    "a zstd cut short": (_zstd(b"a,b\n1,2\n" * 99)[:-3], "corrupt_compression"),
    "a zstd's head": (b"\x28\xb5\x2f\xfd", "corrupt_compression"),
    "a zstd of a window of gigabytes": (b"\x28\xb5\x2f\xfd\x00\xff" + bytes(20), "corrupt_compression"),
    "a zstd of zeros": (lambda: _zstd(bytes(300 * 2**20)), "*"),
    "a bzip2": (bz2.compress(b"a,b\n1,2\n"), "*"),
    "an xz": (lzma.compress(b"a,b\n1,2\n"), "*"),
    "a zip": (_zip(b"a,b\n1,2\n"), "*"),
    "a zip bomb": (lambda: _zip(bytes(50 * 2**20)), "*"),
}
"""`*` stands for any documented code."""

JSONL: Final[dict[str, tuple[Content, Shape | str]]] = {
    "plain": (b'{"a":1,"b":2}\n', (1, 2)),
    "no newline at the end": (b'{"a":1}', (1, 1)),
    "CRLF": (b'{"a":1}\r\n{"a":2}\r\n', (2, 1)),
    "empty lines between": (b'{"a":1}\n\n{"a":2}\n', (2, 1)),
    "byte order mark": (BOM + b'{"a":1}\n', (1, 1)),
    "nothing": (b"", "empty_table"),
    "a newline": (b"\n", "no_rows"),
    "empty objects": (b"{}\n{}\n", "empty_table"),
    "keys that differ by row": (b'{"a":1}\n{"b":2}\n', (2, 2)),
    "key that comes twice": (b'{"a":1,"a":2}\n', "duplicate_column"),
    "key that comes twice, once escaped": (rb'{"a":1,"\u0061":2}' + b"\n", "duplicate_column"),
    "empty key": (b'{"":1}\n', "empty_column_name"),
    "key with a newline": (b'{"a\\nb":1}\n', "bad_column_name"),
    "key of half a pair": (rb'{"\ud800":1}' + b"\n", "bad_column_name"),
    "value of half a pair": (rb'{"a":"\ud800"}' + b"\n", "bad_json_line"),
    "NUL in a value, escaped": (rb'{"a":"x\u0000y"}' + b"\n", (1, 1)),
    "NUL byte": (b'{"a":"x\x00y"}\n', "nul_byte"),
    "an array": (b"[1,2]\n", "bad_json_line"),
    "one array of objects": (b'[{"a":1},{"a":2}]\n', "bad_json_line"),
    "an object over several lines": (b'{\n"a": 1\n}\n', "bad_json_line"),
    "two objects in a line": (b'{"a":1}{"a":2}\n', "bad_json_line"),
    "a comma behind": (b'{"a":1},\n{"a":2}\n', "bad_json_line"),
    "NaN": (b'{"a":NaN}\n', "bad_json_line"),
    "Infinity": (b'{"a":-Infinity}\n', "bad_json_line"),
    "beyond doubles": (b'{"a":1e999}\n', "bad_json_line"),
    "beyond 64 bits": (b'{"a":99999999999999999999}\n', (1, 1)),
    "a number of 5,000 digits": (b'{"a":' + b"9" * 5_000 + b"}\n", "*"),
    "a nested array": (b'{"a":[1]}\n', "nested_value"),
    "a nested object": (b'{"a":{"b":1}}\n', "nested_value"),
    "nested deep": (b'{"a":' + b"[" * 100_000 + b"\n", "*"),
    "types mixed": (b'{"a":1}\n{"a":"x"}\n', "mixed_types"),
    "null alone": (b'{"a":null}\n', (1, 1)),
    "single quotes": (b"{'a':1}\n", "bad_json_line"),
    "cut short": (b'{"a":1}\n{"a":', "bad_json_line"),
    "a comment": (b'// x\n{"a":1}\n', "bad_json_line"),
    "Latin-1": (b'{"a":"\xe4"}\n', "invalid_utf8"),
    "UTF-16": ('{"a":1}\n'.encode("utf-16"), "*"),
    "ten thousand and one keys": (
        b"{" + b",".join(b'"c%d":1' % n for n in range(10_001)) + b"}\n",
        "too_many_columns",
    ),
    "new keys in every line": (
        b"".join(b'{"c%d":1}\n' % n for n in range(9_000)),
        (9_000, 9_000),
    ),
    "more of them": (b"".join(b'{"c%d":1}\n' % n for n in range(20_000)), "*"),
    "a line of twenty megabytes": (lambda: b'{"a":"' + b"x" * (20 * 2**20) + b'"}\n', "row_too_long"),
    "CSV": (b"a,b\n1,2\n", "bad_json_line"),
    "a gzip of spaces": (lambda: gzip.compress(b" " * (300 * 2**20), 1), "*"),
}


def made(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()
