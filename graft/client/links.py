"""Presigned links: files come from the object store itself, which is never given the key of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from graft.client import errors, failures
from graft.client.retrying import Retrying, retry_after


def fetch(
    http: httpx.Client,
    url: str,
    write: Callable[[bytes], Any],
    *,
    begin_again: Callable[[], Any],
    retries: int,
) -> None:
    """What a link leads to, piece by piece; from its beginning after the connection broke. Raises Unreachable."""
    retrying = Retrying(retries, may_come_twice=True)
    store = _origin(url)
    while True:
        try:
            with failures.told(store), http.stream("GET", url) as response:
                if not response.is_success:
                    raise _refused_link(response, store)
                for chunk in response.iter_bytes():
                    write(chunk)
                return
        except errors.GraftError as error:
            retrying.pause_or_raise(error)
            begin_again()


def _refused_link(response: httpx.Response, host: str) -> errors.GraftError:
    if response.status_code in {429, 500, 502, 503, 504}:
        return errors.Unavailable(
            f"the object store {host} cannot answer now ({response.status_code})",
            "try again in a moment",
            status=response.status_code,
            retry_after=retry_after(response),
        )
    return errors.NotGraft(
        f"the object store {host} does not give the file ({response.status_code})",
        "links are good for an hour; and the operator says by which address clients reach the store "
        "(GRAFT_S3_PUBLIC_ENDPOINT_URL)",
    )


def _origin(url: str) -> str:
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"
