"""The rig of the fault tests: started once, mended before each test, held to the invariants after each."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.rig import Rig

_failed = pytest.StashKey[bool]()
_measured: list[tuple[str, float]] = []

#: The long suite, `make chaos`. CI runs the rest.
SOAK = os.environ.get("CHAOS_SOAK") == "1"
soak = pytest.mark.skipif(not SOAK, reason="long: make chaos")


@pytest.fixture(scope="session")
def started_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ExitStack() as stack:
        rig = Rig(tmp_path_factory.mktemp("rig"), stack)
        yield rig
        _measured.extend(rig.measured)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_failed] = call.excinfo is not None
    return report


@pytest.fixture
def rig(started_rig: Rig, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Healthy and empty; afterwards mended again, and then every job must end and every invariant hold."""
    started_rig.mend()
    started_rig.forget()
    yield started_rig
    if request.node.stash.get(_failed, True):
        started_rig.stop_workers()  # one may look healthy and not be: the next test shall not suffer from it
    started_rig.mend()
    started_rig.check()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _measured:
        terminalreporter.section("measured")
        for what, seconds in _measured:
            terminalreporter.write_line(f"{seconds:7.2f} s  {what}")
