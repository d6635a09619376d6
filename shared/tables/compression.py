"""Text that lies compressed: gzip or zstd, told by the first bytes and decompressed as a stream.

What a few bytes unpack to is bounded, in all (`Limits.max_decompressed_bytes`) and beside what was there
(`Limits.max_expansion`): a bomb costs its bound in time, and never more than a buffer in memory. Parquet compresses its
own pages and has its index at the end, so a compressed Parquet file is refused.
"""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from shared.tables.contracts import Limits

Compression: TypeAlias = Literal["gzip", "zstd"]

#: Suffixes behind a format's own: `table.csv.gz`.
SUFFIXES: Final[dict[Compression, str]] = {"gzip": ".gz", "zstd": ".zst"}

_MAGIC: Final[dict[Compression, bytes]] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_PARQUET: Final = b"PAR1"
#: So much any file may unpack to, whatever its size: repeated rows shrink a thousandfold.
_FREE_BYTES: Final = 256 * 2**20
_BUFFER_BYTES: Final = 2**20


def compression_of(path: Path) -> Compression | None:
    """By the first bytes of the file."""
    with path.open("rb") as file:
        return compression_in(file.read(4))


def compression_in(head: bytes) -> Compression | None:
    return next((name for name, magic in _MAGIC.items() if head.startswith(magic)), None)


def compression_named(name: str) -> Compression | None:
    """By the end of an object's name."""
    end = PurePosixPath(name).suffix.lower()
    return next((known for known, suffix in SUFFIXES.items() if suffix == end), None)


def open_text(path: Path, limits: Limits) -> io.BufferedReader:
    """The file's bytes, decompressed where they are compressed; not to be sought in then.

    Reading raises InvalidInput: `corrupt_compression`, `decompressed_too_large`, `compressed_parquet`.
    """
    compression = compression_of(path)
    if compression is None:
        return path.open("rb")
    return io.BufferedReader(_Decompressed(path, compression, limits), _BUFFER_BYTES)


def refuse_compressed(head: bytes) -> None:
    """Raises InvalidInput (`compressed_parquet`) for the beginning of what should be a Parquet file."""
    if compression := compression_in(head):
        raise InvalidInput(
            f"the Parquet file is inside a {compression} file; Parquet is compressed already, give it as it is",
            code="compressed_parquet",
        )


class _Decompressed(io.RawIOBase):
    def __init__(self, path: Path, compression: Compression, limits: Limits) -> None:
        self._compression = compression
        size = path.stat().st_size
        self._most = min(limits.max_decompressed_bytes, max(_FREE_BYTES, limits.max_expansion * size))
        self._seen = 0
        self._source = pa.OSFile(str(path))
        self._stream = pa.CompressedInputStream(self._source, compression)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self._stream.readinto(buffer)
        except (OSError, pa.ArrowException) as error:
            raise InvalidInput(
                f"the {self._compression} stream is damaged or cut short ({str(error)[:80]!a})",
                code="corrupt_compression",
            ) from error
        if self._seen == 0 and bytes(memoryview(buffer)[: min(count, 4)]) == _PARQUET:
            refuse_compressed(_MAGIC[self._compression])
        self._seen += count
        if self._seen > self._most:
            raise InvalidInput(
                f"the {self._compression} stream unpacks to more than {self._most:,} bytes",
                code="decompressed_too_large",
            )
        return count

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._source.close()
        super().close()
