"""How views reach what the application was built with."""

from __future__ import annotations

from typing import cast

from flask import Request, current_app, request

from api.completing import Completing
from api.exporter import Exporter
from api.waiting import Client, Waiting
from shared.confinement import Readers
from shared.inference import ModelServer
from shared.services import Services


def asked_now() -> Request:
    """The request that is being answered itself, where it is asked for more than one thing."""
    return cast("Request", request._get_current_object())  # type: ignore[attr-defined]


def services() -> Services:
    return cast("Services", current_app.extensions["graft"])


def model_server() -> ModelServer:
    return cast("ModelServer", current_app.extensions["graft.models"])


def waiting() -> Waiting:
    return cast("Waiting", current_app.extensions["graft.waiting"])


def exporter() -> Exporter:
    return cast("Exporter", current_app.extensions["graft.exporter"])


def readers() -> Readers:
    return cast("Readers", current_app.extensions["graft.readers"])


def completing() -> Completing:
    return cast("Completing", current_app.extensions["graft.completing"])


def client() -> Client:
    """Who sent the request that is being answered."""
    return Client(request.environ.get("gunicorn.socket"))
