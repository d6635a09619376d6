"""gunicorn's settings for the API: a few processes with threads. `GRAFT_BIND` says where it listens."""

from __future__ import annotations

import os

wsgi_app = "api.app:create_app()"
bind = os.environ.get("GRAFT_BIND", "127.0.0.1:8000")
worker_class = "api.serving.Worker"
workers = int(os.environ.get("GRAFT_API_PROCESSES", "2"))
threads = int(os.environ.get("GRAFT_API_THREADS", "16"))
timeout = 60
graceful_timeout = 30
keepalive = 5
accesslog = None
limit_request_field_size = 8190
control_socket_disable = True
sendfile = False  # it would wait for a client without patience (api.patience)
