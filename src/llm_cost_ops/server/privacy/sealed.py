"""Every column that holds sealed secrets, and what becomes of them when keys change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, literal, select, update

from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.alerts.tables import alert_channels
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.record import INSTALLATION
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, read, write_retrying
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault, is_sealed
from llm_cost_ops.server.identity.provider_credentials import PURPOSE
from llm_cost_ops.server.identity.tables import provider_credentials
from llm_cost_ops.server.schedules.desk import PURPOSE as DESTINATIONS
from llm_cost_ops.server.schedules.tables import delivery_parts, delivery_schedules
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import second_factor
from llm_cost_ops.server.signin.sso import define as sso
from llm_cost_ops.server.signin.tables import identity_providers, second_factors
from llm_cost_ops.server.webhooks.pump import SECRETS
from llm_cost_ops.server.webhooks.tables import webhook_endpoints

PAGE = 100


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of sealed texts, each bound to `owner` of its row; `key` names the row."""

    table: Table
    column: str
    purpose: str
    owner: str = "id"
    key: str = "id"

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"


SEALED: tuple[Sealed, ...] = (
    Sealed(webhook_endpoints, "secret", SECRETS),
    Sealed(webhook_endpoints, "previous_secret", SECRETS),
    Sealed(alert_channels, "config", CHANNELS),
    Sealed(provider_credentials, "sealed", PURPOSE),
    Sealed(second_factors, "secret", second_factor.PURPOSE, "account_id", "account_id"),
    Sealed(identity_providers, "secret", sso.PURPOSE),
    Sealed(delivery_schedules, "secrets", DESTINATIONS),
    Sealed(delivery_parts, "secrets", DESTINATIONS),
)

NOT_SEALED: dict[str, str] = {
    "identity_providers.config": "scopes, domains and roles; the client secret stands beside it",
    "signing_keys.secret": "kept only where the installation has no secret to derive it from",
}
"""Columns that are named as secrets are and hold none, each with the reason."""


@dataclass(slots=True)
class Count:
    """Of one column: `current` are sealed under the key that seals, `older` under another that is
    known, `unreadable` under one that is not, or damaged; `open` are not sealed at all."""

    column: str
    current: int = 0
    older: int = 0
    open: int = 0
    unreadable: int = 0
    resealed: int = 0


def status(database: Database, settings: Settings) -> list[Count]:
    """How what is sealed stands under the present keys."""
    found: list[Count] = []
    for sealed in SEALED:
        vault = Vault.of(settings, sealed.purpose)
        count = Count(sealed.name)
        for page in _pages(database, sealed):
            for _, owner, _, stored in page:
                _tell(count, vault, stored, owner)
        found.append(count)
    return found


def _tell(count: Count, vault: Vault, stored: str, owner: str) -> None:
    try:
        vault.open(stored, owner)
    except SecretUnreadable:
        count.unreadable += 1
        return
    if not is_sealed(stored):
        count.open += 1
    elif vault.is_current(stored):
        count.current += 1
    else:
        count.older += 1


def rotate(database: Database, settings: Settings, now_us: int) -> list[Count]:
    """Seal again, under the key that seals now, whatever is sealed under another or not at all.

    A page of rows at a time, each only if nobody changed it meanwhile: readers and writers go on.
    What no key opens is left as it is and counted. Raises NoSecretKey where production has none.
    """
    found: list[Count] = []
    for sealed in SEALED:
        vault = Vault.of(settings, sealed.purpose)
        count = Count(sealed.name)
        for page in _pages(database, sealed):
            _reseal(database, sealed, vault, page, count, now_us)
        found.append(count)
    return found


_Page = list[tuple[str, str, str, str]]
"""Key, owner, organization, stored text."""


def _pages(database: Database, sealed: Sealed) -> Iterator[_Page]:
    after = ""
    while True:
        with read(database) as session:
            page = _page(session, sealed, after)
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _page(session: ReadSession, sealed: Sealed, after: str) -> _Page:
    row = sealed.table.c
    organization = row.get("organization_id", literal(INSTALLATION))
    query = (
        select(row[sealed.key], row[sealed.owner], organization, row[sealed.column])
        .where(row[sealed.key] > after, row[sealed.column].is_not(None))
        .order_by(row[sealed.key])
        .limit(PAGE)
    )
    rows: Sequence[Any] = session.execute(query).all()
    return [(str(row[0]), str(row[1]), str(row[2]), str(row[3])) for row in rows]


def _reseal(
    database: Database, sealed: Sealed, vault: Vault, page: _Page, count: Count, now_us: int
) -> None:
    fresh: list[tuple[str, str, str, str]] = []
    for key, owner, organization, stored in page:
        try:
            text = vault.open(stored, owner)
        except SecretUnreadable:
            count.unreadable += 1
            continue
        if vault.is_current(stored):
            count.current += 1
        else:
            fresh.append((key, organization, stored, vault.seal(text, owner)))
    if fresh:
        count.resealed += write_retrying(database, lambda s: _store(s, sealed, fresh, now_us))


def _store(session: WriteSession, sealed: Sealed, fresh: _Page, now_us: int) -> int:
    column: Column[str] = sealed.table.c[sealed.column]
    done: dict[str, int] = {}
    for key, organization, stored, again in fresh:
        changed = session.execute(
            update(sealed.table)
            .where(sealed.table.c[sealed.key] == key, column == stored)
            .values({sealed.column: again})
        ).rowcount
        done[organization] = done.get(organization, 0) + changed
    for organization, rows in done.items():
        if rows:
            Actor(organization, None, None, now_us).record(
                session, "secrets.rotate", "secrets", sealed.name, None, {"rows": rows}
            )
    return sum(done.values())
