"""Erase a person: a pseudonym in every place, some rows at a time, sums and chains whole.

Each step may run again: what is erased already is not found any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import Column, ColumnElement, String, Table, delete, or_, select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.access.tokens.tables import refresh_tokens, token_families
from llm_cost_ops.server.alerts.tables import alert_channels
from llm_cost_ops.server.audit import erase as audit
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.identity.last_admin import refuse_last_admins
from llm_cost_ops.server.identity.restricted import ERASED, restrict
from llm_cost_ops.server.identity.tables import accounts, users
from llm_cost_ops.server.ledger import pseudonymise
from llm_cost_ops.server.privacy import budgets
from llm_cost_ops.server.privacy.places import (
    ACCOUNT,
    EMAIL,
    ID,
    JSON,
    PLACES,
    REMOVE,
    RENAME,
    Place,
)
from llm_cost_ops.server.privacy.rewrite import Rewriter, Subject
from llm_cost_ops.server.privacy.subject import accounts_of_this_organization_alone
from llm_cost_ops.server.spend.lock import hold_alone

PAGE = 500
T = TypeVar("T")
Write = Callable[[Callable[[WriteSession], int]], int]
"""Runs some work in a transaction of its own."""
Count = tuple[str, str, int]
"""Place, what was done there, rows."""


class Erasure:
    """One erasure under way; `channels` opens the configurations of alert channels."""

    def __init__(self, subject: Subject, pseudonym: str, actor: Actor, channels: Vault) -> None:
        self._subject = subject
        self._organization_id = subject.organization_id
        self._name = pseudonym
        self._actor = actor
        self._channels = channels
        self._rewriter = Rewriter(subject, pseudonym)

    def run(self, write: Write) -> Iterator[Count]:
        """Everything in order, with counts; give them to the certificate. Raises LastAdmin, and
        then nothing was erased."""
        paged = write(self._begin)
        yield from self._ledger(write, paged=bool(paged))
        yield "refresh_tokens", "removed", write(self._tokens)
        for place in PLACES:
            if place.erased == RENAME:
                yield place.name, "pseudonym", self._renamed(place, write)
            elif place.erased == REMOVE:
                yield place.name, "removed", write(partial(self._remove, place))
        yield "alert_channels.config", "recipient removed", write(self._recipients)
        yield "audit_log", "pseudonym", write(self._audit)
        yield "users", "emptied", write(self._users)
        yield "accounts", "removed", write(self._accounts)

    def _begin(self, session: WriteSession) -> int:
        """No call that is committed from now on names the person, and nothing opens to the
        person. Of two administrators who are erased at once, the second is kept."""
        ids = self._subject.user_ids
        refuse_last_admins(session, self._organization_id, ids)
        paged = budgets.widen(session, self._organization_id, self._rewriter)
        restrict(session, self._organization_id, ids, ERASED, self._actor.now_us)
        mine = (users.c.organization_id == self._organization_id, users.c.id.in_(ids))
        session.execute(
            update(users)
            .where(*mine, users.c.disabled_at.is_(None))
            .values(disabled_at=self._actor.now_us)
        )
        session.execute(
            update(api_keys)
            .where(
                api_keys.c.organization_id == self._organization_id,
                api_keys.c.user_id.in_(ids),
                api_keys.c.revoked_at.is_(None),
            )
            .values(revoked_at=self._actor.now_us)
        )
        return int(paged)

    def _tokens(self, session: WriteSession) -> int:
        """Those of the families that are removed afterwards."""
        family, mine = token_families.c, self._subject
        alone = accounts_of_this_organization_alone(session, mine)
        in_organization = family.organization_id == self._organization_id
        theirs = select(family.id).where(
            or_(in_organization & family.user_id.in_(mine.user_ids), family.account_id.in_(alone))
        )
        ids = session.execute(theirs).scalars().all()
        gone = session.execute(delete(refresh_tokens).where(refresh_tokens.c.family_id.in_(ids)))
        return int(gone.rowcount)

    def _ledger(self, write: Write, *, paged: bool) -> Iterator[Count]:
        counts = dict.fromkeys(self._TALLIED, 0)
        if paged:
            for table in pseudonymise.TABLES:
                counts[f"{table.name}.user_id"] += self._calls(table, write)
                counts[f"{table.name} labels"] += self._labels(table, write)
        last: dict[str, int] = {}

        def rest(session: WriteSession) -> int:
            last.clear()
            last.update(self._last_calls(session))
            return 0

        write(rest)
        for name in self._TALLIED:
            yield name, "pseudonym", counts[name] + last.get(name, 0)

    _TALLIED = (
        *(f"{table.name}.user_id" for table in pseudonymise.TABLES),
        *(f"{table.name} labels" for table in pseudonymise.TABLES),
        "budgets.definition",
    )

    def _calls(self, table: Table, write: Write) -> int:
        total = 0
        rename = partial(self._rename_calls, table)
        while (count := write(rename)) == pseudonymise.PAGE:
            total += count
        return total + count

    def _rename_calls(self, table: Table, session: WriteSession) -> int:
        ids, now_us = self._subject.user_ids, self._actor.now_us
        return pseudonymise.rename(session, self._organization_id, table, ids, self._name, now_us)

    def _labels(self, table: Table, write: Write) -> int:
        total, after = 0, [""]

        def page(session: WriteSession) -> int:
            changed, last = pseudonymise.relabel(
                session,
                self._organization_id,
                table,
                after[-1],
                self._rewriter.json,
                self._actor.now_us,
            )
            after.append(last or "")
            return changed

        while True:
            total += write(page)
            if not after[-1]:
                return total

    def _last_calls(self, session: WriteSession) -> dict[str, int]:
        """Those that are left, alone among those who record; then the new name stands alone."""
        hold_alone(session, self._organization_id)

        def here(work: Callable[[WriteSession], int]) -> int:
            return work(session)

        last: dict[str, int] = {}
        for table in pseudonymise.TABLES:
            last[f"{table.name}.user_id"] = self._calls(table, here)
            last[f"{table.name} labels"] = self._labels(table, here)
        narrowed = budgets.narrow(session, self._organization_id, self._rewriter)
        return {**last, "budgets.definition": narrowed}

    def _keys_of(self, place: Place) -> tuple[str, ...]:
        by = {ID: "user_ids", ACCOUNT: "account_ids", EMAIL: "emails"}
        return cast("tuple[str, ...]", getattr(self._subject, by[place.holds]))

    def _renamed(self, place: Place, write: Write) -> int:
        if place.holds in (ID, EMAIL, ACCOUNT):
            return write(partial(self._rename, place))
        total, after = 0, [""]

        def page(session: WriteSession) -> int:
            changed, last = _rewrite_page(
                session, place, self._organization_id, after[-1], self._rewriter
            )
            after.append(last)
            return changed

        while True:
            total += write(page)
            if not after[-1]:
                return total

    def _rename(self, place: Place, session: WriteSession) -> int:
        column = place.table.c[place.column]
        done = session.execute(
            update(place.table)
            .where(
                place.table.c.organization_id == self._organization_id,
                column.in_(self._keys_of(place)),
            )
            .values({place.column: self._name})
        )
        return int(done.rowcount)

    def _remove(self, place: Place, session: WriteSession) -> int:
        keys = self._keys_of(place)
        if place.holds == ACCOUNT:
            keys = accounts_of_this_organization_alone(session, self._subject)
        mine: list[ColumnElement[bool]] = [place.table.c[place.column].in_(keys)]
        if place.holds != ACCOUNT:  # an account is of no organization
            mine.append(place.table.c.organization_id == self._organization_id)
        return int(session.execute(delete(place.table).where(*mine)).rowcount)

    def _recipients(self, session: WriteSession) -> int:
        """Take the person's addresses out of channels; one that then tells nobody is disabled."""
        row = alert_channels.c
        found = session.execute(
            select(row.id, row.config).where(row.organization_id == self._organization_id)
        )
        changed = 0
        for one in found.mappings().all():
            channel_id = str(one["id"])
            try:
                fields = loads(self._channels.open(one["config"], channel_id))
            except SecretUnreadable:
                continue
            recipients: list[str] = fields.get("recipients") or []
            kept = [one for one in recipients if self._rewriter.text(one) == one]
            if len(kept) == len(recipients):
                continue
            changed += 1
            values: dict[str, Any] = {"addressees": len(kept)}
            if kept:
                sealed = self._channels.seal(dumps({**fields, "recipients": kept}), channel_id)
                values["config"] = sealed
            else:
                fresh = {**fields, "recipients": [f"{self._name}@erased.invalid"]}
                values = {"enabled": 0, "config": self._channels.seal(dumps(fresh), channel_id)}
            session.execute(
                update(alert_channels)
                .where(row.organization_id == self._organization_id, row.id == channel_id)
                .values(**values)
            )
        return changed

    def _audit(self, session: WriteSession) -> int:
        subject = self._subject
        _, count = audit.erase(
            session,
            self._actor,
            user_ids=(*subject.user_ids, *subject.account_ids),
            emails=subject.emails,
            pseudonym=self._name,
        )
        return count

    def _users(self, session: WriteSession) -> int:
        row = users.c
        mine = (row.organization_id == self._organization_id, row.id.in_(self._subject.user_ids))
        ids = session.execute(select(row.id).where(*mine).order_by(row.id)).scalars().all()
        nothing = dict.fromkeys(
            ("name", "email", "given_name", "family_name", "external_id", "metadata", "account_id")
        )
        for place, user_id in enumerate(ids):
            name = self._name if place == 0 else f"{self._name}-{place}"
            session.execute(
                update(users)
                .where(row.organization_id == self._organization_id, row.id == user_id)
                .values(id=name, kind="seen", disabled_at=self._actor.now_us, **nothing)
            )
        return len(ids)

    def _accounts(self, session: WriteSession) -> int:
        """Accounts that are left in no organization. Those of other organizations stay theirs."""
        column = accounts.c.id
        used = select(users.c.account_id).where(users.c.account_id.in_(self._subject.account_ids))
        kept = set(session.execute(used).scalars())
        gone = [one for one in self._subject.account_ids if one not in kept]
        return int(session.execute(delete(accounts).where(column.in_(gone))).rowcount)


