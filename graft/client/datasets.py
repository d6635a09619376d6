"""Datasets: upload, register, look, delete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from graft.client import pages
from graft.client.errors import BadSource
from graft.client.sources import CONTENT_TYPES, OnProgress, Source, Table, opened
from graft.client.transport import Transport
from graft.client.uploads import Uploads
from shared.contracts.base import ULID_PATTERN
from shared.contracts.datasets import Dataset, DatasetPage, Preview
from shared.contracts.models import Lineage
from shared.contracts.tables import Format

IN_PARTS_FROM_BYTES = 32 * 2**20
"""From this size a table is sent in parts: a line that breaks then costs one part."""
READ_SECONDS = 900.0
"""How long the server may read a table before it answers."""

_ID = re.compile(f"ds_{ULID_PATTERN}")


class Datasets:
    """`client.datasets`."""

    def __init__(self, api: Transport, uploads: Uploads) -> None:
        self._api = api
        self._uploads = uploads

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        format: Format | None = None,
        part_bytes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Dataset:
        """Make a dataset of a path, bytes, an open file, a DataFrame or a Table (`graft.client.sources`).

        name: what people will know it by; the file's name if left out. `on_progress(bytes_done, bytes_total)` is called
        as it goes; the total is None for a stream. A large table, or one with `part_bytes`, goes in parts, each of
        which is sent again if the connection breaks. Raises BadSource; InvalidInput with the place of the first fault;
        TooLarge.
        """
        with opened(source, name=name, format=format) as table:
            in_parts = table.size is not None and (
                table.size >= IN_PARTS_FROM_BYTES or part_bytes is not None
            )
            if in_parts and table.size:
                return self._uploads.send(table, part_bytes=part_bytes, on_progress=on_progress)
            return self.create(table, on_progress=on_progress)

    def register(self, uri: str, *, name: str) -> Dataset:
        """Take an object, or all objects below a prefix (`s3://bucket/prefix/`), as a dataset where it lies."""
        return self.create({"name": name, "uri": uri})

    def create(self, given: Table | Mapping[str, str], *, on_progress: OnProgress | None = None) -> Dataset:
        """The one request that `upload` and `register` make: an open table, or `{name, uri}`. It is not made again."""
        options: dict[str, Any] = {"json": given}
        if isinstance(given, Table):
            options = _body(given, on_progress)
        response = self._api.ask("POST /v1/datasets", hold_seconds=READ_SECONDS, **options)
        return self._api.understood(Dataset, response)

    def list(self, *, limit: int | None = None, after: str | None = None) -> Iterator[Dataset]:
        """Newest first; all, or `limit` of them."""
        return pages.entries(self._api, DatasetPage, "GET /v1/datasets", limit=limit, after=after)

    def get(self, dataset: str) -> Dataset:
        return self._api.read(Dataset, "GET /v1/datasets/{dataset_id}", dataset)

    def preview(self, dataset: str) -> Preview:
        """The first 20 rows."""
        return self._api.read(Preview, "GET /v1/datasets/{dataset_id}/preview", dataset)

    def lineage(
        self,
        dataset: str,
        *,
        direction: Literal["up", "down", "both"] | None = None,
        depth: int | None = None,
        limit: int | None = None,
    ) -> Lineage:
        """What came of it, as a graph."""
        query = {"direction": direction, "depth": depth, "limit": limit}
        return self._api.read(Lineage, "GET /v1/datasets/{dataset_id}/lineage", dataset, query=query)

    def delete(self, dataset: str) -> None:
        """Raises Conflict, with `referrers`, while a live job reads it or a schedule names it."""
        self._api.ask("DELETE /v1/datasets/{dataset_id}", dataset)

    def id_of(self, given: Source | Dataset, *, on_progress: OnProgress | None = None) -> str:
        """The id of a dataset that is there, or of what is uploaded now: a table may stand wherever a dataset may."""
        if isinstance(given, Dataset):
            return given.id
        if isinstance(given, str) and _ID.fullmatch(given):
            return given
        if isinstance(given, str | os.PathLike) and not Path(given).expanduser().exists():
            raise BadSource(
                f"there is no file {os.fspath(given)}, and no dataset has such an id",
                "`graft datasets` lists those that there are",
            )
        return self.upload(given, on_progress=on_progress).id


def _body(table: Table, on_progress: OnProgress | None) -> dict[str, Any]:
    on_read = None if on_progress is None else (lambda done: on_progress(done, table.size))
    headers = {
        "Content-Type": CONTENT_TYPES[table.format],
        "Content-Length": None if table.size is None else str(table.size),
    }
    return {
        "query": {"name": table.name},
        "content": lambda: table.chunks(on_read=on_read),
        "headers": headers,
    }
