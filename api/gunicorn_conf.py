"""gunicorn's settings for the API: a few processes with threads. `GRAFT_BIND` says where it listens."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from shared.processes import close_to_others

# Sixteen threads may predict at a time. A team of BLAS or OpenMP threads for each makes them all wait for one another;
# both libraries read this once, when they are loaded.
for _library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

# Where each process counts its predictions (`api.metrics`). It lives as long as the arbiter does.
_counts = tempfile.mkdtemp(prefix="graft-metrics-", dir=os.environ.get("GRAFT_TEMP_DIR") or None)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts

close_to_others()  # gunicorn's own process, and the workers that it forks

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


def child_exit(server: Any, worker: Any) -> None:
    """A process has ended: what it counted is added to what the dead have counted."""
    from api.metric_files import bury  # prometheus_client reads the variable above when it is loaded

    bury(worker.pid, Path(_counts))


def on_exit(server: Any) -> None:
    shutil.rmtree(_counts, ignore_errors=True)
