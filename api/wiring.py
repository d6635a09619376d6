"""How views reach what the application was built with."""

from __future__ import annotations

from typing import cast

from flask import current_app, request

from api.completing import Completing
from api.waiting import Client, Waiting
from shared.confinement import Readers
from shared.inference import ModelServer
from shared.services import Services


def services() -> Services:
    return cast("Services", current_app.extensions["graft"])


def model_server() -> ModelServer:
    return cast("ModelServer", current_app.extensions["graft.models"])


def waiting() -> Waiting:
    return cast("Waiting", current_app.extensions["graft.waiting"])


def readers() -> Readers:
    return cast("Readers", current_app.extensions["graft.readers"])


def completing() -> Completing:
    return cast("Completing", current_app.extensions["graft.completing"])


def client() -> Client:
    """Who sent the request that is being answered."""
    return Client(request.environ.get("gunicorn.socket"))
