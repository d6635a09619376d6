"""Requests as people send them, for the OpenAPI document. All are about one table, `customers.csv`:

    id,age,plan,churned
    1,34,basic,no

`DATASET` stands for its id, `SHA256` for its digest, and `churn` is a model of it. A test sends every one of them.
"""

from __future__ import annotations

from typing import Any, Final

DATASET: Final = "ds_01KB1Q4X9H7N3M5T8W2Y6ZCDEF"
SHA256: Final = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
MODEL: Final = "churn"
ALIAS: Final = "champion"
COLUMNS: Final = ("id", "age", "plan", "churned")

_TRAIN: Final[dict[str, Any]] = {
    "type": "train",
    "dataset": DATASET,
    "target": "churned",
    "features": ["age", "plan"],
    "estimator": {"kind": "logistic_regression"},
    "model": {"name": MODEL, "description": "Who leaves next month", "tags": {"team": "growth"}},
}
_FINE_TUNE: Final[dict[str, Any]] = {
    "type": "fine_tune",
    "base_model": f"{MODEL}@{ALIAS}",
    "dataset": DATASET,
    "target": "churned",
    "strategy": "auto",
    "model": {"name": "churn-south"},
}
_BATCH_PREDICT: Final[dict[str, Any]] = {
    "type": "batch_predict",
    "model": f"{MODEL}@{ALIAS}",
    "input": {"dataset": DATASET},
    "output": {"format": "parquet", "columns": "id"},
    "id_column": "id",
}
_NIGHTLY: Final[dict[str, Any]] = {
    "name": "nightly-scores",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "job": {**_BATCH_PREDICT, "metadata": {"day": "{{ scheduled_for:%Y-%m-%d }}"}},
    "overlap": "skip",
}

EXAMPLES: Final[dict[tuple[str, str], dict[str, dict[str, Any]]]] = {
    ("post", "/v1/datasets"): {"register": {"name": "customers", "uri": "s3://lake/customers.csv"}},
    ("post", "/v1/uploads"): {
        "begin": {"name": "customers", "format": "csv", "bytes": 2_000_000_000},
        "small_parts": {"name": "customers", "format": "csv", "bytes": 9_000_000, "part_bytes": 1_048_576},
    },
    ("post", "/v1/uploads/{upload_id}/complete"): {"unchecked": {}, "checked": {"sha256": SHA256}},
    ("post", "/v1/jobs"): {
        "train": _TRAIN,
        "fine_tune": _FINE_TUNE,
        "batch_predict": _BATCH_PREDICT,
        "evaluate": {"type": "evaluate", "model": MODEL, "dataset": DATASET, "target": "churned"},
        "shift_report": {"type": "shift_report", "model": MODEL, "dataset": DATASET},
        "rank_sources": {"type": "rank_sources", "dataset": DATASET, "target": "churned"},
    },
    ("patch", "/v1/models/{name}"): {"describe": {"description": "Who leaves", "tags": {"team": "growth"}}},
    ("patch", "/v1/models/{name}/versions/{number}"): {
        "describe": {"description": "Without the trial users"}
    },
    ("put", "/v1/models/{name}/aliases/{alias}"): {"move": {"version": 1}},
    ("post", "/v1/models/{ref}/predict"): {
        "score": {"rows": [{"age": 34, "plan": "basic"}, {"age": 51, "plan": "pro"}], "probabilities": True}
    },
    ("post", "/v1/schedules"): {"nightly": _NIGHTLY},
    ("patch", "/v1/schedules/{schedule_id}"): {"pause": {"paused": True}, "move": {"cron": "0 3 * * 1-5"}},
    ("post", "/v1/webhooks"): {
        "ends": {"url": "https://example.com/graft", "events": ["job.succeeded", "job.failed"]}
    },
    ("patch", "/v1/webhooks/{webhook_id}"): {"switch_on": {"disabled": False}},
    ("post", "/v1/webhook-secret"): {"rotate": {"overlap_seconds": 86_400}},
    ("post", "/v1/webhooks/{webhook_id}/rotate"): {"rotate": {"overlap_seconds": 86_400}},
    ("post", "/v1/webhooks/{webhook_id}/replay"): {"since": {"since": "2026-11-26T00:00:00Z"}},
    ("post", "/v1/keys"): {"reader": {"scopes": ["read"], "name": "dashboard"}},
    ("post", "/v1/keys/{key_id}/rotate"): {"rotate": {"overlap_seconds": 3600}},
}
"""(method, path) → a name of each example → its body."""
