"""A group of commands that lists what there is if none is named: `graft jobs --json` is `graft jobs ls --json`."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

_DEFAULT = "ls"


class Listing(TyperGroup):
    """What stands behind the group's name and is neither a command nor --help is for its `ls`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        is_for_list = not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx))
        if is_for_list and not ctx.resilient_parsing:  # the shell, which completes, is offered the commands
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)
