"""The output of a batch: as a pyarrow Table or pandas DataFrame, or as files; each file is held to its SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from graft.client.errors import BadSource, ConnectionBroken
from graft.client.transport import Transport
from shared.contracts.outputs import Manifest, ManifestErrors, ManifestFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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

    def download(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write it to that file, if it is one file and `path` is no folder; else its files into that folder.

        A file appears when it is whole. Raises Unreachable, BadSource if it cannot be written.
        """
        target = Path(path).expanduser()
        files: list[ManifestFile | ManifestErrors] = list(self.manifest.files)
        if len(files) == 1 and not target.is_dir() and target.suffix:
            return [self._to_file(files[0], target)]
        files += [self.manifest.errors] if self.manifest.errors else []
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSource(f"{target} cannot be written: {error.strerror}") from None
        return [self._to_file(file, target / file.name) for file in files]

    def to_arrow(self) -> pa.Table:
        """All rows in their order. Needs pyarrow."""
        import pyarrow as pa

        tables = []
        for file in self.manifest.files:
            with tempfile.TemporaryFile() as spool:
                self._fetch(file, spool)
                spool.seek(0)
                tables.append(_read(spool, file.name))
        return pa.concat_tables(tables, promote_options="permissive")

    def to_pandas(self) -> pd.DataFrame:
        """All rows in their order. Needs pandas and pyarrow."""
        return self.to_arrow().to_pandas()

    def _to_file(self, file: ManifestFile | ManifestErrors, target: Path) -> Path:
        draft = target.with_name(f"{target.name}.part")
        try:
            with draft.open("wb") as out:
                self._fetch(file, out)
            draft.replace(target)
        except OSError as error:
            raise BadSource(f"{target} cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return target

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


def _read(file: Any, name: str) -> pa.Table:
    import pyarrow as pa

    if name.endswith(".parquet"):
        import pyarrow.parquet

        return pa.parquet.read_table(file)
    if name.endswith(".csv"):
        import pyarrow.csv

        return pa.csv.read_csv(file)
    import pyarrow.json

    return pa.json.read_json(file)
