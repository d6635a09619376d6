"""The two ways the stack says no; both carry the exit code of `graft up`.

GraftError
├── Refused        2  nothing was started: the caller has to change something
└── ServerFailed   1  a server ended, or never answered, before it was ready
"""

from __future__ import annotations

from typing import ClassVar

from shared.errors import GraftError


class Refused(GraftError):
    """The stack cannot be started as asked, and nothing of it was."""

    default_code = "refused"
    exit_code: ClassVar[int] = 2


class ServerFailed(GraftError):
    """A server did not become ready; the message ends with the last lines of its log."""

    default_code = "server_failed"
    exit_code: ClassVar[int] = 1
