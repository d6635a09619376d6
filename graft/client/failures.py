"""What httpx raises, as the client's own errors: the cause in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from graft.client import errors

_IS_IT_RUNNING = "is it running, and is GRAFT_URL right? `graft up` starts one on this machine"
_MAYBE_DONE = "what was asked for may have been done; look before you repeat it"


@contextmanager
def told(where: str) -> Iterator[None]:
    """`where`: the URL of the server that is spoken with. Raises Unreachable."""
    try:
        yield
    except httpx.TransportError as error:
        raise _translated(error, where) from error
    except httpx.DecodingError as error:
        raise errors.NotGraft(f"{where} answers what cannot be decoded", _IS_IT_RUNNING) from error
    except httpx.HTTPError as error:
        raise errors.NotGraft(f"{where} does not answer as an API does: {error}", _IS_IT_RUNNING) from error


def _translated(error: httpx.TransportError, where: str) -> errors.GraftError:
    if isinstance(error, httpx.UnsupportedProtocol):
        return errors.BadSettings(f"{where} is no URL of an API", "it begins with http:// or https://")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return errors.NoConnection(f"{where} cannot be reached: {_cause(error)}", _hint(error))
    if isinstance(error, httpx.TimeoutException):
        return errors.TimedOut(
            f"{where} did not answer in time", f"{_MAYBE_DONE}; a client can be given a longer timeout"
        )
    if isinstance(error, httpx.RemoteProtocolError) and not _was_cut(error):
        return errors.NotGraft(f"{where} does not speak HTTP", "check GRAFT_URL: is it https?")
    return errors.ConnectionBroken(f"the connection to {where} broke", _MAYBE_DONE)


def _was_cut(error: httpx.RemoteProtocolError) -> bool:
    return "disconnected" in str(error) or "closed connection" in str(error)


def _cause(error: httpx.TransportError) -> str:
    text = str(error)
    if isinstance(error, httpx.TimeoutException):
        return "no connection in time"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not trusted here"
    if "[SSL" in text:
        return "it does not speak TLS"
    if "Connection refused" in text:
        return "connection refused"
    if "Name or service not known" in text or "nodename nor servname" in text or "getaddrinfo" in text:
        return "there is no host of that name"
    return text or type(error).__name__


def _hint(error: httpx.TransportError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "SSL_CERT_FILE names a file with the certificate of an authority of your own"
    if "[SSL" in str(error):
        return "check GRAFT_URL: is it http?"
    return _IS_IT_RUNNING
