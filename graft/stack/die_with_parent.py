"""Become a command that ends when its parent ends: `die_with_parent.py SIGNAL PARENT_PID COMMAND…`.

A supervisor that is killed with SIGKILL cannot stop its servers. On Linux the kernel does it:
a process may ask for a signal on the death of its parent, and the wish outlives `exec`. It is
asked for here, after the fork and in a process of its own, because code between fork and exec
(`preexec_fn`) can deadlock when the parent has threads. Elsewhere the command just runs, and
the next start ends what was left (see `leftovers`).

The kernel's "parent" is the *thread* that started the process: start servers from a thread
that outlives them. The file runs by path under `-I -S`, so it may import the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    signal_number, parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != int(parent):  # it died before the wish was heard
            os.kill(os.getpid(), int(signal_number))
    # Python ignores these two, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
