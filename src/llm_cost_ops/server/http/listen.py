"""A uvicorn server that drains on SIGTERM, exits 0 for it, and sweeps its connections."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import cast

from starlette.types import ASGIApp
from uvicorn.server import Server

from llm_cost_ops.server.http.protocol import BoundedConfig, BoundedProtocol, ConnectionLimits
from llm_cost_ops.server.http.tls import Certificate
from llm_cost_ops.server.settings import ServerSettings

BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICKS_A_SECOND = 10


class DrainingServer(Server):
    """`on_stop` is called at once when a signal asks to stop, before the listener closes."""

    def __init__(self, config: BoundedConfig, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def stop(self) -> None:
        """Stop accepting, finish what is under way, end."""
        self._on_stop()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.stop()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Unlike uvicorn's own, does not raise the signal again: a drained stop is a success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            self.sweep()
        return await super().on_tick(counter)

    def sweep(self) -> None:
        certificate = cast("BoundedConfig", self.config).certificate
        if certificate is not None:
            certificate.refresh()
        now_s = asyncio.get_running_loop().time()
        connections: list[object] = list(self.server_state.connections)
        for connection in connections:
            if isinstance(connection, BoundedProtocol):
                connection.sweep(now_s)


class SideServer(DrainingServer):
    """A second listener in the same process; signals are the first one's business."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def server_config(app: ASGIApp, settings: ServerSettings, *, port: int) -> BoundedConfig:
    """The configuration of the API's listener, TLS included. Raises OSError for a certificate that
    cannot be used."""
    return BoundedConfig(
        app,
        host=settings.host,
        port=port,
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the edge reads them
        timeout_keep_alive=max(1, round(settings.keepalive_seconds)),
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        backlog=BACKLOG,
        certificate=Certificate.of(settings),
        limits=ConnectionLimits(settings.receive_timeout_seconds, settings.max_connections),
    )


def side_config(app: ASGIApp, settings: ServerSettings, *, port: int) -> BoundedConfig:
    """The configuration of a listener beside the API's: plain HTTP, no lifespan."""
    return BoundedConfig(
        app,
        host=settings.host,
        port=port,
        loop="auto",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        limits=ConnectionLimits(settings.receive_timeout_seconds, 100),
    )
