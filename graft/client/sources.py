"""What can be uploaded: a file's path, bytes, an open file, a pandas DataFrame, a pyarrow Table.

    path             its name says format and compression: .csv, .parquet, .jsonl, .ndjson; text also .gz, .zst
    bytes, a file    Parquet is told by its first bytes; else say `format=`
    DataFrame        Parquet, without its index (`reset_index()` makes that a column); CSV if there is no pyarrow
    Table            Parquet

pandas and pyarrow are imported only when something of theirs is given.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, get_args

from graft.client.errors import BadSource
from shared.contracts.tables import Format

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Source: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | pd.DataFrame | pa.Table
else:
    Source = Any

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that are sent and those that there are, None if that is not known."""

CONTENT_TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_COMPRESSED = frozenset({".gz", ".zst"})
_PARQUET_MAGIC = b"PAR1"
_CHUNK_BYTES = 1 << 18


@dataclass
class Table:
    """An open file that holds a table. `size` is None if it cannot be known before it is read: then it is read once."""

    file: IO[bytes]
    name: str
    format: Format
    size: int | None
    _begun: bool = False

    def chunks(
        self, start: int = 0, length: int | None = None, on_read: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """The bytes from `start`, `length` of them or all. Raises BadSource if there are not as many as there were."""
        expected = length if length is not None else None if self.size is None else self.size - start
        done = 0
        try:
            if self.size is not None:
                self.file.seek(start)
            elif self._begun:
                raise BadSource(
                    f"{self.name} is a stream, and cannot be sent again", "send it from its beginning"
                )
            self._begun = True
            while expected is None or done < expected:
                chunk = self.file.read(
                    _CHUNK_BYTES if expected is None else min(_CHUNK_BYTES, expected - done)
                )
                if not chunk:
                    break
                yield chunk
                done += len(chunk)
                if on_read is not None:
                    on_read(done)
        except OSError as error:
            raise BadSource(f"{self.name} cannot be read: {error.strerror or error}") from error
        if expected is not None and done != expected:
            raise BadSource(f"{self.name} has changed while it was sent", "send it again when it is complete")


@contextmanager
def opened(source: Source, *, name: str | None = None, format: Format | None = None) -> Iterator[Table]:
    """The source as a file. `name` and `format` say what the source does not. Raises BadSource."""
    if format is not None and format not in get_args(Format):
        raise BadSource(f"the format should be one of {', '.join(get_args(Format))}")
    if isinstance(source, str | os.PathLike):
        with _opened_path(Path(source), name, format) as table:
            yield table
    elif isinstance(source, bytes | bytearray | memoryview):
        content = io.BytesIO(source)
        yield Table(content, name or "table", format or _sniffed(content.getvalue()[:4]), len(source))
    elif _is_a("pyarrow", "Table", source):
        with tempfile.TemporaryFile() as file:
            yield _parquet(source, file, name)
    elif _is_a("pandas", "DataFrame", source):
        with tempfile.TemporaryFile() as file:
            yield _of_frame(source, file, name)
    elif hasattr(source, "read"):
        yield _of_file(source, name, format)
    else:
        raise BadSource(
            f"a {type(source).__name__} cannot be uploaded",
            "give a path, bytes, a file that is open in binary mode, a pandas DataFrame or a pyarrow Table",
        )


def format_of(path: Path) -> Format | None:
    """What a file's name says that it holds."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None


@contextmanager
def _opened_path(path: Path, name: str | None, format: Format | None) -> Iterator[Table]:
    found = format or format_of(path)
    try:
        file = path.expanduser().open("rb")
    except OSError as error:
        raise BadSource(f"{path} cannot be read: {error.strerror}", "give the path of a table") from None
    with file:
        if found is None:
            if file.read(4) != _PARQUET_MAGIC:
                raise BadSource(
                    f"the name of {path} does not say what it holds",
                    f"name it .csv, .parquet or .jsonl, or tell `upload` its format: {', '.join(get_args(Format))}",
                )
            found = "parquet"
        stem = path.name.split(".")[0] or path.name
        yield Table(file, name or stem, found, os.fstat(file.fileno()).st_size)


def _of_file(file: Any, name: str | None, format: Format | None) -> Table:
    own = getattr(file, "name", None)
    path = Path(own) if isinstance(own, str) else None
    if isinstance(file, io.TextIOBase):
        raise BadSource("the file is open as text", 'open it in binary mode: open(path, "rb")')
    size = None
    if file.seekable():
        begin = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(begin)
        if begin:
            raise BadSource("the file has been read from already", "file.seek(0) goes back to its beginning")
    found = format or (format_of(path) if path else None)
    if found is None:
        if size is None:
            raise BadSource("a stream does not say what it holds", "say format=…")
        found = _sniffed(file.read(4))
        file.seek(0)
    return Table(file, name or (path.name.split(".")[0] if path else "table"), found, size)


def _of_frame(frame: Any, file: IO[bytes], name: str | None) -> Table:
    try:
        import pyarrow as pa
    except ImportError:
        frame.to_csv(file, index=False)
        return Table(file, name or "table", "csv", file.tell())
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadSource(
            f"the DataFrame is no table: {error}", "each column needs a name and one type"
        ) from error
    return _parquet(table, file, name)


def _parquet(table: Any, file: IO[bytes], name: str | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        pa.parquet.write_table(table, file)
    except pa.ArrowException as error:
        raise BadSource(f"the table cannot be written as Parquet: {error}") from error
    return Table(file, name or "table", "parquet", file.tell())


def _sniffed(first: bytes) -> Format:
    if first == _PARQUET_MAGIC:
        return "parquet"
    raise BadSource("bytes do not say what they hold", f"say format=…: {', '.join(get_args(Format))}")


def _is_a(package: str, kind: str, value: object) -> bool:
    """Whether it is of that package's class, without importing it: whoever has a value of it has imported it."""
    module = sys.modules.get(package)
    return module is not None and isinstance(value, getattr(module, kind))
