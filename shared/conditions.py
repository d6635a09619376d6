"""What a request expects of the thing that it is about: RFC 9110, section 13.1, as far as revisions go.

A revision changes with every change of a thing and is never used again; in quotes it is the thing's ETag. Whoever
changes something hands `Condition.args` to the script that does it, and the script asks `meets` (`_prelude.lua`) with
the revision that it finds: between the look and the change there is no time in which another could come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Condition:
    """Both fields are empty (nothing is expected), `*` (that the thing exists), or revisions, each in double quotes.

    if_match: the thing must have one of them. if_none_match: it must have none of them.
    """

    if_match: str = ""
    if_none_match: str = ""

    def args(self) -> tuple[str, str]:
        """For a script."""
        return self.if_match, self.if_none_match

    def matches(self, revision: str | None) -> bool:
        """Whether If-Match allows a thing of that revision; None: there is no such thing."""
        return not self.if_match or _names(self.if_match, revision)

    def excludes(self, revision: str | None) -> bool:
        """Whether If-None-Match names that revision."""
        return bool(self.if_none_match) and _names(self.if_none_match, revision)


UNCONDITIONAL: Final = Condition()


def _names(revisions: str, revision: str | None) -> bool:
    return revision is not None and (revisions == ANY or f'"{revision}"' in revisions)
