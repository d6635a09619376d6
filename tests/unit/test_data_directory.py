"""The data directory: one instance at a time, private files, remembered ports."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from graft.stack import Refused, addresses, directory, logs, ports


def test_a_second_holder_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with (
        directory.hold(tmp_path),
        pytest.raises(Refused, match=f"pid {os.getpid()}"),
        directory.hold(tmp_path),
    ):
        pass
    with directory.hold(tmp_path):
        pass


def test_credentials_are_made_once_private_and_never_shown(tmp_path: Path) -> None:
    made = directory.credentials(tmp_path)
    assert directory.credentials(tmp_path) == made
    assert made != directory.credentials(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert made.signing_key not in repr(made)


def test_a_damaged_credentials_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(Refused, match=r"credentials\.json"):
        directory.credentials(tmp_path)
    assert (tmp_path / "credentials.json").read_text() == "{"


def test_the_api_key_stays_the_same(tmp_path: Path) -> None:
    key = directory.api_key(tmp_path)
    assert directory.api_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600
    assert not set(key) & set(",: \n")  # GRAFT_API_KEYS gives these a meaning


def test_a_remembered_port_is_used_again_only_while_it_is_free(tmp_path: Path) -> None:
    def choose() -> int:
        return directory.choose_ports(tmp_path, "127.0.0.1", ["redis"], avoid=8000)["redis"]

    first = choose()
    assert choose() == first
    with socket.create_server(("127.0.0.1", first)):
        second = choose()
    assert second != first
    assert choose() == second


def test_chosen_ports_lie_below_the_ephemeral_range() -> None:
    assert ports.choose("127.0.0.1") in range(15_000, 30_000)


def test_an_address_of_another_machine_is_refused_not_called_taken() -> None:
    with pytest.raises(Refused, match="cannot listen"):
        ports.is_free("192.0.2.1", 8000)


def test_a_long_log_is_cut_under_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    with logs.open_log(path) as log:
        log.write(b"x" * 100)
        logs.cap(path, limit=100)
        assert path.stat().st_size == 100
        logs.cap(path, limit=99)
        log.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "api.log.1").stat().st_size == 100


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_ours_alone(host: str) -> None:
    assert addresses.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "graft.example"])
def test_anything_else_may_be_reached_by_others(host: str) -> None:
    assert not addresses.is_loopback(host)
