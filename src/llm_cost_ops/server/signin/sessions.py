"""Sessions as credentials: the cookie of a browser whose user signed in.

They are looked up at each request, so one that was ended is refused at the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from llm_cost_ops.server.access.principal import Principal, acting_for
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.last_admin import ADMIN
from llm_cost_ops.server.signin import cookies, store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.passwords import digest

READERS = 4
SEEN_APART_US = 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Visit:
    """A session in use, and what its user may do now."""

    session: store.Session
    email: str
    principal: Principal


def session_ended() -> Problem:
    return Problem(401, "AUTH_001", "The session has ended. Sign in again.")


class Sessions:
    """The credential of people in browsers, one of `app.state.credentials`."""

    def __init__(self, desk: SignInDesk) -> None:
        self._desk = desk
        self._readers: CapacityLimiter | None = None

    async def principal(self, request: Request, secret: str | None) -> Principal | None:
        """None when a header says who it is, or there is no cookie. Raises Problem 401 for a
        session that has ended, 403 for a change that no page of ours asks for."""
        given = cookies.cookie(request, cookies.SESSION)
        if secret is not None or given is None:
            return None
        if request.method not in cookies.SAFE_METHODS:
            cookies.check_csrf(request, given, request.headers.get(cookies.CSRF_HEADER))
        if self._readers is None:
            self._readers = CapacityLimiter(READERS)
        visit = await to_thread.run_sync(self.visit, given, limiter=self._readers)
        if visit is None:
            raise session_ended()
        return visit.principal

    def visit(self, secret: str) -> Visit | None:
        """The session of this secret, if it goes on."""
        desk, now_us = self._desk, self._desk.clock.micros()
        with read(desk.database) as session:
            row = store.find_session(session, digest(secret), now_us=now_us, idle_us=desk.idle_us)
            if row is None:
                return None
            grants = grants_of(session, row["organization_id"], row["user_id"])
        if row["sso_required"] and row["provider_id"] is None and ADMIN not in grants.role_names:
            return None
        found = store.Session(**{name: row[name] for name in store.Session.__slots__})
        if now_us - found.last_seen_at >= SEEN_APART_US:

            def seen(session: WriteSession) -> None:
                store.touch_session(session, found.id, now_us)

            write_retrying(desk.database, seen)
        principal = acting_for(
            grants,
            key_id=found.id,
            organization_id=found.organization_id,
            user_id=found.user_id,
            expires_at=found.expires_at,
            organization_slug=row["organization_slug"],
            account_id=found.account_id,
            confined=found.confined,
        )
        return Visit(found, row["email"], principal)
