"""What URLs and addresses a webhook may call: no way of writing one's way into our own network."""

from __future__ import annotations

import pytest

from shared.webhooks.addresses import AddressPolicy, Refused, is_public

OUTSIDE = AddressPolicy()
INSIDE = AddressPolicy(allow_private=True, allow_http=True)

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "203.0.113.9",
    "::1",
    "fd00::1",
    "fc00::1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::8.8.8.8",
    "5f00::1",
    "100::1",
]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "169.254.0.1",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "ff0e::1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_an_address_inside_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Refused):
        OUTSIDE.check(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_outside_is_called(address: str) -> None:
    OUTSIDE.check(address)
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_the_operator_may_allow_a_network_of_ones_own(address: str) -> None:
    INSIDE.check(address)


@pytest.mark.parametrize("address", NEVER)
def test_nobody_may_allow_what_clouds_answer_with_credentials(address: str) -> None:
    with pytest.raises(Refused):
        INSIDE.check(address)


@pytest.mark.parametrize("host", [*PRIVATE, *NEVER])
def test_a_url_with_an_address_inside_is_refused(host: str) -> None:
    with pytest.raises(Refused):
        OUTSIDE.target(f"https://[{host}]/" if ":" in host else f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://example.com/",
        "HTTPS://example.com/",
        "https:/example.com",
        "https:///example.com",
        "https://",
        "https:// example.com/",
        "https://example.com /",
        "https://example.com/\n",
        "https://example.com/\r\nHost: inside",
        "https://example.com/\t",
        "https://example.com\\@inside/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://:@example.com/",
        "https://example.com#@inside/",
        "https://example.com/#fragment",
        "https://example.com:0/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:65536/",
        "https://example.com:99999/",
        "https://example.com:-1/",
        "https://example.com:4 43/",
        "https://exämple.com/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://example\u3002com/",
        "https://a..b/",
        "https://.example.com/",
        "https://-/",
        f"https://{'a' * 64}.com/",
        f"https://example.com/{'a' * 2_048}",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://8.8.8.08/",
        "https://1.2.3.4.5/",
        "https://example.1/",
        "https://[::1]/",
        "https://[::1/",
        "https://::1/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://localhost./",
        "https://api.localhost/",
        "https://redis/",
        "https://metadata.google.internal/",
        "https://printer.local/",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_or_leads_inside_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        OUTSIDE.target(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com", ("https", "example.com", 443, "/")),
        ("https://example.com?a=b", ("https", "example.com", 443, "/?a=b")),
        ("https://Example.COM./a/b?c=d&e=%20", ("https", "example.com", 443, "/a/b?c=d&e=%20")),
        ("https://example.com:8443/", ("https", "example.com", 8443, "/")),
        ("https://example.com:80/", ("https", "example.com", 80, "/")),
        ("https://xn--exmple-cua.com/", ("https", "xn--exmple-cua.com", 443, "/")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]:1024/x", ("https", "2606:4700::1111", 1024, "/x")),
        ("https://example.com/@x", ("https", "example.com", 443, "/@x")),
    ],
)
def test_a_url_is_taken_apart_once(url: str, parts: tuple[str, str, int, str]) -> None:
    target = OUTSIDE.target(url)
    assert (target.scheme, target.host, target.port, target.path) == parts


def test_the_longest_url_is_taken() -> None:
    url = "https://example.com/".ljust(2_048, "a")
    assert OUTSIDE.target(url).host == "example.com"


def test_http_and_names_inside_are_the_operators_to_allow() -> None:
    target = INSIDE.target("http://localhost:8080/hook")
    assert (target.scheme, target.host, target.port, target.path) == ("http", "localhost", 8080, "/hook")


def test_a_refusal_repeats_nothing_of_the_url() -> None:
    for url in ("https://user:hunter2@example.com/", "https://10.20.30.40/", "http://hunter2.example.com/"):
        with pytest.raises(Refused) as refused:
            OUTSIDE.target(url)
        assert not {"hunter2", "10.20.30.40"} & set(str(refused.value).split())
