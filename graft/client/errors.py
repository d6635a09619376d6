"""Everything that can go wrong between a program and Graft.

    GraftError
    ├── BadSettings             no key, or a URL or key that makes no sense; nothing was sent
    ├── BadSource               what should be uploaded or scored cannot be read, or is no table
    ├── Unreachable             there is no answer that could be relied on; the same call may work later
    │   ├── NoConnection        nobody answers at that address: refused, unknown host, bad certificate
    │   ├── ConnectionBroken    it was cut while the request or its answer was on the way
    │   ├── TimedOut            no answer within `timeout`
    │   ├── Unavailable         502, 503, 504: it answers, but cannot work now
    │   └── NotGraft            something answers there, but it is not Graft's API
    ├── Refused                 the API said no; `code` says why, and is stable (RFC 9457)
    │   ├── InvalidInput        400, 415, 422: `errors` names each bad field
    │   ├── Unauthenticated     401
    │   ├── Forbidden           403
    │   ├── NotFound            404: unknown, or another project's
    │   ├── Conflict            409: the state of the thing does not allow it
    │   ├── PreconditionFailed  412: it has changed since it was looked at
    │   ├── TooLarge            413
    │   ├── TooMany             429
    │   └── ServerFailed        500: a defect of Graft's
    ├── JobUnsuccessful         the job that was waited for has ended otherwise; `job` is it
    │   ├── JobFailed           `code` and `retryable` are those of its error
    │   └── JobCancelled
    ├── WaitedTooLong           a job had not ended when the time was up; it goes on (also a TimeoutError)
    └── BadSignature            an artifact is not what was signed; it was not opened

Every message says what is wrong, and what to do about it (`hint`). None holds a key, or what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from shared.contracts.problems import ProblemReferrer

if TYPE_CHECKING:
    from graft.client.job import Job

__all__ = [
    "BadSettings",
    "BadSignature",
    "BadSource",
    "Conflict",
    "ConnectionBroken",
    "Forbidden",
    "GraftError",
    "InvalidInput",
    "JobCancelled",
    "JobFailed",
    "JobUnsuccessful",
    "NoConnection",
    "NotFound",
    "NotGraft",
    "PreconditionFailed",
    "Refused",
    "ServerFailed",
    "TimedOut",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "WaitedTooLong",
]


class GraftError(Exception):
    """`message` says what is wrong, `hint` what to do next (empty if there is nothing to say)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class BadSettings(GraftError):
    """Nothing was sent."""


class BadSource(GraftError):
    """Nothing, or not all, was sent; nothing has been made of it."""


class Unreachable(GraftError):
    """No answer that could be relied on. What was asked for may have been done or not, unless it says so."""


class NoConnection(Unreachable):
    """Nobody answers: nothing was done."""


class ConnectionBroken(Unreachable):
    pass


class TimedOut(Unreachable):
    pass


class Unavailable(Unreachable):
    """`retry_after`: in how many seconds it would be asked again, if it said so."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 503,
        code: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class NotGraft(Unreachable):
    pass


class Refused(GraftError):
    """The API's problem. `errors`: JSON pointer of each bad field → what is wrong with it.

    `referrers` is what stands in the way of a deletion. `request_id` finds the request in the server's log.
    """

    def __init__(
        self,
        detail: str,
        hint: str = "",
        *,
        status: int,
        code: str = "",
        errors: Mapping[str, str] | None = None,
        referrers: Sequence[ProblemReferrer] = (),
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, hint)
        self.detail = detail
        self.status = status
        self.code = code
        self.errors = dict(errors or {})
        self.referrers = tuple(referrers)
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        fields = "".join(
            f"\n  {pointer}" + ("" if detail == self.message else f": {detail}")
            for pointer, detail in self.errors.items()
        )
        source = ", ".join(
            [f"{self.status} {self.code}", *([f"request {self.request_id}"] if self.request_id else [])]
        )
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{self.message} ({source}){fields}{hint}"


class InvalidInput(Refused):
    pass


class Unauthenticated(Refused):
    pass


class Forbidden(Refused):
    pass


class NotFound(Refused):
    pass


class Conflict(Refused):
    pass


class PreconditionFailed(Refused):
    """`etag` is the one that the thing has now, None if it does not exist."""

    etag: str | None = None


class TooLarge(Refused):
    pass


class TooMany(Refused):
    pass


class ServerFailed(Refused):
    pass


class JobUnsuccessful(GraftError):
    """`job` is the one that has ended."""

    def __init__(self, message: str, hint: str = "", *, job: Job) -> None:
        super().__init__(message, hint)
        self.job = job


class JobFailed(JobUnsuccessful):
    """`code` and `retryable` are those of the job's error (docs/api.md lists the codes)."""

    def __init__(self, message: str, hint: str = "", *, job: Job, code: str, retryable: bool) -> None:
        super().__init__(message, hint, job=job)
        self.code = code
        self.retryable = retryable


class JobCancelled(JobUnsuccessful):
    pass


class WaitedTooLong(GraftError, TimeoutError):
    """The job goes on; `job` is it as it was seen last."""

    def __init__(self, message: str, hint: str = "", *, job: Job) -> None:
        super().__init__(message, hint)
        self.job = job


class BadSignature(GraftError):
    """Nothing of the artifact has been unpickled."""
