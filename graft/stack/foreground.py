"""`graft up`: a stack in the foreground, from the first line it prints to its exit code."""

from __future__ import annotations

import os
import sys

from graft.stack.errors import Refused, ServerFailed
from graft.stack.stack import Stack
from graft.stack.stopping import StopRequested, StopSignals

LOOK_SECONDS = 0.1


def run(stack: Stack) -> int:
    """Start, say so, tend until SIGTERM or Ctrl-C, stop. Returns 0, 1 (a server failed) or 2 (refused)."""
    with StopSignals() as signals:
        try:
            stack.start(signals.pause)
            announce(stack)
            while True:
                stack.tend()
                signals.pause(LOOK_SECONDS)
        except StopRequested:
            say("stopping; once more to hurry")
            return 0
        except (Refused, ServerFailed) as error:
            complain(error)
            return error.exit_code
        except OSError as error:  # a full disk, a directory that is not ours: no defect to trace
            complain(error)
            return 1
        finally:
            stack.stop(signals.hurried)


def announce(stack: Stack) -> None:
    if stack.plan.api_key:
        say(f"API key {stack.plan.api_key}")
    say(f"ready at {stack.plan.api.endpoint.url}")


def complain(error: Exception) -> None:
    print(f"graft: error: {error}", file=sys.stderr, flush=True)


def say(message: str) -> None:
    """To whoever reads our output; that they have gone is no reason to stop serving."""
    try:
        print(f"graft: {message}", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
