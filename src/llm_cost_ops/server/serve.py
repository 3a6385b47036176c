"""`run`: the server as a program, in one process or several."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from anyio import to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.db.errors import DatabaseConfiguration, DatabaseUnavailable
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.http.listen import (
    BACKLOG,
    DrainingServer,
    SideServer,
    server_config,
    side_config,
)
from llm_cost_ops.server.http.logs import abandon_unwritten, configure_logging, logger
from llm_cost_ops.server.http.metrics import expose
from llm_cost_ops.server.http.redirect import RedirectApp
from llm_cost_ops.server.http.tls import Certificate
from llm_cost_ops.server.http.workers import MetricsDirectory, Target, Workers, end_with_parent
from llm_cost_ops.server.settings import ServerSettings, Settings
from llm_cost_ops.server.worker import embedded, worker_beside

EXIT_OK = 0
EXIT_GENERAL = 1
EXIT_ARGUMENTS = 2
EXIT_DATABASE = 5


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the exit code of the process.

    0 after a drained stop, 1 when the port is taken or a worker keeps dying, 2 for settings that
    contradict each other, 5 when the database is not fit to be served from.
    """
    configure_logging(settings.logging)
    log = logger("serve")
    server = settings.server
    try:
        _check_certificate(server)
        _check_schema(settings)
    except OSError as error:
        log.error("certificate not usable", reason=str(error))
        return EXIT_ARGUMENTS
    except DatabaseConfiguration as error:
        log.error("database not usable", reason=error.message)
        return EXIT_DATABASE
    try:
        listener = _listen(server.host, server.port)
    except OSError as error:
        log.error("cannot listen", host=server.host, port=server.port, reason=error.strerror)
        return EXIT_GENERAL
    workers = server.workers or os.cpu_count() or 1
    host, port = listener.getsockname()[:2]
    scheme = "https" if server.tls_cert_file else "http"
    log.info("listening", url=f"{scheme}://{host}:{port}", port=port, workers=workers)
    for note in settings.notes:
        log.warning(note)
    if workers == 1:
        return _run(_serve_alone(settings, listener))
    return _run(_serve_with_workers(settings, listener, workers))


def _run(main: Coroutine[Any, Any, int]) -> int:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main)
    finally:
        abandon_unwritten()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where there is uvloop: it is not made for Windows."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _check_certificate(server: ServerSettings) -> None:
    """Raises OSError for a certificate or key that is missing or does not fit."""
    if (server.tls_cert_file is None) != (server.tls_key_file is None):
        raise OSError("server.tls_cert_file and server.tls_key_file are needed together")
    if Certificate.of(server) is None and server.https_redirect_port is not None:
        raise OSError("server.https_redirect_port needs a certificate to send to")


def _check_schema(settings: Settings) -> None:
    """Migrate where asked to. Raises DatabaseConfiguration for a schema that is behind; a database
    that does not answer yet is waited for by the server itself."""
    try:
        Migrations().prepare(settings.database)
    except DatabaseUnavailable as error:
        logger("serve").warning("starting without the database", reason=error.message)


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        opened.setblocking(False)
        opened.set_inheritable(True)
    except OSError:
        opened.close()
        raise
    return opened


async def _serve_alone(settings: Settings, listener: socket.socket) -> int:
    app = create_app(settings, worker=embedded(settings))
    server = _server(app, settings)
    sides = _side_servers(settings, app.state.metrics.expose, listener.getsockname()[1])
    beside = [asyncio.create_task(side.serve()) for side in sides]
    exit_code = await _serve(server, [listener])
    for side in sides:
        side.stop()
    await asyncio.gather(*beside)
    return exit_code


async def _serve(server: DrainingServer, listeners: list[socket.socket]) -> int:
    try:
        await server.serve(sockets=listeners)
    except SystemExit as stopped:  # uvicorn's way to say that the app did not start
        logger("serve").error("the server did not start")
        return int(stopped.code or EXIT_GENERAL)
    return EXIT_OK


def _server(app: Edge, settings: Settings) -> DrainingServer:
    def drain() -> None:
        app.state.health.draining = True

    # The app lives as long as the process: the collector need not walk it again and again, which
    # would hold up the answer that happens to be under way.
    gc.collect()
    gc.freeze()
    return DrainingServer(server_config(app, settings.server, port=settings.server.port), drain)


def _side_servers(
    settings: Settings, exposition: Callable[[], tuple[bytes, str]], port: int
) -> list[SideServer]:
    """Listeners beside the API's at `port`: for the metrics alone, and from HTTP to HTTPS."""
    apps: list[tuple[ASGIApp, int]] = []
    if settings.metrics.enabled and settings.metrics.port is not None:
        apps.append((metrics_app(settings.metrics.path, exposition), settings.metrics.port))
    if settings.server.https_redirect_port is not None:
        sender = RedirectApp(settings.server, port)
        apps.append((sender, settings.server.https_redirect_port))
    configs = [side_config(app, settings.server, port=number) for app, number in apps]
    return [SideServer(config, lambda: None) for config in configs]


def metrics_app(path: str, exposition: Callable[[], tuple[bytes, str]]) -> ASGIApp:
    """An app that answers the metrics under one path and nothing else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(status_code=404)
        if scope["path"] == path and scope["method"] in ("GET", "HEAD"):
            text, media_type = await to_thread.run_sync(exposition)
            response = Response(text, media_type=media_type)
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response(scope, receive, send)

    return app


async def _serve_with_workers(settings: Settings, listener: socket.socket, count: int) -> int:
    with MetricsDirectory() as directory:
        exposition = partial(expose, None, directory)
        sides = _side_servers(settings, exposition, listener.getsockname()[1])
        targets: list[Target] = [_worker] * count
        if embedded(settings):
            targets.append(worker_beside)
        workers = Workers(targets, settings, [listener], settings.server.shutdown_seconds)
        return await workers.run(_all(sides) if sides else None)


async def _all(sides: list[SideServer]) -> None:
    await asyncio.gather(*(side.serve() for side in sides))


def _worker(settings: Settings, listeners: list[socket.socket], parent: Connection) -> None:
    """One worker process, from beginning to end."""
    configure_logging(settings.logging)
    raise SystemExit(_run(_work(settings, listeners, parent)))


async def _work(settings: Settings, listeners: list[socket.socket], parent: Connection) -> int:
    server = _server(create_app(settings), settings)
    end_with_parent(parent, server.stop)
    return await _serve(server, listeners)
