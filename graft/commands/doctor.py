"""`graft doctor`: what would keep Graft from working, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from graft.commands import options
from graft.commands.showing import show_json, show_table
from graft.commands.telling import REFUSED, say


def doctor(
    data_dir: Annotated[Path, typer.Option(help="The data directory of `graft up`.")] = Path(".graft"),
    as_json: options.Json = False,
) -> None:
    """Check versions, settings, memory, disk and permissions here; and the API, its servers, your key and the clocks.

    Exit code 1 if something has failed; a warning is none.
    """
    from graft.doctor import examine

    found = list(examine(data_dir))
    if as_json:
        show_json([asdict(finding) for finding in found])
    else:
        show_table(
            ("check", "outcome", "found"), [(one.what, one.outcome, one.found) for one in found], empty=""
        )
        for finding in found:
            if finding.advice:
                say(f"{finding.what}: {finding.advice}")
    if any(finding.outcome == "failed" for finding in found):
        raise typer.Exit(REFUSED)
