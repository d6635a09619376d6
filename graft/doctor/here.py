"""Checks of this machine: Python and libraries, settings, memory, disk, and the data directory of `graft up`."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from pydantic import ValidationError

from graft.commands.showing import size
from graft.doctor.findings import Finding, failed, ok, warning
from shared.config import Settings

#: Below the first a job that writes much fails, below the second the servers themselves do.
LITTLE_DISK_BYTES, NO_DISK_BYTES = 5 * 2**30, 2**29
LITTLE_MEMORY_BYTES = 2 * 2**30
#: Variables that are no setting of `shared.config`.
_OTHERS = {"URL", "API_KEY", "BIND", "API_PROCESSES", "API_THREADS", "FAILPOINTS"}


def check(environment: Mapping[str, str], data_dir: Path) -> Iterator[Finding]:
    """All of them, quickest first."""
    yield ok("python", f"{platform.python_version()} on {platform.machine()}")
    yield libraries()
    yield from settings(environment)
    yield memory()
    yield disk("disk, temporary", Path(environment.get("GRAFT_TEMP_DIR") or tempfile.gettempdir()))
    yield disk("disk, data", data_dir)
    yield from permissions(data_dir)


def libraries() -> Finding:
    """Those that Graft needs, in versions that it can use."""
    wrong = []
    for text in importlib.metadata.requires("graft") or ():
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            here = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(here, prereleases=True):
            wrong.append(f"{needed.name} {here} is not {needed.specifier}")
    version = importlib.metadata.version("graft")
    if wrong:
        return failed("libraries", f"graft {version}: {', '.join(wrong)}", "pip install --upgrade graft")
    return ok("libraries", f"graft {version}, scikit-learn {importlib.metadata.version('scikit-learn')}")


def settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Every `GRAFT_…` variable is one that is known, and has a value that it can have."""
    fields = {name.upper() for name in Settings.model_fields}
    given = {
        name.removeprefix("GRAFT_"): value for name, value in environment.items() if name.startswith("GRAFT_")
    }
    for name in sorted(given.keys() - fields - _OTHERS):
        near = difflib.get_close_matches(name, fields | _OTHERS, n=1)
        advice = f"did you mean GRAFT_{near[0]}?" if near else "docs/operations.md lists what can be set"
        yield warning("settings", f"GRAFT_{name} is no setting of Graft's", advice)
    set_here = {name.lower(): value for name, value in given.items() if name in fields}
    try:
        Settings.model_validate({"signing_key": "-" * 16, **set_here})
    except ValidationError as error:
        for wrong in error.errors(include_input=False, include_url=False, include_context=False):
            name = f"GRAFT_{str(wrong['loc'][0]).upper()}"
            yield failed("settings", f"{name}: {wrong['msg']}", "docs/operations.md says what it can be")
    else:
        yield ok("settings", f"{len(given)} of Graft's variables are set")


def memory() -> Finding:
    found = psutil.virtual_memory()
    text = f"{size(found.available)} of {size(found.total)} free, {os.cpu_count()} CPUs"
    if found.available < LITTLE_MEMORY_BYTES:
        return warning(
            "memory", text, "a job's child gets its share of 80 %; run fewer at a time (graft up --workers)"
        )
    return ok("memory", text)


def disk(what: str, place: Path) -> Finding:
    """Of the nearest directory that exists."""
    while not place.exists():
        place = place.absolute().parent
    free = shutil.disk_usage(place).free
    text = f"{size(free)} free at {place}"
    if free < NO_DISK_BYTES:
        return failed(what, text, "make room: uploads, artifacts and Redis's log are written there")
    if free < LITTLE_DISK_BYTES:
        return warning(what, text, "large uploads and batches will not fit")
    return ok(what, text)


def permissions(data_dir: Path) -> Iterator[Finding]:
    """What holds secrets is for its owner alone; an absent directory can be made."""
    what = "data directory"
    if not data_dir.exists():
        parent = data_dir.absolute().parent
        while not parent.exists():
            parent = parent.parent
        if os.access(parent, os.W_OK):
            yield ok(what, f"{data_dir} is not there yet; `graft up` makes it")
        else:
            yield failed(
                what, f"{parent} cannot be written", "choose another place: graft up --data-dir DIRECTORY"
            )
        return
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield failed(what, f"{data_dir} cannot be read and written by you", f"chown it: {data_dir}")
        return
    open_to_others = [
        path
        for path in (data_dir, data_dir / "api-key", data_dir / "credentials.json")
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    for path in open_to_others:
        yield failed(what, f"others can read {path}", f"chmod go= {path}")
    if not open_to_others:
        yield ok(what, f"{data_dir} is for you alone")
