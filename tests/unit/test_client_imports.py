"""`import graft` is quick, and the client needs nothing but httpx, pydantic and rich."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import graft
from graft import client
from graft.client import errors

ROOT = Path(__file__).parents[2]
#: httpx, pydantic and rich, and what these are made of.
ALLOWED = (
    "httpx httpcore h11 anyio sniffio idna certifi "
    "pydantic pydantic_core annotated_types typing_extensions typing_inspection "
    "rich markdown_it mdurl pygments graft shared"
)

NOTHING_ELSE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in sys.stdlib_module_names or root in {ALLOWED.split()!r} or root.startswith("_sysconfigdata"):
            return None
        raise ModuleNotFoundError(f"{{name}} is refused", name=name)

sys.meta_path.insert(0, Refuse())
import graft
"""


def run(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_client_is_imported_when_it_is_asked_for_and_needs_three_libraries() -> None:
    program = f"""{NOTHING_ELSE}
heavy = {{"httpx", "pydantic", "rich", "graft.client"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
client = graft.Client("http://127.0.0.1:1", "key", retries=0)
from graft.client import watching
watching.bar()
try:
    client.datasets.get("ds_0")
except graft.NoConnection as error:
    print(error.message)
"""
    assert "connection refused" in run(program)


def test_a_data_frame_without_pandas_is_refused_with_what_to_install() -> None:
    program = f"""{NOTHING_ELSE}
from graft.client.outputs import Outputs
try:
    Outputs(None, None).to_pandas()  # of neither of which it gets to make use
except graft.GraftError as error:
    print(error)
"""
    told = run(program)
    assert "pandas is missing" in told
    assert "pip install pandas" in told


def test_what_is_refused_there_is_really_missing() -> None:
    program = (
        f"{NOTHING_ELSE}\ntry:\n    import pyarrow\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert run(program) == "pyarrow is refused\n"


def test_the_embedded_stack_does_not_pay_for_the_client() -> None:
    assert run("import sys, graft.stack, graft.cli; print('graft.client' in sys.modules)") == "False\n"


def test_what_the_package_promises_is_there() -> None:
    assert graft.__all__ == sorted(graft.__all__)
    assert set(graft.__all__) <= set(client.__all__)
    for name in client.__all__:
        assert getattr(client, name) is not None
    for name in graft.__all__:
        assert getattr(graft, name) is getattr(client, name)
    assert set(graft.__all__) <= set(dir(graft))
    assert not hasattr(graft, "Clint")


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in drawn, name
        assert issubclass(getattr(errors, name), errors.GraftError)
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert found == set(errors.__all__)


def test_the_package_is_typed() -> None:
    assert (ROOT / "graft" / "py.typed").exists()
