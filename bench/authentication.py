"""What it costs to know who asks: `authenticate`, which every route begins with, alone.

It reads the credential, remembers whom it stands for (the warm key cache), counts the rate limits,
checks the permission and notes the attempt for the audit log. It runs in this process without
sockets; beside it stands a whole `GET /api/v1/budgets` of an empty ledger, in turns with it. Both
are CPU time of the process, the least of some batches: what else the machine does adds to it, and
never takes away.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request

from bench.figures import Figure, arguments, paired, say
from bench.places import Place, place
from llm_cost_ops.server.access.deps import authenticate
from llm_cost_ops.server.access.issue import issue_key
from llm_cost_ops.server.access.store import set_revoked
from llm_cost_ops.server.app import create_app
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.edge import Edge
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.users import NewUser, create_user
from llm_cost_ops.server.settings import RateLimitSettings, Settings
from llm_cost_ops.server.settings.tokens import JwtSettings
from llm_cost_ops.server.signin import store
from llm_cost_ops.server.signin.sign_in import Visitor, enter

GOAL_US = 60
GOAL_REVOKED_S = 1.0
PATH = "/api/v1/budgets"
BATCHES = 7
_HOST = (b"host", b"localhost")
Headers = list[tuple[bytes, bytes]]
Once = Callable[[], Awaitable[object]]


def scope_of(headers: Headers) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [_HOST, *headers],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
        "state": {"request_id": "req_bench", "client_ip": "127.0.0.1"},
    }


def authentication(app: Edge, headers: Headers) -> Once:
    """Authenticating one request."""
    known = {**scope_of(headers), "app": app}

    async def once() -> object:
        request = Request({**known, "state": dict(known["state"])})
        return await authenticate(request, "read:budgets")

    return once


def whole(app: Edge, headers: Headers) -> Once:
    """Answering one request."""
    known = scope_of(headers)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def once() -> object:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await app({**known, "state": dict(known["state"])}, receive, send)
        if statuses[0] != 200:
            raise RuntimeError(f"GET {PATH}: {statuses[0]}")
        return statuses

    return once


async def least_us(once: Once, times: int) -> float:
    """CPU microseconds of one, in the fastest of some batches."""
    found: list[float] = []
    for _ in range(20):
        await once()
    for _ in range(BATCHES):
        began = time.process_time()
        for _ in range(times):
            await once()
        found.append((time.process_time() - began) / times * 1e6)
    return min(found)


def person(app: Edge, organization_id: str, email: str) -> tuple[Headers, Headers]:
    """Somebody who has signed in: an access token, and the cookie of a session."""
    state = app.state
    actor = Actor(organization_id, None, None, state.clock.micros())
    with write(state.database) as session:
        user = create_user(session, actor, NewUser(email=email, role="admin"))
    with write(state.database) as session:
        account = store.find_account(session, email)
        if account is None:
            raise RuntimeError("no account")
        pair = state.tokens.issue_pair(
            session, organization_id=organization_id, user_id=user.id, account_id=account.id
        )
    entered = enter(state.sign_in, account, Visitor("127.0.0.1"))
    token = (b"authorization", f"Bearer {pair.access_token}".encode())
    return [token], [(b"cookie", f"cost_ops_session={entered.secret}".encode())]


def settings_of(ledger: Place, algorithm: str, folder: Path) -> Settings:
    """Default settings but for the limit, which is counted and never reached."""
    limits = RateLimitSettings(enabled=True, requests_per_minute=10**9)
    known = Settings(database=ledger.settings, rate_limit=limits)
    jwt = JwtSettings()
    if algorithm == "EdDSA":
        file = folder / "key.pem"
        key = Ed25519PrivateKey.generate()
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        jwt = JwtSettings(algorithm="EdDSA", private_key_file=str(file))
    return replace(known, jwt=jwt)


def credentials(ledger: Place) -> list[tuple[str, Edge, Headers, bool]]:
    """Each kind: its name, an app that takes it, its headers, and whether the goal is about it."""
    folder = Path(ledger.url.removeprefix("sqlite:///")).parent
    found: list[tuple[str, Edge, Headers, bool]] = []
    for algorithm in ("HS256", "EdDSA"):
        app = create_app(settings_of(ledger, algorithm, folder), clock=SystemClock())
        token, cookie = person(app, ledger.organization_id, f"{algorithm}@example.com".lower())
        if algorithm == "HS256":
            key: Headers = [(b"authorization", f"Bearer {ledger.key}".encode())]
            found += [("API key", app, key, True), ("session in a cookie", app, cookie, False)]
        found.append((f"access token ({algorithm})", app, token, True))
    return found


def figure(name: str, app: Edge, headers: Headers, runs: int, times: int, goal: bool) -> Figure:
    ours, beside = authentication(app, headers), whole(app, headers)
    with asyncio.Runner() as runner:
        pair = paired(
            lambda: runner.run(least_us(ours, times if goal else times // 10)),
            lambda: runner.run(least_us(beside, max(10, times // 30))),
            runs,
        )
    low, high = pair.spread
    return Figure(
        f"authentication of a request: {name}" + ("" if goal else ", looked up at each request"),
        f"under {GOAL_US} \u00b5s of CPU with a warm cache" if goal else "stated",
        f"a whole `GET {PATH}`: {pair.beside:,.0f} \u00b5s of CPU",
        f"{pair.ours:,.1f} \u00b5s",
        f"{pair.ratio:.3f} ({low:.3f}..{high:.3f})",
        [pair.ours < GOAL_US] if goal else [],
    )


async def until_refused(app: Edge, ledger: Place) -> float:
    """Seconds for which a key in constant use is still accepted after another process has
    revoked it, which is seen here as a change of the database alone."""
    with write(app.state.database) as session:
        issued = issue_key(
            session,
            organization_id=ledger.organization_id,
            name="revoked",
            scopes=("*",),
            prefix="sk_test_",
            now_us=app.state.clock.micros(),
        )
    once = authentication(app, [(b"authorization", f"Bearer {issued.secret}".encode())])
    await once()
    with write(app.state.database) as session:
        set_revoked(session, ledger.organization_id, issued.key.id, app.state.clock.micros())
    began = time.monotonic()
    while True:
        try:
            await once()
        except Problem:
            return time.monotonic() - began
        await asyncio.sleep(0.002)


def revocation(app: Edge, ledger: Place, runs: int) -> Figure:
    with asyncio.Runner() as runner:
        seconds = [runner.run(until_refused(app, ledger)) for _ in range(runs)]
    longest = max(seconds)
    return Figure(
        "a key that another process revokes: until it is refused here",
        f"within {GOAL_REVOKED_S:.0f} s",
        "-",
        f"{longest:.2f} s at most",
        f"{longest / GOAL_REVOKED_S:.2f} of the goal",
        [longest <= GOAL_REVOKED_S],
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    times = 50 if chosen.tiny else 2_000
    with place("sqlite") as ledger:
        kinds = credentials(ledger)
        for name, app, headers, goal in kinds:
            say([figure(name, app, headers, chosen.runs, times, goal)])
        say([revocation(kinds[0][1], ledger, chosen.runs)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
