"""In the child: take a task, read, answer; again and again.

A task is `{what, path, format, seconds, …}`, an answer `[kind, content, worn]`, both JSON. `worn` asks to be replaced.
"""

from __future__ import annotations

import contextlib
import json
import resource
import traceback
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shared import tables
from shared.contracts.tables import Column, Format
from shared.errors import InvalidInput
from shared.processes import die_with_parent, limit_writable_memory, measured_bytes

#: What a reader may answer: the names of 10,000 columns, or some rows of them.
ANSWER_BYTES: Final = 32 * 2**20
#: What a reader has in memory before it opens a file, at most.
LIBRARIES_BYTES: Final = 256 * 2**20
#: A reader that still holds so much more than at first is replaced.
_WORN_BYTES: Final = 64 * 2**20


def main(connection: Connection, memory_bytes: int) -> None:
    """Serve until the other end is closed."""
    die_with_parent()
    pa.set_memory_pool(pa.system_memory_pool())  # the others reserve address space ahead
    at_first = measured_bytes("VmRSS")
    _limit_memory(memory_bytes)
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = json.loads(connection.recv_bytes())
            _limit_time(task.pop("seconds"))
            kind, content = _answer(task)
            worn = kind == "spent" or measured_bytes("VmRSS") > at_first + _WORN_BYTES
            sent = json.dumps([kind, content, worn]).encode()
            if len(sent) > ANSWER_BYTES:
                sent = json.dumps(["large", None, True]).encode()
            connection.send_bytes(sent)


def _answer(task: dict[str, Any]) -> tuple[str, Any]:
    try:
        return "done", _read(**task)
    except InvalidInput as error:
        return "refused", {"code": error.code, "message": error.message}
    except MemoryError:
        return "spent", None
    except Exception:
        return "crashed", traceback.format_exc()


def _read(what: str, path: str, format: Format, **more: Any) -> Any:
    if what == "preview":
        columns = [Column.model_validate(column) for column in more["columns"]]
        if more["is_cut"] and not tables.keep_whole_rows(Path(path), format):
            return []
        piece = tables.Piece.unpack(more["piece"]) if more["piece"] else None
        return tables.preview(Path(path), format, columns, more["rows"], piece)
    if what == "first_piece":
        pieces = tables.split(Path(path), format, first=more["rows"], rows=more["rows"])
        if (piece := next(pieces, None)) is None:
            raise InvalidInput("the file has columns but no rows", code="no_rows")
        return asdict(piece)
    found = tables.profile(Path(path), format)
    return {"rows": found.rows, "columns": [column.model_dump() for column in found.columns]}


def _limit_memory(memory_bytes: int) -> None:
    """Memory that can be written to, on top of what the libraries have mapped. Nor is any of it dumped."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_writable_memory(memory_bytes)


def _limit_time(seconds: int) -> None:
    """Processor time from now on; SIGXCPU ends the process then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
