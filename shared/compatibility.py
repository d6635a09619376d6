"""Can a model that other library versions made be opened here? Asked before a byte of it is unpickled.

    library        patch     minor                              major
    scikit-learn   fine      refused if the artifact holds its  the same
                             objects (trees), else a warning
    numpy          fine      warning                            refused: 2.x moved the modules that arrays name
    joblib         fine      warning                            refused: it writes and reads the file
    python         fine      warning                            refused
    scipy, pyarrow fine      warning                            warning: nothing of theirs lies in an artifact
    Graft          an artifact format newer than this Graft reads is refused, whatever the version

scikit-learn: "While models saved using one version of scikit-learn might load in other versions, this is entirely
unsupported and inadvisable" (User Guide, Model persistence, "Security & maintainability limitations"). Trees have
indeed changed their node arrays in minor versions (1.3: missing values), and what loads may predict something else.
Models of all other families hold numpy arrays in classes of Graft's own, which its format number covers.
numpy: "NumPy 2.0 migration guide", on `numpy.core` → `numpy._core`, which pickled arrays name. 1.26 can read those of
2.0 (numpy/numpy#24906), earlier ones cannot; nothing of ours is tested with either.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from shared.contracts.models import Compatibility, LibraryDifference
from shared.errors import Conflict
from shared.modeling.model import FORMAT

Severity = Literal["differs", "incompatible"]

FORMAT_NAME = "graft artifact format"
_BREAKS_AT_MAJOR = frozenset({"python", "numpy", "joblib"})
_WATCHED = ("python", "scikit-learn", "numpy", "scipy", "joblib", "pyarrow")


def judged(
    made_with: Mapping[str, str],
    artifact: Mapping[str, Any] | None,
    here: Mapping[str, str] | None = None,
) -> Compatibility:
    """What differs between the libraries that made a version and those `here` (this process's).

    artifact: {format, libraries}, as the version's record has it; None for a record of before, which may hold anything.
    """
    here = installed() if here is None else here
    holds = set(artifact["libraries"]) if artifact else {"scikit-learn"}
    found = []
    for library in _WATCHED:
        then, now = made_with.get(library), here.get(library)
        if then and now and (severity := _severity(library, then, now, holds)):
            found.append(LibraryDifference(library=library, made_with=then, here=now, severity=severity))
    if artifact and int(artifact["format"]) > FORMAT:
        found.append(
            LibraryDifference(
                library=FORMAT_NAME,
                made_with=str(artifact["format"]),
                here=str(FORMAT),
                severity="incompatible",
            )
        )
    worst = {difference.severity for difference in found}
    status = "incompatible" if "incompatible" in worst else "differs" if worst else "same"
    return Compatibility(status=status, differences=found)


def require(found: Compatibility, name: str, number: int, *, allow: bool = False) -> None:
    """Raises Conflict `incompatible_versions`. With `allow` only for a format that cannot be read at all."""
    broken = [
        item
        for item in found.differences
        if item.severity == "incompatible" and not (allow and item.library != FORMAT_NAME)
    ]
    if broken:
        sentence = (
            f"{name}:{number} was made with {_told(broken)}, which cannot be opened here; it was not opened."
        )
        how = "Train it again, or run the versions that made it."
        raise Conflict(f"{sentence} {how}", code="incompatible_versions")


def warning(found: Compatibility, refs: Sequence[str]) -> str | None:
    """A sentence for those who are given predictions of these versions all the same."""
    if not found.differences:
        return None
    return f"{', '.join(refs)}: made with {_told(found.differences)}; predictions may differ in small ways"


@cache
def installed() -> Mapping[str, str]:
    """The versions of this process, without importing the libraries."""
    found = {"python": platform.python_version()}
    for name in _WATCHED[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _severity(library: str, then: str, now: str, holds: set[str]) -> Severity | None:
    before, after = _parts(then), _parts(now)
    if before == after:
        return None
    if library in _BREAKS_AT_MAJOR and before[0] != after[0]:
        return "incompatible"
    if library == "scikit-learn" and library in holds:
        return "incompatible"
    return "differs"


def _parts(text: str) -> tuple[str, str]:
    """Major and minor, as they are written: `2.4.1rc1` is ("2", "4")."""
    major, _, rest = text.partition(".")
    return major, rest.partition(".")[0]


def _told(differences: Sequence[LibraryDifference]) -> str:
    return ", ".join(f"{item.library} {item.made_with} (here: {item.here})" for item in differences)
