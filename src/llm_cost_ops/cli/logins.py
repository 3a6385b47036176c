"""Who is signed in where: the credentials file, readable by its owner alone.

It holds one login for each server, and which server was signed in to last. A token is only ever
sent to the server that gave it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from llm_cost_ops.cli.failure import AUTH, CommandError
from llm_cost_ops.client.clock import utc_now
from llm_cost_ops.client.policy import Flow, RetryPolicy, Send
from llm_cost_ops.client.renewing import Tokens, UserToken, token_headers

VARIABLE = "COST_OPS_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class Login:
    """A login at one server; `expires_at` of the access token, in seconds since 1970 UTC.
    `client_id` is the OAuth client of a login by the browser, empty for one by password."""

    server: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float
    email: str = ""
    client_id: str = ""


def now_s() -> float:
    """Seconds since 1970 UTC."""
    return utc_now().timestamp()


def server_of(address: str) -> str:
    """The address of a server, spelled in one way."""
    return address.strip().rstrip("/").removesuffix("/api/v1").rstrip("/")


def place() -> Path:
    """Where the credentials are kept."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return folder / "cost-ops" / "credentials"


def current_server() -> str | None:
    """The server that was signed in to last, if that login was not ended."""
    document = _read()
    server = document.get("current")
    return server if isinstance(server, str) and server in _logins(document) else None


def login_at(server: str) -> Login | None:
    """The login at this server."""
    kept = _logins(_read()).get(server_of(server))
    if kept is None:
        return None
    known = {each.name for each in fields(Login)}
    try:
        return Login(**{name: value for name, value in kept.items() if name in known})
    except TypeError:
        return None


def keep(login: Login, *, current: bool = True) -> None:
    """Keep a login instead of the one before at its server."""

    def change(document: dict[str, Any]) -> None:
        document["servers"] = {**_logins(document), login.server: asdict(login)}
        if current:
            document["current"] = login.server

    _change(change)


def go_on(login: Login, access_token: str, expires_at: float) -> None:
    """Keep another access token for a login. The refresh token stays the one that is kept by then:
    another command may have renewed it, and the one before it is spent. A login of somebody else,
    or none, stays what it is."""

    def change(document: dict[str, Any]) -> None:
        logins = _logins(document)
        kept = logins.get(login.server, {})
        if (kept.get("email"), kept.get("client_id")) != (login.email, login.client_id):
            return
        fresh = {"access_token": access_token, "expires_at": expires_at}
        document["servers"] = {**logins, login.server: {**kept, **fresh}}
        document["current"] = login.server

    _change(change)


def drop(server: str) -> None:
    """Forget the login at this server."""

    def change(document: dict[str, Any]) -> None:
        logins = _logins(document)
        logins.pop(server, None)
        document["servers"] = logins
        if document.get("current") == server:
            document["current"] = None

    _change(change)


class StoredToken(UserToken):
    """The token of a login, renewed for all commands that run: one of them renews it, the others
    take what it stored."""

    def __init__(self, login: Login, *, now: Callable[[], float]) -> None:
        self._login = login
        self._now = now
        super().__init__(
            login.access_token,
            login.refresh_token,
            _renewed_at(login),
            expires_in=login.expires_at - now(),
            renewed=self._store,
        )

    def _request(self) -> Send:
        if not self._login.client_id:
            return super()._request()
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._refresh_token or "",
            "client_id": self._login.client_id,
        }
        headers = token_headers("application/x-www-form-urlencoded")
        return Send("POST", self._token_url, headers, urlencode(form).encode())

    def _fetch(self, policy: RetryPolicy) -> Flow[None]:
        with alone():
            stored = login_at(self._login.server)
            if stored is None:
                raise CommandError(signed_out(self._login.server), code="AUTH_001", exit_code=AUTH)
            if stored.refresh_token != self._login.refresh_token:
                self._adopt(stored)
            yield from super()._fetch(policy)

    def _adopt(self, stored: Login) -> None:
        self._login = stored
        self._refresh_token = stored.refresh_token
        self._token_url = _renewed_at(stored)
        left_s = stored.expires_at - self._now()
        tokens = Tokens(stored.access_token, stored.refresh_token, left_s)
        self._token = self._kept(tokens, self._clock())

    def _store(self, tokens: Tokens) -> None:
        self._login = replace(
            self._login,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or "",
            expires_at=self._now() + (tokens.expires_in or 0.0),
        )
        document = _read()
        servers = {**_logins(document), self._login.server: asdict(self._login)}
        _write({**document, "servers": servers})  # the lock is held: see _fetch


def _renewed_at(login: Login) -> str:
    """Where a login is renewed: one by the browser is that of an OAuth client."""
    return login.server + ("/oauth/token" if login.client_id else "/api/v1/auth/refresh")


def login_of(server: str, tokens: Tokens, email: str, now_s: float, client_id: str = "") -> Login:
    """What is kept of the tokens that were got now."""
    return Login(
        server,
        tokens.access_token,
        tokens.refresh_token or "",
        now_s + (tokens.expires_in or 0.0),
        email,
        client_id,
    )


def signed_out(server: str) -> str:
    return f"nobody is signed in to {server}: cost-ops auth login --api-url {server}"


@contextmanager
def alone() -> Generator[None]:
    """No other process renews or changes a login meanwhile, where the system has such locks."""
    path = _folder() / (place().name + ".lock")
    try:
        import fcntl
    except ImportError:  # no such locks: the server forgives a repetition for some seconds
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _change(change: Callable[[dict[str, Any]], None]) -> None:
    with alone():
        document = _read()
        change(document)
        _write(document)


def _folder() -> Path:
    folder = place().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _logins(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    servers = document.get("servers")
    if not isinstance(servers, dict):
        return {}
    return dict(cast("dict[str, dict[str, Any]]", servers))


def _read() -> dict[str, Any]:
    """The file; empty without one. Raises CommandError for one that others may read."""
    path = place()
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise CommandError(
                    f"{path} may be read by others: chmod 600 {path}", exit_code=AUTH
                )
            found: object = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError:
        raise CommandError(
            f"{path} is no credentials file: remove it and sign in again", exit_code=AUTH
        ) from None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _write(document: dict[str, Any]) -> None:
    """Whole or not at all: a command that is stopped leaves the file of before."""
    path = _folder() / place().name
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
