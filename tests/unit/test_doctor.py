"""What `graft doctor` says of this machine and of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from graft.doctor import here, there
from graft.doctor.findings import Finding

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


def test_libraries_are_those_that_are_needed() -> None:
    found = here.libraries()
    assert (found.outcome, found.found.partition(",")[0]) == ("ok", "graft 0.1.0")


def test_a_setting_that_does_not_exist_is_told_with_the_one_that_was_meant() -> None:
    (found, well) = here.settings({"GRAFT_LEASE_SECOND": "5", "PATH": "/bin"})
    assert found == Finding(
        "settings",
        "warning",
        "GRAFT_LEASE_SECOND is no setting of Graft's",
        "did you mean GRAFT_LEASE_SECONDS?",
    )
    assert well.outcome == "ok"


def test_a_setting_with_a_value_that_it_cannot_have_is_told_without_the_value() -> None:
    (found,) = here.settings({"GRAFT_TICK_SECONDS": "quickly", "GRAFT_SIGNING_KEY": "x" * 32})
    assert found.outcome == "failed"
    assert found.found.startswith("GRAFT_TICK_SECONDS: ")
    assert "quickly" not in found.found + found.advice


def test_a_disk_is_looked_at_where_the_directory_will_be(tmp_path: Path) -> None:
    assert str(tmp_path) in here.disk("disk", tmp_path / "not" / "yet").found


def test_secrets_that_others_can_read_are_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    key = home / "api-key"
    key.write_text("secret")
    key.chmod(0o644)
    (found,) = here.permissions(home)
    assert (found.outcome, found.advice) == ("failed", f"chmod go= {key}")
    key.chmod(0o600)
    (found,) = here.permissions(home)
    assert found.outcome == "ok"


@pytest.mark.parametrize(("seconds", "outcome"), [(0, "ok"), (-3, "ok"), (60, "warning"), (-3600, "failed")])
def test_clocks_are_compared(seconds: int, outcome: str) -> None:
    headers = {"Date": format_datetime(NOW, usegmt=True)}
    assert there.clock(headers, NOW + timedelta(seconds=seconds)).outcome == outcome


def test_an_answer_without_a_date_is_odd() -> None:
    assert there.clock({}, NOW).outcome == "warning"
