"""Completes uploads: joins the parts, reads the table in a confined child, and stores it as a dataset.

It runs in a thread of its own, as it may take longer than a request should: the request waits for a while, and later
ones can ask again. The thread holds the upload by a lease that it renews; if its process dies the lease runs out, and
whoever asks next begins anew. What is read is what is stored: parts that are swapped meanwhile change nothing.

    parts ── read in order, each exactly its size ──▶ one file on disk ── profiled, hashed ──▶ the dataset's object
        ──▶ one script: the dataset exists, the upload is closed
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from api.spooling import spool
from shared import datasets, keys, logs, storage
from shared.confinement import Readers
from shared.contracts.datasets import Dataset, DatasetFile
from shared.contracts.uploads import Upload, size_of_part
from shared.datasets import Completion
from shared.errors import (
    Conflict,
    FieldError,
    GraftError,
    InternalError,
    InvalidInput,
    NotFound,
    Temporary,
    TooLarge,
)
from shared.services import Services
from shared.tables import compression_of
from shared.tables.compression import SUFFIXES

log = logs.get(__name__)

_TOLD = 100
"""Parts that a refusal names."""


class Completing:
    """The completions of one process, at most `places` at a time. Safe to share between threads."""

    def __init__(self, services: Services, readers: Readers, *, places: int) -> None:
        self._services = services
        self._readers = readers
        self._places = threading.BoundedSemaphore(places)

    def begin(self, upload: Upload, sha256: str | None, request_id: str) -> Future[Dataset] | None:
        """Complete the upload in a thread of its own; None if another does so, or has done so.

        Raises Conflict if parts are missing or it has expired, and Temporary if no place is free.
        """
        if not self._places.acquire(blocking=False):
            raise Temporary("too many uploads are being completed", code="readers_busy", retry_after=5)
        try:
            expect_parts(self._services, upload)
            held = self._services.uploads.begin(upload.project, upload.id)
            if held is None:
                self._places.release()
                return None
            done: Future[Dataset] = Future()
            thread = threading.Thread(
                target=logs.carried(lambda: self._run(done, upload, held, sha256, request_id)),
                name="completing",
                daemon=True,
            )
            thread.start()
        except BaseException:
            self._places.release()
            raise
        return done

    def _run(
        self, done: Future[Dataset], upload: Upload, held: Completion, sha256: str | None, request_id: str
    ) -> None:
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(held, ended), name="completing-lease", daemon=True)
        keeper.start()
        with logs.bind(request_id=request_id, upload=upload.id):
            try:
                done.set_result(self._complete(upload, held, sha256))
            except GraftError as error:
                self._give_back(held, error if isinstance(error, InvalidInput) else None)
                done.set_exception(error)
            except Exception:
                log.exception("completion_crashed")
                self._give_back(held, None)
                done.set_exception(
                    InternalError("an error of Graft's own; its log has it under this request id")
                )
            finally:
                ended.set()
                keeper.join()
                self._places.release()

    def _complete(self, upload: Upload, held: Completion, sha256: str | None) -> Dataset:
        services, project = self._services, upload.project
        with spool(services.settings.temp_dir) as file:
            stored = _join(services, upload, file)
            if sha256 is not None and sha256 != stored.sha256:
                raise InvalidInput.at(
                    "/sha256", "the parts together have another SHA-256", code="digest_mismatch"
                )
            path = Path(file.name)
            compression = compression_of(path)
            if upload.compression is not None and upload.compression != compression:
                raise InvalidInput(f"the file is not {upload.compression}", code="corrupt_compression")
            found = self._readers.profile(project, path, upload.format)
            dataset_id = datasets.new_id()
            suffix = SUFFIXES[compression] if compression else ""
            key = keys.dataset_object(project, dataset_id, upload.format + suffix)
            services.objects.put(key, path, stored=stored)
        whole = DatasetFile(
            bucket=services.objects.bucket,
            key=key,
            rows=found.rows,
            bytes=stored.bytes,
            sha256=stored.sha256,
        )
        try:
            dataset = services.datasets.create(
                project,
                dataset_id,
                name=upload.name,
                format=upload.format,
                columns=found.columns,
                files=[whole],
                completion=held,
            )
        except (Conflict, TooLarge):
            services.objects.delete(key)
            raise
        _tidy(services, upload)
        log.info("upload_completed", dataset=dataset_id, bytes=stored.bytes)
        return dataset

    def _keep(self, held: Completion, ended: threading.Event) -> None:
        while not ended.wait(self._services.settings.lease_seconds / 6):
            try:
                if not self._services.uploads.renew(held):
                    return  # the script that makes the dataset will say so, too
            except Temporary as error:
                log.warning("renewal_postponed", reason=error.message)

    def _give_back(self, held: Completion, error: InvalidInput | None) -> None:
        try:
            self._services.uploads.end(held, error)
        except Temporary as away:
            log.warning("upload_left_to_its_lease", reason=away.message)


def received(services: Services, upload: Upload) -> dict[int, int]:
    """The parts that lie in the store: number → bytes, of whatever size."""
    prefix = keys.upload_prefix(upload.project, upload.id)
    found = {}
    for item in services.objects.list(prefix):
        if part := keys.split_upload_part(item.key):
            found[part[2]] = item.bytes
    return found


def missing(upload: Upload, there: dict[int, int]) -> list[int]:
    """Numbers of the parts that are not there with their size."""
    return [n for n in range(1, upload.parts + 1) if there.get(n) != size_of_part(upload, n)]


def expect_parts(services: Services, upload: Upload) -> None:
    """Raises Conflict that lists the first parts which are not there."""
    there = received(services, upload)
    absent = missing(upload, there)
    if absent:
        raise _incomplete(
            [
                (
                    n,
                    f"should have {size_of_part(upload, n)} bytes, has {there[n]}"
                    if n in there
                    else "is missing",
                )
                for n in absent[:_TOLD]
            ],
            f"{len(absent)} of {upload.parts} parts are missing",
        )


def discard_parts(services: Services, project: str, upload_id: str) -> None:
    """Delete the parts of an upload. Raises Temporary."""
    for item in list(services.objects.list(keys.upload_prefix(project, upload_id))):
        services.objects.delete(item.key)


def _tidy(services: Services, upload: Upload) -> None:
    try:
        discard_parts(services, upload.project, upload.id)
    except Temporary as error:
        log.warning("parts_left_to_the_sweeper", reason=error.message)


def _join(services: Services, upload: Upload, file: IO[bytes]) -> storage.Stored:
    """The parts in their order into one file. Raises Conflict if one is not there any more with its size."""
    hashed = hashlib.sha256()
    for number in range(1, upload.parts + 1):
        left = size_of_part(upload, number)
        try:
            for chunk in services.objects.chunks(keys.upload_part(upload.project, upload.id, number)):
                left -= len(chunk)
                if left < 0:
                    break
                hashed.update(chunk)
                file.write(chunk)
        except NotFound:
            left = -1
        if left != 0:
            raise _incomplete([(number, "has changed while it was read")], "a part has changed")
    file.flush()
    return storage.Stored(upload.bytes, hashed.hexdigest())


def _incomplete(parts: list[tuple[int, str]], message: str) -> Conflict:
    errors = [FieldError(f"/parts/{number}", detail) for number, detail in parts]
    return Conflict(message, code="parts_missing", errors=errors)
