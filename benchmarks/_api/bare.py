"""What a user would write instead: Flask views that do one thing, and a Celery task.

Served by gunicorn with the same settings as Graft's API; Redis is the same server. `BARE_REDIS_URL` says where.
"""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from celery import Celery
from flask import Flask, jsonify, request

QUEUE = "bare"
STARTED = "bare:started"

_url = os.environ.get("BARE_REDIS_URL", "redis://127.0.0.1:6379/0")
celery = Celery("bare", broker=_url)
celery.conf.update(task_default_queue=QUEUE, task_ignore_result=True, worker_prefetch_multiplier=1)
_redis = redis.Redis.from_url(_url, decode_responses=True)


@celery.task
def start(spec: Any) -> None:
    """Say when it was started."""
    _redis.rpush(STARTED, time.time())


def create_app() -> Flask:
    app = Flask(__name__)

    @app.post("/jobs")
    def submit() -> Any:
        return jsonify(id=start.apply_async(args=[request.get_json()]).id), 202

    @app.get("/jobs/<path:key>")
    def look(key: str) -> Any:
        return jsonify(_redis.hgetall(key))

    return app
