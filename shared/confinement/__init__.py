"""Reads tables that nobody has looked at yet, in child processes that can harm nothing but themselves.

A few bytes can ask a decoder for gigabytes, and a decoder written in C++ can crash. So what comes from outside is
profiled and previewed in a child with limits of memory and processor time, which the kernel enforces, and without
credentials, provided that `shared.config.forget_secrets` came before `Readers.start`. Whatever a file does to the
child becomes an InvalidInput in the parent.

    Readers (pool.py)     who waits for a reader, and which child reads for whom
    Reader  (reader.py)   one child, as its parent sees it: asks, waits, explains its death
    main    (child.py)    what runs in it

A child reads many files, as a fork takes ten times longer than reading a small one; but only files of one project, and
none after one that cost it too much.

Codes besides those of `shared.tables`, of which `too_costly` is one:

    unreadable_table   the reader crashed on the file
    readers_busy       (503) all readers are taken
    reader_lost        (503) the reader ended for a reason outside the file
"""

from shared.confinement.pool import Readers

__all__ = ["Readers"]
