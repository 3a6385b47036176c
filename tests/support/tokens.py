"""People with roles, and the tokens that signing in would give them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, update

from llm_cost_ops.server.access.tokens.pairs import TokenPair
from llm_cost_ops.server.db.session import write, write_retrying
from llm_cost_ops.server.identity.tables import accounts, user_roles, users
from tests.support.application import Application

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    """A user of an organization with an account."""

    account_id: str
    user_id: str
    organization_id: str


def add_person(application: Application, *roles: str) -> Person:
    """A new user of the application's organization with these roles."""
    number = next(_numbers)
    person = Person(f"acc_{number}", f"user-{number}", application.organization_id)
    now_us = application.clock.micros()
    with write(application.database) as session:
        email = f"{person.user_id}@example.com"
        session.execute(
            insert(accounts), {"id": person.account_id, "email": email, "created_at": now_us}
        )
        session.execute(
            insert(users),
            {
                "organization_id": person.organization_id,
                "id": person.user_id,
                "kind": "person",
                "account_id": person.account_id,
                "email": email,
                "created_at": now_us,
            },
        )
        for role in roles:
            session.execute(insert(user_roles), {**_role(person, role), "created_at": now_us})
    return person


def sign_in(application: Application, person: Person, **fields: Any) -> TokenPair:
    """The tokens of somebody who has just signed in."""
    return write_retrying(
        application.database,
        lambda session: application.app.state.tokens.issue_pair(
            session,
            organization_id=person.organization_id,
            user_id=person.user_id,
            account_id=person.account_id,
            **fields,
        ),
    )


def disable(application: Application, person: Person) -> None:
    with write(application.database) as session:
        session.execute(
            update(users)
            .where(users.c.organization_id == person.organization_id, users.c.id == person.user_id)
            .values(disabled_at=application.clock.micros())
        )


def sign_out_everywhere(application: Application, person: Person) -> None:
    with write(application.database) as session:
        session.execute(
            update(accounts)
            .where(accounts.c.id == person.account_id)
            .values(token_version=accounts.c.token_version + 1)
        )


def take_role(application: Application, person: Person, role: str) -> None:
    with write(application.database) as session:
        session.execute(
            delete(user_roles).where(
                *(user_roles.c[name] == value for name, value in _role(person, role).items())
            )
        )


def _role(person: Person, role: str) -> dict[str, str]:
    return {"organization_id": person.organization_id, "user_id": person.user_id, "role": role}
