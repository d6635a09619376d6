"""The Celery application. Celery brings wake-ups to threads; everything that must not go wrong is Redis's.

`python -m worker` starts it. Celery's own ideas of reliability (late acknowledgement, the visibility timeout,
`reject_on_worker_lost`) play no part: a lost or repeated message neither loses nor repeats a job.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, signals
from kombu.entity import Queue

from shared import logs, queue, services, tracing
from shared.config import Settings, forget_secrets
from shared.processes import close_to_others
from worker import transport
from worker.station import Station

log = logs.get(__name__)


def make_app(settings: Settings) -> Celery:
    """A Celery application whose tasks find their station at `app.station`."""
    transport.install()
    broker = settings.redis_url.get_secret_value()
    app = Celery("graft", broker=broker, include=["worker.tasks"], amqp=transport.Amqp)
    app.conf.update(
        task_queues=[Queue(name, exchange="", routing_key=name) for name in queue.QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=queue.queue_name("normal"),
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_pool="worker.pool:Pool",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "queue_order_strategy": "worker.turns:Turns",
            "priority_steps": [0],
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "health_check_interval": 10,
        },
    )
    app.settings = settings
    return app


app = make_app(Settings())


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _logging(**_: Any) -> None:
    logs.configure(app.settings.log_level, process="worker")


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _open_station(sender: str, instance: Any, **_: Any) -> None:
    if reason := tracing.configure("graft-worker"):
        log.warning("no_traces", reason=reason)
    served = [queue.priority_of(name) for name in instance.app.amqp.queues.consume_from]
    app.station = Station(
        services.build(app.settings),
        name=sender,
        concurrency=instance.concurrency,
        queues=served,
        sender=services.webhook_sender(app.settings) if queue.WEBHOOKS in served else None,
    )
    # The children's forkserver, which is started later, inherits this process's environment.
    forget_secrets()
    close_to_others()


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    app.station.start()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    if station := getattr(app, "station", None):
        station.drain()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    if station := getattr(app, "station", None):
        station.stop()
