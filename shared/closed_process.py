"""Importing this closes the process to others: for a forkserver, which runs no code of ours but what it preloads.

Its children are forked from it, so they are closed, too: to one another, above all.
"""

from __future__ import annotations

from shared.processes import close_to_others

close_to_others()
