"""From HTTP to HTTPS: for a listener that does nothing else, and for requests that a proxy took
over HTTP."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llm_cost_ops.server.http.security import host_allowed
from llm_cost_ops.server.settings import ServerSettings

HTTPS_PORT = 443
OPEN_PATHS = frozenset({"/live", "/health", "/ready"})
"""Asked by orchestrators, which speak HTTP to the port itself and follow no redirects."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)


def https_address(scope: Scope, settings: ServerSettings, port: int) -> str | None:
    """The same address over HTTPS, None when the request names no host of ours."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    # A path of two slashes would name another host.
    target = "/" + path.decode("latin-1").lstrip("/\\")
    if query:
        target += "?" + query.decode("latin-1")
    public = settings.public_url
    if public is not None and public.startswith("https://"):
        return public.rstrip("/") + target
    host = Headers(scope=scope).get("host", "")
    match = _HOST.fullmatch(host)
    if match is None or not host_allowed(host.encode("latin-1"), settings.allowed_hosts):
        return None
    return f"https://{match[1]}{'' if port == HTTPS_PORT else f':{port}'}{target}"


def redirection(scope: Scope, settings: ServerSettings, port: int) -> Response:
    """308, which keeps method and body, or 400 for a host that is not ours."""
    address = https_address(scope, settings, port)
    if address is None:
        return Response(status_code=400)
    return Response(status_code=308, headers={"Location": address, "Cache-Control": "no-store"})


class RedirectApp:
    """Sends every request to the HTTPS listener of the same host."""

    def __init__(self, settings: ServerSettings, port: int) -> None:
        self._settings = settings
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = redirection(scope, self._settings, self._port)
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response(scope, receive, send)
