"""The Flask application: wiring only. Views are thin, and nothing here computes."""

from __future__ import annotations

import atexit
import json
import re
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa
import structlog
from apiflask import APIFlask
from flask import Request, Response, g
from werkzeug.datastructures import Headers
from werkzeug.middleware.proxy_fix import ProxyFix

from api import (
    aliases,
    auth,
    comparison,
    counters,
    dashboard,
    datasets,
    drift,
    exports,
    health,
    jobs,
    keys,
    limiting,
    lineage,
    metrics,
    models,
    openapi,
    path_names,
    predictions,
    problems,
    reports,
    request_spans,
    schedules,
    strict_json,
    uploads,
    usage,
    webhooks,
)
from api.completing import Completing
from api.exporter import Exporter
from api.waiting import Waiting
from api.wiring import asked_now
from shared import logs, tracing
from shared import services as composition
from shared.config import Settings, forget_secrets
from shared.confinement import Readers
from shared.errors import InvalidInput, Malformed, UnsupportedMedia
from shared.ids import fresh_id
from shared.inference import ModelServer
from shared.services import Services
from shared.watching import Watch

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logs.get(__name__)

_POLICY = "Content-Security-Policy"
#: What is not meant to be a page is none, whatever a browser is told of it.
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
#: Answers that are sent with the headers that they have.
_PLAIN = frozenset({200, 201, 202})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def create_app(settings: Settings | None = None) -> APIFlask:
    """The application, as gunicorn's factory calls it. Settings come from the environment unless given."""
    settings = settings or Settings()
    logs.configure(settings.log_level, process="api")
    if reason := tracing.configure("graft-api"):
        log.warning("no_traces", reason=reason)
    pa.set_memory_pool(pa.system_memory_pool())
    app = APIFlask(
        __name__,
        title="Graft",
        version="0.1.0",
        docs_path=None,
        spec_path="/openapi.json",
        static_folder="static",
    )
    app.json = strict_json.Provider(app)
    app.request_class, app.response_class = _Request, _Response
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    app.url_map.converters["model"] = path_names.ModelName
    app.url_map.merge_slashes = False  # it redirects, to whatever the Host header says
    built = composition.build(settings, on_trouble=counters.count_trouble)
    app.extensions["graft"] = built
    app.extensions["graft.models"] = ModelServer(
        built.models,
        built.objects,
        built.signer,
        cache_bytes=settings.model_cache_bytes,
        watch=Watch(built.asked),
        allow_incompatible=settings.allow_incompatible_models,
        on_load=metrics.count_load,
        cache_watch=counters.CacheGauges(),
    )
    app.extensions["graft.exporter"] = Exporter(built)
    app.extensions["graft.readers"] = readers = _readers(settings)
    app.extensions["graft.completing"] = Completing(built, readers, places=settings.max_readers)
    app.extensions["graft.waiting"] = Waiting(settings.max_waiting, on_held=counters.held)
    request_spans.install(app)
    _identify_requests(app, built)
    if proxies := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    problems.install(app)
    openapi.install(app)
    for module in (
        datasets,
        uploads,
        jobs,
        models,
        aliases,
        comparison,
        lineage,
        reports,
        exports,
        drift,
        predictions,
        schedules,
        webhooks,
        keys,
        usage,
        health,
        metrics,
        dashboard,
    ):
        app.register_blueprint(module.blueprint)
    auth.expect_declarations(app)
    return app


def _readers(settings: Settings) -> Readers:
    """Started now that the clients are built and nothing needs the environment's secrets any more."""
    forget_secrets()
    readers = Readers(
        memory_bytes=settings.reader_memory_bytes,
        cpu_seconds=settings.reader_cpu_seconds,
        places=settings.max_readers,
    )
    readers.start()
    return readers


def _identify_requests(app: APIFlask, built: Services) -> None:
    """Every request has an id, in its log lines and its answer; and, but for the public pages, a known key.

    What is asked of a request here is asked of the object: Flask's proxies look it up at every turn.
    """
    keyring = auth.Keyring(key.get_secret_value() for key in built.settings.api_keys)
    limiter = limiting.Limiter(built.settings, built.rates)
    app.extensions["graft.door"] = dashboard.Door(keyring, limiter)
    counter = usage.RequestCounter(built.usage)
    counter.start()
    atexit.register(counter.stop)
    lines = log.bind()

    @app.before_request
    def begin() -> None:
        asked, held = asked_now(), g._get_current_object()
        counters.begin_request(held)
        offered = asked.environ.get("HTTP_X_REQUEST_ID", "")
        held.request_id = offered if _REQUEST_ID.fullmatch(offered) else fresh_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=held.request_id)
        if auth.is_public(asked.path):
            return
        is_page = asked.blueprint == dashboard.blueprint.name
        if is_page:
            dashboard.sessions.authenticate(keyring)
        else:
            limiter.authenticate(keyring, built.api_keys, auth.bearer(asked), asked)
        principal: auth.Principal = held.principal
        counter.count(principal.project)
        limiter.admit(principal, asked)
        auth.authorize(principal, asked)
        path_names.check(asked.view_args, makes=asked.method == "PUT")
        if not is_page:
            _expect_json(asked)

    @app.after_request
    def end(response: Response) -> Response:
        asked, held = asked_now(), g._get_current_object()
        headers = response.headers
        headers.add("X-Request-ID", held.get("request_id", ""))
        headers.add("X-Content-Type-Options", "nosniff")
        if not any(name == _POLICY for name, _ in headers):
            headers.add(_POLICY, _NOTHING)
        limiting.tell(held, headers)
        if asked.path not in {"/healthz", "/readyz"}:
            lines.info("request", method=asked.method, path=asked.path, status=response.status_code)
        counters.end_request(asked, held, response)
        return response


def _expect_json(asked: Request) -> None:
    """A body is a JSON object, but for a table's upload, or a part's."""
    sent = asked.environ
    has_body = sent.get("CONTENT_LENGTH", "").strip("0") or "HTTP_TRANSFER_ENCODING" in sent
    if not has_body or asked.endpoint is None:  # what no view answers, 404 and 405, is not ours
        return
    if asked.is_json:
        if not isinstance(asked.get_json(), dict):
            raise InvalidInput.at("", "the body should be a JSON object")
    elif asked.endpoint not in {"datasets.create_dataset", "uploads.put_part"}:
        raise UnsupportedMedia("the body should be JSON, with Content-Type: application/json")


class _Request(Request):
    """Says what is wrong with a body that is not JSON, without repeating it."""

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        if isinstance(e, strict_json.DuplicateName):
            raise Malformed.at(e.place, "the object has two members of this name")
        if isinstance(e, json.JSONDecodeError):
            raise Malformed(f"the body is not JSON: {e.msg} at line {e.lineno}, column {e.colno}")
        raise Malformed(f"the body is not JSON: {e or 'its content type says otherwise'}")


class _Response(Response):
    """Is not looked through for what ours never have: a place that is no ASCII, or a body of a length not known yet."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        if self.status_code in _PLAIN and any(name == "Content-Length" for name, _ in self.headers):
            return self.headers
        return super().get_wsgi_headers(environ)
