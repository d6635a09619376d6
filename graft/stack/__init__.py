"""The embedded stack: real servers under one supervisor, for `graft up`, `make demo` and the tests."""

from graft.stack.errors import Refused, ServerFailed
from graft.stack.object_store import object_store_endpoint, start_object_store
from graft.stack.redis_server import redis_endpoint, start_redis
from graft.stack.servers import Endpoint, RunningServer, Service
from graft.stack.stack import Stack

__all__ = [
    "Endpoint",
    "Refused",
    "RunningServer",
    "ServerFailed",
    "Service",
    "Stack",
    "object_store_endpoint",
    "redis_endpoint",
    "start_object_store",
    "start_redis",
]
