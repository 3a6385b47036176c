"""The key ring: who an API key belongs to, and when keys were last used."""

from __future__ import annotations

import asyncio

from anyio import to_thread

from llm_cost_ops.core.grants import Grants
from llm_cost_ops.server.access import store
from llm_cost_ops.server.access.memory import MAX_REMEMBERED, Memory
from llm_cost_ops.server.access.principal import Principal, acting_for
from llm_cost_ops.server.access.secret import digest, new_secret, well_formed
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.grants import grants_of
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.identity.users import is_ended

USED_APART_SECONDS = 60
FLUSH_SECONDS = 5.0
_MICROS = 1_000_000
TRUSTED_PREFIX = "process_"


def invalid_key() -> Problem:
    return Problem(401, "AUTH_001", "Invalid API key", headers={"WWW-Authenticate": "Bearer"})


def missing_key() -> Problem:
    return Problem(401, "AUTH_001", "Missing API key", headers={"WWW-Authenticate": "Bearer"})


class KeyRing:
    """The API keys as one server process knows them (see `Memory`). Used from one event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._memory = Memory(lambda secret: self._find(digest(secret)), clock)
        self._trusted: dict[str, Principal] = {}
        self._used: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._log = logger("access")

    def trust(self, principal: Principal) -> str:
        """A new secret that stands for `principal` in this process alone: for the operator at the
        command line, whose right to the database the operating system has checked. It is stored
        nowhere, so no other process accepts it; a process that listens never calls this."""
        secret = new_secret(TRUSTED_PREFIX)
        self._trusted[digest(secret)] = principal
        return secret

    async def principal(self, secret: str) -> Principal:
        """The holder of a key. Raises Problem 401 and DatabaseUnavailable."""
        found = self.remembered(secret)
        if found is not None:
            return found
        if not well_formed(secret):
            raise invalid_key()
        found = await self._memory.principal(digest(secret), secret)
        if found is None:
            raise invalid_key()
        self._note_use(found)
        return found

    def remembered(self, secret: str) -> Principal | None:
        """The holder, if the key was looked up a moment ago: no waiting, no database."""
        key = digest(secret)
        found = self._memory.remembered(key, secret)
        if found is None:
            return self._trusted.get(key)
        self._note_use(found)
        return found

    def _note_use(self, principal: Principal) -> None:
        self._used[principal.key_id] = self._clock.micros()

    def _find(self, key: str) -> Principal | None:
        with read(self._database) as session:
            found = store.find_by_digest(session, key)
            if found is None or not found.active(self._clock.micros()):
                return None
            if found.user_id and is_ended(session, found.organization_id, found.user_id):
                return None
            owner = get_organization(session, found.organization_id)
            slug = owner.slug if owner else None
            if found.user_id is not None:
                grants = grants_of(session, found.organization_id, found.user_id)
                return _of_user(found, found.user_id, grants, slug)
        return Principal(
            found.id,
            found.organization_id,
            found.scopes,
            found.expires_at,
            slug,
            environment=found.environment,
            allowed_networks=found.allowed_networks,
        )

    def forget(self, key_id: str) -> None:
        """Look this key up again at its next use. For the process that changed it, in its event
        loop."""
        self._memory.forget(lambda principal: principal.key_id == key_id)

    def forget_user(self, organization_id: str, user_id: str) -> None:
        """Look the keys of a user up again at their next use, as `forget` does."""
        self._memory.forget(
            lambda principal: (
                principal.organization_id == organization_id and principal.user_id == user_id
            )
        )

    async def keep_last_used(self) -> None:
        """Write when keys were last used, each at most once a minute, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush_last_used()

    async def flush_last_used(self) -> None:
        """Write what is due. What cannot be written now is tried again the next time."""
        due = {
            key_id: used_at
            for key_id, used_at in self._used.items()
            if used_at - self._written.get(key_id, 0) >= USED_APART_SECONDS * _MICROS
        }
        if not due:
            return
        try:
            await to_thread.run_sync(self._touch, due)
        except PASSING as error:
            self._log.warning("last use of keys not written", reason=error.message)
            return
        self._written.update(due)
        for key_id, used_at in due.items():
            if self._used.get(key_id) == used_at:
                del self._used[key_id]
        while len(self._written) > MAX_REMEMBERED:
            del self._written[next(iter(self._written))]

    def _touch(self, due: dict[str, int]) -> None:
        def work(session: WriteSession) -> None:
            store.touch(session, due, USED_APART_SECONDS * _MICROS)

        write_retrying(self._database, work)


def _of_user(key: store.ApiKey, user_id: str, grants: Grants, slug: str | None) -> Principal | None:
    """A key of a user can do what the user can do now, and ends with the user."""
    if not grants.enabled:
        return None
    return acting_for(
        grants,
        key_id=key.id,
        organization_id=key.organization_id,
        user_id=user_id,
        scopes=key.scopes,
        expires_at=key.expires_at,
        organization_slug=slug,
        environment=key.environment,
        allowed_networks=key.allowed_networks,
    )
