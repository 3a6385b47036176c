"""Sign in by the browser: an authorization code with PKCE, sent back to this machine (RFC 8252)."""

from __future__ import annotations

import hmac
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from llm_cost_ops.auth import OAuth2, Tokens, request_code
from llm_cost_ops.cli.connect import Api
from llm_cost_ops.cli.failure import AUTH, CommandError
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.client.clock import monotonic

CLIENT_ID = "cost-ops-cli"
WAIT_SECONDS = 300.0
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>cost-ops</title>'
    "<h1>{}</h1><p>Go back to the terminal; this page can be closed.</p></html>"
)


class _Listener(HTTPServer):
    """Waits for the one answer that has our state; what else comes changes nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = ""
        self.answer: dict[str, str] | None = None

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/callback"

    def waited(self, seconds: float) -> dict[str, str]:
        """The answer. Raises CommandError when none comes in time."""
        until = monotonic() + seconds
        while self.answer is None:
            self.timeout = until - monotonic()
            if self.timeout <= 0:
                raise CommandError("nobody signed in by the browser", exit_code=AUTH)
            self.handle_request()
        return self.answer


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        listener = cast("_Listener", self.server)
        parts = urlsplit(self.path)
        fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
        given = fields.get("state", "").encode()
        if parts.path != "/callback" or not hmac.compare_digest(given, listener.state.encode()):
            self._say(400, "This is not the answer that was asked for")
            return
        listener.answer = fields
        self._say(200, "Signed in" if "code" in fields else "Not signed in")

    def _say(self, status: int, text: str) -> None:
        body = _PAGE.format(text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the code stands in the address."""


def signed_in(profile: Profile, server: str) -> tuple[Tokens, dict[str, Any]]:
    """The tokens of who consents in the browser, and who that is. Raises CommandError and the
    SDK's errors."""
    with _Listener() as listener:
        asked = request_code(f"{server}/oauth/authorize", CLIENT_ID, listener.redirect_uri)
        listener.state = asked.state
        _open(profile, asked.url)
        answer = listener.waited(WAIT_SECONDS)
    if "code" not in answer:
        said = answer.get("error_description") or answer.get("error") or "no code came back"
        raise CommandError(f"not signed in: {said}", code="SIGN_IN_FAILED", exit_code=AUTH)
    told: list[Tokens] = []
    auth = OAuth2.from_code(
        CLIENT_ID,
        None,
        f"{server}/oauth/token",
        code=answer["code"],
        redirect_uri=asked.redirect_uri,
        code_verifier=asked.code_verifier,
        renewed=told.append,
    )
    with Api(None, server, auth=auth) as api:
        me = api.read("/auth/me")
    return told[-1], me


def _open(profile: Profile, url: str) -> None:
    import webbrowser

    if not webbrowser.open(url):
        profile.note("No browser could be opened.")
    profile.note(f"Sign in at this address:\n{url}")
