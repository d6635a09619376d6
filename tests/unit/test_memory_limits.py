"""What a job's child may have: its share of the machine or container, kept by the kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from worker.memory import available_bytes, limit_of_a_child

MACHINE = psutil.virtual_memory().total
GIB = 2**30


def test_a_child_has_its_share_unless_the_operator_says_otherwise() -> None:
    share = limit_of_a_child(None, 4)
    assert share is not None
    assert 0 < share <= 0.8 * MACHINE / 4
    assert limit_of_a_child(None, 1) == pytest.approx(4 * share, rel=0.01)
    assert limit_of_a_child(12345, 4) == 12345
    assert limit_of_a_child(0, 4) is None


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("place", "file", "text", "expected"),
    [
        ("0::/", "sys/fs/cgroup/memory.max", "1073741824\n", GIB),
        (
            "0::/system.slice/graft.service",
            "sys/fs/cgroup/system.slice/graft.service/memory.max",
            "1073741824",
            GIB,
        ),
        ("0::/system.slice/graft.service", "sys/fs/cgroup/system.slice/memory.max", "1073741824", GIB),
        ("0::/", "sys/fs/cgroup/memory.max", "max\n", MACHINE),
        ("4:memory:/docker/ab", "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824", GIB),
        ("4:memory:/docker/ab", "sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "1073741824", GIB),
        ("4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712", MACHINE),
    ],
)
def test_a_container_has_what_its_cgroups_allow(
    tmp_path: Path, place: str, file: str, text: str, expected: int
) -> None:
    write(tmp_path, "proc/self/cgroup", f"{place}\n")
    write(tmp_path, file, text)
    assert available_bytes(tmp_path) == expected


def test_a_machine_without_cgroups_has_its_memory(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == MACHINE


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel keeps to it on Linux alone")
@pytest.mark.parametrize(("mebibytes", "fits"), [(32, True), (256, False)])
def test_the_kernel_refuses_what_is_over_the_limit_before_it_is_touched(mebibytes: int, fits: bool) -> None:
    program = (
        "import numpy as np\n"
        "from shared.processes import limit_writable_memory\n"
        "limit_writable_memory(128 * 2**20)\n"
        f"np.empty({mebibytes} * 2**17)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) is fits, ended.stderr
    assert fits or "MemoryError" in ended.stderr
