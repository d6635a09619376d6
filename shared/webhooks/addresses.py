"""What URLs may be called, and which addresses behind them: never one inside our own network.

A URL is taken apart here once, by one expression, and the connection is made from those parts: no second parser can
read it differently. Names are checked again as addresses when they are called; here only what their text says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MOST_CHARACTERS = 2_048

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[A-Za-z0-9._~:/@!$&'()*+,;=%-]*)?(?:\?[A-Za-z0-9._~:/@!$&'()*+,;=%?-]*)?)"
)
_PORTS = {"https": 443, "http": 80}
_FIRST_OPEN_PORT = 1024

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
#: What `ipaddress` of Python 3.11 calls global and is not for us: a relay, a protocol's own, documentation, and the
#: address under which Azure answers its virtual machines.
_NOT_OURS_4 = tuple(map(IPv4Network, ("192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32")))
_NOT_OURS_6 = tuple(map(IPv6Network, ("2001::/23", "2002::/16", "3fff::/20")))


class Refused(ValueError):
    """The URL or address may not be called. The message says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL that may be called."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The operator's word. Both are for networks of one's own, and for tests."""

    allow_private: bool = False
    allow_http: bool = False

    def target(self, url: str) -> Target:
        """The parts of a URL. Raises Refused for what could never be called."""
        if len(url) > MOST_CHARACTERS:
            raise Refused(f"should have at most {MOST_CHARACTERS} characters")
        parts = _URL.fullmatch(url)
        if parts is None:
            raise Refused(
                "should be an absolute https URL without credentials and fragment, in printable ASCII "
                "(an international name as xn--…)"
            )
        scheme = parts["scheme"]
        if scheme == "http" and not self.allow_http:
            raise Refused("should be https")
        port = int(parts["port"] or _PORTS[scheme])
        if port > 65_535 or (port < _FIRST_OPEN_PORT and port not in _PORTS.values()):
            raise Refused(f"should use port 443, 80, or one from {_FIRST_OPEN_PORT} to 65535")
        path = parts["target"]
        return Target(
            scheme, self._host(parts["six"], parts["name"]), port, path if path[:1] == "/" else f"/{path}"
        )

    def check(self, address: str) -> None:
        """Raises Refused unless this may be connected to."""
        found = _parsed(address)
        if found is None:
            raise Refused("is no address")
        if not (_is_public(found) or (self.allow_private and _is_private(found))):
            raise Refused("is not a public address")

    def _host(self, six: str | None, name: str | None) -> str:
        if six or _ends_in_a_number(name or ""):
            host = six or name or ""
            if _parsed(host) is None:
                raise Refused("should name its host, or give its address in the usual form")
            self.check(host)
            return host
        host = (name or "").removesuffix(".").lower()
        if not all(0 < len(label) < 64 for label in host.split(".")):
            raise Refused("should have a host's name")
        inside = "." not in host or host.endswith((".localhost", ".local", ".internal"))
        if inside and not self.allow_private:
            raise Refused("should name a public host")
        return host


def is_public(address: str) -> bool:
    found = _parsed(address)
    return found is not None and _is_public(found)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _ends_in_a_number(name: str) -> bool:
    """What a resolver may take for an address: 127.1, 2130706433, 0x7f.1, 0177.0.0.1 (WHATWG URL, 3.5)."""
    last = name.removesuffix(".").rpartition(".")[2]
    return bool(re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if embedded := _embedded(address):
            return _is_public(embedded)
        return (
            address in _GLOBAL_UNICAST
            and address.is_global
            and not any(address in net for net in _NOT_OURS_6)
        )
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in net for net in _NOT_OURS_4)
    )


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    """Of a network of one's own. Never a link's own addresses: clouds answer there with credentials."""
    if isinstance(address, IPv6Address) and (embedded := _embedded(address)):
        return _is_private(embedded)
    return (
        address.is_private
        and not (
            address.is_link_local or address.is_unspecified or address.is_multicast or address.is_reserved
        )
    ) or address.is_loopback


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that one of IPv6 stands for: mapped (RFC 4291) or translated (RFC 6052)."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
