"""Lists come a page at a time; whoever goes through one sees no pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from graft.client.transport import Transport
from shared.contracts.base import Page

Item = TypeVar("Item")

MOST = 500
"""What a page may have."""


def entries(
    api: Transport,
    kind: type[Page[Item]],
    operation: str,
    *values: object,
    query: Mapping[str, Any] | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Iterator[Item]:
    """Every entry, or the first `limit` of them, in the order of the API; pages are asked for as they are needed."""
    left = limit
    while left is None or left > 0:
        asked = {**(query or {}), "limit": min(MOST, left or MOST), "after": after}
        page = api.read(kind, operation, *values, query=asked)
        yield from page.data
        left = None if left is None else left - len(page.data)
        after = page.next
        if not page.has_more or after is None:
            return
