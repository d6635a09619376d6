"""What the benchmarks that speak to a stack over HTTP begin with: its key, and a job that costs next to nothing."""

from __future__ import annotations

import os
from typing import Any

import httpx

from graft.stack import Stack

_ROWS = "\n".join(f"{n % 7},{n % 5},{'yes' if n % 2 else 'no'}" for n in range(150))
_TABLE = f"a,b,label\n{_ROWS}\n"


def authorization(stack: Stack) -> dict[str, str]:
    """The header with the stack's own key, or the first of `GRAFT_API_KEYS` where that is set."""
    key = stack.plan.api_key or os.environ["GRAFT_API_KEYS"].split(",")[0].rpartition(":")[2]
    return {"Authorization": f"Bearer {key}"}


def small_job(client: httpx.Client) -> dict[str, Any]:
    """The body of a `shift_report` on 150 rows, which are uploaded here."""
    upload = client.post(
        "/v1/datasets", params={"name": "t"}, content=_TABLE, headers={"Content-Type": "text/csv"}
    )
    dataset = upload.raise_for_status().json()["id"]
    return {"type": "shift_report", "dataset": dataset, "source": dataset}
