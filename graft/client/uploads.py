"""Large tables in parts, through the API: a part that does not arrive is sent again, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from graft.client import pages
from graft.client.sources import OnProgress, Table
from graft.client.transport import Content, Transport
from shared.contracts.datasets import Dataset
from shared.contracts.tables import Format
from shared.contracts.uploads import Part, PartPage, PutPart, Upload, UploadPage, part_bytes_for

HOLD_SECONDS = 20.0
_USUAL_PART_BYTES = 16 * 2**20
"""A part is what a broken line costs, and what a proxy has to let through."""


class Uploads:
    """`client.uploads`. `client.upload` uses it for large tables; alone it is for who sends the parts themselves."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def send(
        self, table: Table, *, part_bytes: int | None = None, on_progress: OnProgress | None = None
    ) -> Dataset:
        """A whole table of known size, part by part; the upload is given up if it cannot be finished."""
        size = table.size or 0
        part = part_bytes or max(_USUAL_PART_BYTES, part_bytes_for(size) // 4)
        upload = self.create(name=table.name, format=table.format, size=size, part_bytes=part)
        try:
            for number in range(1, upload.parts + 1):
                self.put_part(upload.id, number, _part(table, upload, number, on_progress))
            return self.completed(upload.id)
        except BaseException:
            self._give_up(upload.id)
            raise

    def create(
        self,
        *,
        name: str,
        format: Format,
        size: int,
        part_bytes: int | None = None,
        compression: str | None = None,
    ) -> Upload:
        """Begin an upload of a file that has `size` bytes."""
        body = {"name": name, "format": format, "bytes": size}
        given = {"part_bytes": part_bytes, "compression": compression}
        body |= {field: value for field, value in given.items() if value is not None}
        return self._api.read(Upload, "POST /v1/uploads", json=body)

    def list(self, *, limit: int | None = None, after: str | None = None) -> Iterator[Upload]:
        """Newest first, until they expire."""
        return pages.entries(self._api, UploadPage, "GET /v1/uploads", limit=limit, after=after)

    def get(self, upload: str) -> Upload:
        """With what is there, and what is missing."""
        return self._api.read(Upload, "GET /v1/uploads/{upload_id}", upload)

    def parts(self, upload: str, *, limit: int | None = None, after: str | None = None) -> Iterator[Part]:
        """Each with a presigned URL to PUT it to, for who reaches the store."""
        operation = "GET /v1/uploads/{upload_id}/parts"
        return pages.entries(self._api, PartPage, operation, upload, limit=limit, after=after)

    def put_part(self, upload: str, number: int, content: Content) -> PutPart:
        """Send a part through the API; it may come again."""
        headers = {"Content-Type": "application/octet-stream"}
        operation = "PUT /v1/uploads/{upload_id}/parts/{number}"
        return self._api.read(PutPart, operation, upload, number, content=content, headers=headers)

    def complete(
        self, upload: str, *, sha256: str | None = None, wait: float = HOLD_SECONDS
    ) -> Dataset | None:
        """Make the dataset. None: it goes on; ask again."""
        response = self._api.ask(
            "POST /v1/uploads/{upload_id}/complete",
            upload,
            query={"wait": wait},
            json={} if sha256 is None else {"sha256": sha256},
            may_come_twice=True,
            hold_seconds=wait,
        )
        return None if response.status_code == 202 else self._api.understood(Dataset, response)

    def completed(self, upload: str, *, sha256: str | None = None) -> Dataset:
        """Make the dataset, and wait until it is there."""
        while (made := self.complete(upload, sha256=sha256)) is None:
            time.sleep(0.2)  # the server has held the answer already, unless too many wait
        return made

    def delete(self, upload: str) -> None:
        """Give it up, and its parts."""
        self._api.ask("DELETE /v1/uploads/{upload_id}", upload)

    def _give_up(self, upload: str) -> None:
        """As far as that can be done: what is left expires."""
        try:
            self.delete(upload)
        except Exception:
            return


def _part(table: Table, upload: Upload, number: int, on_progress: OnProgress | None) -> Content:
    start = (number - 1) * upload.part_bytes
    length = min(upload.part_bytes, upload.bytes - start)

    def tell(done: int) -> None:
        if on_progress is not None:
            on_progress(start + done, upload.bytes)

    def chunks() -> Iterable[bytes]:
        return table.chunks(start, length, on_read=tell)

    return chunks
