"""`python -m benchmarks [NAME …]`: the named benchmarks, or all but the long ones.

Each runs with its defaults, in a process of its own.
"""

from __future__ import annotations

import argparse
import pkgutil
import subprocess
import sys

import benchmarks

#: An hour and more: only when named.
LONG = frozenset({"transfer"})


def main() -> None:
    names = sorted(
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; none: all but {', '.join(LONG)}"
    )
    chosen = parser.parse_args().names or [name for name in names if name not in LONG]
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    failed = [name for name in chosen if not run(name)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def run(name: str) -> bool:
    """One benchmark, so that neither its memory nor its settings reach the next."""
    print(f"── {name} " + "─" * (76 - len(name)), flush=True)
    succeeded = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode == 0
    print(flush=True)
    return succeeded


if __name__ == "__main__":
    main()