def key_of(table: Table) -> Column[str]:
    """The column by which an organization's rows are gone through."""
    for column in reversed(list(table.primary_key.columns)):
        if column.name != "organization_id" and isinstance(column.type, String):
            return column
    return table.c.organization_id if "organization_id" in table.c else table.c.id


def _rewrite_page(
    session: WriteSession, place: Place, organization_id: str, after: str, rewriter: Rewriter
) -> tuple[int, str]:
    """Rewrite the next rows; how many were changed, and the key to go on from, empty at the end."""
    rows = texts_of(session, place, organization_id, after)
    key, column = key_of(place.table), place.table.c[place.column]
    changed = 0
    for found, text in rows:
        fresh = rewriter.json(text) if place.holds == JSON else rewriter.plain(text)
        if fresh is None:
            continue
        changed += 1
        session.execute(
            update(place.table)
            .where(*within(place.table, organization_id), key == found)
            .values({column.name: fresh})
        )
    return changed, rows[-1][0] if len(rows) == PAGE else ""


def texts_of(
    session: ReadSession, place: Place, organization_id: str, after: str
) -> list[tuple[str, str]]:
    """Keys and texts of the next rows that have some."""
    key, column = key_of(place.table), place.table.c[place.column]
    query = (
        select(key, column)
        .where(*within(place.table, organization_id), key > after, column.is_not(None))
        .order_by(key)
        .limit(PAGE)
    )
    rows: Sequence[Any] = session.execute(query).all()
    return [(str(row[0]), str(row[1])) for row in rows]


def within(table: Table, organization_id: str) -> list[ColumnElement[bool]]:
    """The condition that keeps to an organization."""
    column = table.c.id if table.name == "organizations" else table.c.organization_id
    return [column == organization_id]
