"""Every shift by its name, and the two grids that they make."""

from __future__ import annotations

import zlib

from benchmarks.transfer.other_shifts import OTHER_SHIFTS
from benchmarks.transfer.shifts import SHIFTS, Random, Shift

GRIDS = {"public": tuple(SHIFTS), "other": tuple(OTHER_SHIFTS)}
SIZES = (5, 10, 20, 50, 100, 200, 500)


def make(name: str, seed: int) -> Shift:
    """The shift's rows, the same for the same name and seed."""
    return {**SHIFTS, **OTHER_SHIFTS}[name](Random((zlib.crc32(name.encode()) + 7919 * seed) % 2**31))
