"""RFC 6901 JSON pointers: how an error names the field that it is about."""

from __future__ import annotations


def pointer(*parts: str | int) -> str:
    """`pointer("label_map", "a/b")` is `/label_map/a~1b`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def shortened(place: str, most: int = 300) -> str:
    """A pointer for an answer. Its names may be of the sender's making, and as long as a body may be."""
    return place if len(place) <= most else f"{place[:most]}…"
