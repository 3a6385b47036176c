"""Sealed columns: all are known, and keys change while the server works (RELIABILITY, row 38)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from llm_cost_ops import models
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.delivery.sealing import NoSecretKey, Vault, is_sealed
from llm_cost_ops.server.privacy.sealed import NOT_SEALED, PAGE, SEALED, rotate, status
from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings, Settings
from llm_cost_ops.server.webhooks.pump import SECRETS
from llm_cost_ops.server.webhooks.tables import webhook_endpoints
from tests.support.application import Application, running

OLD, NEW, LOST = "old-key-" * 5, "new-key-" * 5, "lost-key-" * 5
LOOKS_SECRET = re.compile(
    r"secret|sealed|seed|totp|password|credential|private|cipher|encrypt|token|config$"
)
NO_SECRET = re.compile(r"(tokens|_version|_at|digest|hash)$")
"""Counts, times, and what cannot be opened."""
EVENTS = ["cost.created"]


def test_every_column_that_looks_like_a_secret_is_known() -> None:
    known = {sealed.name for sealed in SEALED} | set(NOT_SEALED)
    columns = {
        f"{table.name}.{column.name}"
        for table in models.Base.metadata.tables.values()
        for column in table.columns
        if LOOKS_SECRET.search(column.name) and not NO_SECRET.search(column.name)
    }
    unknown = columns - known
    assert not unknown, f"add to SEALED, or with a reason to NOT_SEALED: {sorted(unknown)}"
    assert not {name for name in NOT_SEALED if name not in columns}, "gone"


def keyed(settings: Settings, secret_key: str | None, *encryption: str, **more: Any) -> Settings:
    security = SecuritySettings(secret_key=secret_key, encryption_keys=encryption, **more)
    return replace(settings, security=security)


@pytest.fixture
def place(database_settings: DatabaseSettings) -> Iterator[tuple[Application, Settings]]:
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    settings = keyed(Settings(database=patient), OLD)
    with running(settings) as app:
        yield app, settings


def endpoints(app: Application, count: int) -> list[str]:
    made: list[str] = []
    for number in range(count):
        body = {
            "url": f"https://hooks.example.com/{number}",
            "events": EVENTS,
            "secret": f"secret-number-{number}-of-this-test",
        }
        answer = app.post("/api/v1/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def stored(app: Application) -> dict[str, str]:
    row = webhook_endpoints.c
    with read(app.database) as session:
        return {one.id: one.secret for one in session.execute(select(row.id, row.secret))}


def by_name(counts: list[Any]) -> dict[str, Any]:
    return {count.column: count for count in counts}


def test_keys_change_while_secrets_are_used(place: tuple[Application, Settings]) -> None:
    app, settings = place
    ids = endpoints(app, 12)
    both = keyed(settings, OLD, NEW)
    assert by_name(status(app.database, both))["webhook_endpoints.secret"].older == 12

    stop, failed, opened = threading.Event(), list[Exception](), [0]

    def use() -> None:
        vault = Vault.of(both, SECRETS)
        while not stop.is_set():
            try:
                for key, text in stored(app).items():
                    assert vault.open(text, key).startswith("secret-number-")
                    opened[0] += 1
            except Exception as error:
                failed.append(error)
                return

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with write(app.database) as session:
                key = ids[number % len(ids)]
                fresh = Vault.of(settings, SECRETS).seal(f"secret-number-x{number}", key)
                session.execute(
                    update(webhook_endpoints)
                    .where(webhook_endpoints.c.id == key)
                    .values(secret=fresh)
                )
            stop.wait(0.01)

    threads = [threading.Thread(target=work) for work in (use, use, change)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        rotate(app.database, both, app.clock.micros())
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert opened[0] > 0
    done = by_name(rotate(app.database, both, app.clock.micros()))["webhook_endpoints.secret"]
    assert done.unreadable == 0
    assert done.current + done.resealed == 12
    only_new = Vault.of(keyed(settings, None, NEW), SECRETS)
    assert all(only_new.open(text, key) for key, text in stored(app).items())
    with read(app.database) as session:
        logged = session.execute(
            select(audit_log.c.after).where(
                audit_log.c.action == "secrets.rotate",
                audit_log.c.organization_id == app.organization_id,
            )
        )
        assert logged.first() is not None


def test_many_pages_unreadable_and_open_ones(place: tuple[Application, Settings]) -> None:
    app, settings = place
    endpoints(app, 3)
    keys = sorted(stored(app))
    with write(app.database) as session:
        row = dict(
            session.execute(select(webhook_endpoints).where(webhook_endpoints.c.id == keys[0]))
            .mappings()
            .one()
        )
        none = Vault.of(keyed(settings, None), SECRETS)
        more = [
            {**row, "id": f"whk_more_{n:04}", "secret": none.seal("open", f"whk_more_{n:04}")}
            for n in range(PAGE)
        ]
        session.execute(webhook_endpoints.insert(), more)
        lost = Vault.of(keyed(settings, LOST), SECRETS).seal("x", keys[1])
        session.execute(
            update(webhook_endpoints).where(webhook_endpoints.c.id == keys[1]).values(secret=lost)
        )
    before = by_name(status(app.database, settings))["webhook_endpoints.secret"]
    assert (before.current, before.open, before.unreadable) == (2, PAGE, 1)
    new = keyed(settings, NEW, previous_secret_keys=(OLD,))
    done = by_name(rotate(app.database, new, 1))["webhook_endpoints.secret"]
    assert (done.resealed, done.unreadable, done.current) == (PAGE + 2, 1, 0)
    assert stored(app)[keys[1]] == lost, "what no key opens is left as it is"
    assert all(is_sealed(text) for text in stored(app).values())
    after = by_name(status(app.database, new))["webhook_endpoints.secret"]
    assert (after.current, after.older, after.open, after.unreadable) == (PAGE + 2, 0, 0, 1)


def test_production_without_a_key_rotates_nothing(place: tuple[Application, Settings]) -> None:
    app, settings = place
    endpoints(app, 1)
    before = stored(app)
    app_settings = replace(settings.app, environment="production")
    bare = replace(keyed(settings, None, previous_secret_keys=(OLD,)), app=app_settings)
    with pytest.raises(NoSecretKey):
        rotate(app.database, bare, 1)
    assert stored(app) == before
