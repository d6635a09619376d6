"""`python -m graft`, the same as `graft`."""

from graft.cli import app

app(prog_name="graft")
