"""The error tree: what callers tell apart, each with a stable code.

    GraftError
    ├── InvalidInput        422  what was asked for cannot be done as asked
    │   └── Malformed       400  the request could not be read at all
    ├── Unauthenticated     401  no key, or an unknown one
    ├── Forbidden           403  the key lacks the scope
    ├── NotFound            404  unknown, or another project's
    ├── RequestTimeout      408  the client sent the request too slowly
    ├── Conflict            409  the state of the thing does not allow it
    │   └── InUse           409  something refers to what was to be deleted; it says what
    ├── PreconditionFailed  412  the thing is not at the revision that the request is meant for
    ├── TooLarge            413  over a limit that the operator set
    ├── UnsupportedMedia    415  a content type nobody reads
    ├── TooMany             429  over a quota; try again later
    ├── Temporary           503  a server behind us is away; try again
    ├── LostLease           (internal to workers) another attempt owns the job
    └── InternalError       500  a defect of ours

The same errors fail a job: `code` and `message` become `job.error`, and
`retryable` decides whether another attempt can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: where (an RFC 6901 JSON pointer) and what is wrong with it."""

    pointer: str
    detail: str


class GraftError(Exception):
    """Root of every error that Graft raises on purpose."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.errors = tuple(errors)


class InvalidInput(GraftError):
    status = 422
    default_code = "invalid_input"

    @classmethod
    def at(cls, pointer: str, detail: str, *, code: str | None = None) -> InvalidInput:
        """The common case: exactly one field is wrong."""
        return cls(detail, code=code, errors=[FieldError(pointer, detail)])


class Malformed(InvalidInput):
    status = 400
    default_code = "malformed"


class Unauthenticated(GraftError):
    status = 401
    default_code = "unauthenticated"


class Forbidden(GraftError):
    status = 403
    default_code = "forbidden"


class NotFound(GraftError):
    status = 404
    default_code = "not_found"


class RequestTimeout(GraftError):
    status = 408
    default_code = "request_timeout"


class Conflict(GraftError):
    status = 409
    default_code = "conflict"


@dataclass(frozen=True, slots=True)
class Referrer:
    """What stands in the way of a deletion: its kind, and its name or id."""

    kind: Literal["alias", "job", "schedule"]
    id: str


class InUse(Conflict):
    default_code = "in_use"

    def __init__(self, thing: str, referrers: Sequence[Referrer], *, code: str) -> None:
        named = ", ".join(f"{item.kind} {item.id}" for item in referrers[:3])
        rest = f" and {len(referrers) - 3} more" if len(referrers) > 3 else ""
        super().__init__(f"{thing} is not deleted while others refer to it: {named}{rest}", code=code)
        self.referrers = tuple(referrers)


def in_use(
    thing: str,
    *,
    code: str,
    aliases: Sequence[str] = (),
    jobs: Sequence[str] = (),
    schedules: Sequence[str] = (),
) -> InUse:
    """Of what a script has found, at most a hundred of each kind."""
    found = [
        *(Referrer("alias", name) for name in sorted(aliases)),
        *(Referrer("job", job_id) for job_id in sorted(jobs)),
        *(Referrer("schedule", schedule_id) for schedule_id in sorted(schedules)),
    ]
    return InUse(thing, found, code=code)


class PreconditionFailed(GraftError):
    status = 412
    default_code = "precondition_failed"

    def __init__(self, revision: str | None) -> None:
        """`revision` is the one that the thing has; None: there is no such thing."""
        found = f'its ETag is "{revision}"' if revision is not None else "it does not exist"
        super().__init__(f"nothing was done: If-Match or If-None-Match does not hold, {found}")
        self.revision = revision


class TooLarge(GraftError):
    status = 413
    default_code = "too_large"


class UnsupportedMedia(GraftError):
    status = 415
    default_code = "unsupported_media_type"


class TooMany(GraftError):
    status = 429
    default_code = "too_many"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 5) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Temporary(GraftError):
    status = 503
    default_code = "temporarily_unavailable"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 2) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class LostLease(GraftError):
    """The token no longer owns the job: whatever this attempt would write must not be written."""

    default_code = "lost_lease"


class InternalError(GraftError):
    pass
