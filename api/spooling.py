"""Bodies that may be large: received into a temporary file, a piece at a time, and never whole in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flask import request
from werkzeug.exceptions import ClientDisconnected

from shared.errors import Malformed, TooLarge

_CHUNK_BYTES = 2**18


@contextmanager
def spool(directory: Path) -> Iterator[IO[bytes]]:
    """An empty file, which is removed at the end."""
    with tempfile.NamedTemporaryFile(prefix="graft-spool-", dir=directory) as file:
        yield file


def receive(file: IO[bytes], most: int, what: str) -> int:
    """The request's body into a file; returns its bytes. Raises TooLarge over `most`, Malformed if it breaks off."""
    request.max_content_length = (
        most + 1
    )  # with `most` itself, exactly so many would be refused when they end
    received = 0
    try:
        while chunk := request.stream.read(_CHUNK_BYTES):
            received += len(chunk)
            if received > most:
                raise TooLarge(f"{what} may have {most} bytes at most")
            file.write(chunk)
    except (ClientDisconnected, OSError) as error:
        raise _broken_off() from error
    # gunicorn hands on what came and says nothing of what did not.
    if request.content_length is not None and received != request.content_length:
        raise _broken_off()
    file.flush()
    return received


def _broken_off() -> Malformed:
    return Malformed("the upload broke off before its end", code="upload_incomplete")
