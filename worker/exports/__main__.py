"""The child that makes one export: `python -m worker.exports skops|onnx`, in a folder with `model.joblib`.

On standard input comes the version's baseline as JSON; whoever starts it has verified the artifact's signature. It
writes `export` and says `{}` on standard output, or `{code, message}`. Memory and processor time are limited.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from pathlib import Path

from shared.errors import GraftError
from shared.processes import die_with_parent

#: Besides what the libraries have mapped; a forest of 100 trees on 100,000 rows takes a tenth of it.
_MEMORY_BYTES = 4 * 2**30
_CPU_SECONDS = 60


def main() -> None:
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    if sys.platform == "linux":  # elsewhere it does not count mappings
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    answer, sys.stdout = os.dup(1), sys.stderr  # the libraries print now and then
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    os.write(answer, json.dumps(_made(sys.argv[1], json.load(sys.stdin))).encode())


def _made(format: str, baseline: dict[str, object]) -> dict[str, object]:
    from shared.modeling import load
    from worker.exports import files

    try:
        model = load(Path("model.joblib").read_bytes())
        write = files.skops_file if format == "skops" else files.onnx_file
        Path("export").write_bytes(write(model, baseline))
    except GraftError as error:
        return {"code": error.code, "message": error.message}
    except MemoryError:
        return {"code": "too_costly", "message": "the export needs more memory than it may have"}
    return {}


if __name__ == "__main__":
    main()
