"""What came of one attempt at a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """`error` is a code, None for success. `excerpt` is the beginning of the receiver's answer."""

    error: str | None
    seconds: float
    status: int | None = None
    retry_after_seconds: int | None = None
    excerpt: str = ""

    @property
    def is_gone(self) -> bool:
        return self.status == HTTPStatus.GONE
