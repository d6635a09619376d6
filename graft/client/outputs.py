"""The output of a batch: as a pyarrow Table or pandas DataFrame, or as files; each file is held to its SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_args

from graft.client.errors import BadSettings, BadSource, ConnectionBroken
from graft.client.joining import join
from graft.client.transport import Transport
from shared.contracts.outputs import Manifest, ManifestErrors, ManifestFile
from shared.contracts.tables import Format

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ERRORS = "_errors.jsonl"


class Outputs:
    """`job.outputs`. The links of `manifest` are good for an hour: ask for the outputs anew after that."""

    def __init__(self, api: Transport, manifest: Manifest) -> None:
        self._api = api
        self.manifest = manifest

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def failed_rows(self) -> int:
        return self.manifest.failed_rows

    @property
    def format(self) -> Format | None:
        """What its files are; None if no row was written."""
        return _format(self.manifest.files[0]) if self.manifest.files else None

    def download(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write all rows to that file, if its name has a suffix and it is no folder; else its files into that folder.

        The rows of several files are joined in their order, which needs pyarrow if they are Parquet. Rows that failed
        are in the folder's errors file only. A file appears when it is whole. Raises Unreachable, BadSource if it
        cannot be written.
        """
        target = Path(path).expanduser()
        files: list[ManifestFile | ManifestErrors] = list(self.manifest.files)
        if files and target.suffix and not target.is_dir():
            return [self._to_file(files[0], target) if len(files) == 1 else self._joined(target)]
        files += [self.manifest.errors] if self.manifest.errors else []
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSource(f"{target} cannot be written: {error.strerror}") from None
        return [self._to_file(file, target / file.name) for file in files]

    def download_errors(self, path: str | os.PathLike[str]) -> Path:
        """Write the list of the rows that failed there, a JSON object a line; no line if none has."""
        target = Path(path).expanduser()
        if target.is_dir():
            target /= _ERRORS
        with _appearing(target) as out:
            if self.manifest.errors:
                self._fetch(self.manifest.errors, out)
        return target

    def to_arrow(self) -> pa.Table:
        """All rows in their order. Needs pyarrow."""
        import pyarrow as pa

        tables = [_read(part, _format(self.manifest.files[0])) for part in self._parts()]
        return pa.concat_tables(tables, promote_options="permissive")

    def to_pandas(self) -> pd.DataFrame:
        """All rows in their order. Needs pyarrow and pandas; without the latter BadSettings, and nothing is fetched."""
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            hint = "to_pandas() needs it: pip install pandas; to_arrow() does without"
            raise BadSettings("pandas is missing", hint) from error
        return self.to_arrow().to_pandas()

    def _to_file(self, file: ManifestFile | ManifestErrors, target: Path) -> Path:
        with _appearing(target) as out:
            self._fetch(file, out)
        return target

    def _joined(self, target: Path) -> Path:
        with _appearing(target) as out:
            join(self._parts(), _format(self.manifest.files[0]), out)
        return target

    def _parts(self) -> Iterator[IO[bytes]]:
        """The files one after another, each open until the next is asked for."""
        for file in self.manifest.files:
            with tempfile.TemporaryFile() as spool:
                self._fetch(file, spool)
                spool.seek(0)
                yield spool

    def _fetch(self, file: ManifestFile | ManifestErrors, out: IO[bytes]) -> None:
        digests = [hashlib.sha256()]

        def write(chunk: bytes) -> None:
            digests[0].update(chunk)
            out.write(chunk)

        def begin_again() -> None:
            digests[0] = hashlib.sha256()
            out.seek(0)
            out.truncate()

        self._api.fetch(file.url, write, begin_again=begin_again)
        if isinstance(file, ManifestFile) and digests[0].hexdigest() != file.sha256:
            raise ConnectionBroken(f"{file.name} did not arrive as it was written", "download it again")


@contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that is there when it is whole. Raises BadSource."""
    draft = target.with_name(f"{target.name}.part")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(target)
    except OSError as error:
        raise BadSource(f"{target} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _format(file: ManifestFile) -> Format:
    formats: tuple[Format, ...] = get_args(Format)
    for known in formats:
        if file.name.endswith(f".{known}"):
            return known
    return "jsonl"


def _read(file: Any, format: Format) -> pa.Table:
    if format == "parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(file)
    if format == "csv":
        import pyarrow.csv

        return pyarrow.csv.read_csv(file)
    import pyarrow.json

    return pyarrow.json.read_json(file)
