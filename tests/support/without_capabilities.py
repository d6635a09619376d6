"""`python without_capabilities.py program …` becomes that program, without root's powers: `cap_drop: ALL`.

Where the tests run as root, root could look into every process, and no test could tell a closed one from an open one.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

SCRIPT: Final = (sys.executable, str(Path(__file__)))
_PR_CAPBSET_DROP: Final = 24
_CAPABILITIES: Final = 64

if __name__ == "__main__":
    if sys.platform == "linux":
        for number in range(_CAPABILITIES):  # those that the kernel does not know, or we have not, it refuses
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
