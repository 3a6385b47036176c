"""Organizations, members and custom providers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select

from llm_cost_ops.core.errors import AmountError, DomainError
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write, write_retrying
from llm_cost_ops.server.identity import members
from llm_cost_ops.server.identity.organizations import (
    OrganizationError,
    OrganizationExists,
    create_organization,
    find_organization,
    get_organization,
    list_organizations,
)
from llm_cost_ops.server.identity.providers import (
    ProviderError,
    ProviderExists,
    list_providers,
    register_provider,
    registered_providers,
)
from llm_cost_ops.server.identity.tables import projects, users
from tests.support.application import Application

NOW = 1_800_000_000_000_000


def make(database: Database, name: str = "Acme", **options: Any) -> Any:
    with write(database) as session:
        return create_organization(session, name=name, now_us=NOW, **options)


def test_an_organization_is_what_it_was_made(database: Database) -> None:
    made = make(
        database,
        "Acme & Söhne",
        currency="EUR",
        time_zone="Europe/Berlin",
        settings={"budget_limit": 5},
    )
    assert (made.id, made.slug) == ("org-acme-s-hne", "acme-s-hne")
    with read(database) as session:
        assert get_organization(session, made.id) == made
        assert list_organizations(session) == [made]
        audited = session.execute(select(audit_log)).one()
    assert (audited.action, audited.organization_id) == ("organization.created", made.id)


def test_defaults(database: Database) -> None:
    made = make(database)
    assert (made.currency, made.time_zone, made.settings) == ("USD", "UTC", {})


def test_a_slug_that_is_an_id_already_is_the_id(database: Database) -> None:
    """The documents call their organization `org-abc`: so does who makes it."""
    made = make(database, "org-abc")
    assert (made.id, made.slug) == ("org-abc", "org-abc")
    assert make(database, "organic").id == "org-organic"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("A", "a"), ("  x  ", "x"), ("--", None), ("日本語", None), ("a" * 255, "a" * 100)],
)
def test_a_slug_comes_from_the_name(database: Database, name: str, slug: str | None) -> None:
    made = make(database, name)
    assert slug is None or made.slug == slug
    assert made.slug
    assert made.id.startswith("org-")
    assert len(made.id) <= 50


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"name": ""}, OrganizationError, "name"),
        ({"name": " "}, OrganizationError, "name"),
        ({"name": "x" * 256}, OrganizationError, "name"),
        ({"name": "a\x00"}, OrganizationError, "name"),
        ({"slug": "Not A Slug"}, OrganizationError, "slug"),
        ({"slug": "a--b"}, OrganizationError, "slug"),
        ({"slug": "a" * 101}, OrganizationError, "slug"),
        ({"organization_id": "acme"}, OrganizationError, "id"),
        ({"organization_id": "org-"}, OrganizationError, "id"),
        ({"organization_id": "org-a b"}, OrganizationError, "id"),
        ({"organization_id": "org-" + "a" * 47}, OrganizationError, "id"),
        ({"time_zone": "Mars/Olympus"}, OrganizationError, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, OrganizationError, "time_zone"),
        ({"time_zone": ""}, OrganizationError, "time_zone"),
        ({"currency": "usd"}, AmountError, "currency"),
    ],
)
def test_what_cannot_be_made(
    database: Database, options: dict[str, Any], error: type[DomainError], field: str
) -> None:
    with pytest.raises(error) as caught:
        make(database, **{"name": "Acme", **options})
    assert caught.value.field == field
    with read(database) as session:
        assert list_organizations(session) == []


def test_the_longest_id(database: Database) -> None:
    assert make(database, organization_id="org-" + "a" * 46).id == "org-" + "a" * 46


@pytest.mark.parametrize(
    "options",
    [
        {"name": "Acme"},
        {"name": "Other", "slug": "acme"},
        {"name": "x", "organization_id": "org-acme"},
    ],
)
def test_ids_and_slugs_are_taken_once(database: Database, options: dict[str, Any]) -> None:
    make(database)
    with pytest.raises(OrganizationExists):
        make(database, **options)
    with read(database) as session:
        assert len(list_organizations(session)) == 1


def test_an_operator_finds_it_by_id_slug_or_its_only_name(database: Database) -> None:
    first = make(database, "Acme")
    second = make(database, "Acme", slug="acme-2", organization_id="org-2")
    third = make(database, "Third")
    with read(database) as session:
        assert find_organization(session, first.id) == first
        assert find_organization(session, "acme-2") == second
        assert find_organization(session, "Third") == third
        assert find_organization(session, "Acme") is None
        assert find_organization(session, "nobody") is None


def stored(database: Database, table: Any, organization_id: str) -> list[str]:
    with read(database) as session:
        return sorted(
            session.execute(
                select(table.c.id).where(table.c.organization_id == organization_id)
            ).scalars()
        )


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.writer, "before_cursor_execute", note)
    yield seen
    event.remove(database.writer, "before_cursor_execute", note)


def ensure(database: Database, given: Any) -> None:
    with write(database) as session:
        members.ensure_members(session, given, now_us=NOW)


def test_projects_and_users_become_known(database: Database) -> None:
    ensure(database, {"org-a": ({"p1"}, {"u1", "u2"}), "org-b": ({"p1"}, set())})
    ensure(database, {"org-a": ({"p1", "p2"}, {"u2", "U2", "u2 "})})
    assert stored(database, projects, "org-a") == ["p1", "p2"]
    assert stored(database, projects, "org-b") == ["p1"]
    assert set(stored(database, users, "org-a")) >= {"U2", "u1", "u2"}


def test_a_known_one_costs_nothing(database: Database) -> None:
    given = {"org-a": ({"p1"}, {"u1"})}
    for _ in range(2):
        ensure(database, given)
    with statements(database) as seen:
        ensure(database, given)
    assert [s for s in seen if "projects" in s or "users" in s] == []


def test_what_was_rolled_back_is_inserted_the_next_time(database: Database) -> None:
    given = {"org-a": ({"p1"}, {"u1"})}

    def fail(session: Any) -> None:
        members.ensure_members(session, given, now_us=NOW)
        raise RuntimeError("rolled back")

    for _ in range(2):
        with pytest.raises(RuntimeError), write(database) as session:
            fail(session)
    ensure(database, given)
    assert stored(database, projects, "org-a") == ["p1"]


def test_more_than_one_statement_holds(database: Database) -> None:
    many = {f"u{number}" for number in range(members.CHUNK * 2 + 1)}
    ensure(database, {"org-a": (set(), many)})
    assert len(stored(database, users, "org-a")) == len(many)


def test_what_is_known_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_KNOWN", 5)
    many = {f"u{number}" for number in range(20)}
    for _ in range(2):
        ensure(database, {"org-a": (set(), many)})
    assert len(members._known[database.writer]._ids) == 5
    ensure(database, {"org-a": (set(), many)})
    assert len(stored(database, users, "org-a")) == 20


def test_writers_at_once_agree(database: Database) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        given = {"org-a": ({f"p{n}" for n in range(number, 30)}, {f"u{n}" for n in range(30)})}
        try:
            write_retrying(
                database, lambda session: members.ensure_members(session, given, now_us=NOW)
            )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(stored(database, projects, "org-a")) == 30
    assert len(stored(database, users, "org-a")) == 30


def register(database: Database, provider_id: str, organization_id: str = "org-a") -> Any:
    with write(database) as session:
        return register_provider(session, organization_id, provider_id, now_us=NOW, name="Ours")


@pytest.mark.parametrize("provider_id", ["in-house", "a", "x" * 64, "7b.internal_v2"])
def test_a_provider_can_be_registered(database: Database, provider_id: str) -> None:
    made = register(database, provider_id)
    with read(database) as session:
        assert list_providers(session, "org-a") == [made]
        assert registered_providers(session, "org-a") == {provider_id}
        assert registered_providers(session, "org-b") == frozenset()
    with pytest.raises(ProviderExists):
        register(database, provider_id)
    register(database, provider_id, "org-b")


@pytest.mark.parametrize(
    "provider_id",
    ["", "x" * 65, "In-House", "a b", "-a", "a/b", "ä", "openai", "bedrock", "vertex_ai", "custom"],
)
def test_other_names_cannot(database: Database, provider_id: str) -> None:
    with pytest.raises(ProviderError) as caught:
        register(database, provider_id)
    assert caught.value.field == "id"


def test_providers_over_http(application: Application) -> None:
    call = {"provider": "in-house", "model": "m", "prompt_tokens": 1, "completion_tokens": 1}
    assert application.post("/api/v1/usage", json=call).status_code == 422
    made = application.post("/api/v1/providers", json={"id": "in-house", "name": "Ours"})
    assert made.status_code == 201
    assert set(made.json()) == {"id", "name", "created_at"}
    assert application.post("/api/v1/usage", json=call).status_code == 201
    again = application.post("/api/v1/providers", json={"id": "in-house"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
    listed = application.get("/api/v1/providers").json()
    assert listed["data"] == [made.json()]
    assert (listed["has_more"], listed["next_cursor"]) == (False, None)
    other = application.another()
    assert other.get("/api/v1/providers").json()["data"] == []
    assert other.delete("/api/v1/providers/in-house").status_code == 404
    assert application.delete("/api/v1/providers/in-house").status_code == 204
    assert application.delete("/api/v1/providers/in-house").status_code == 404
    assert application.post("/api/v1/usage", json=call).status_code == 422
    with read(application.database) as session:
        actions = session.execute(
            select(audit_log.c.action)
            .where(audit_log.c.resource_type == "provider")
            .order_by(audit_log.c.timestamp)
        ).scalars()
        assert list(actions) == ["provider.created", "provider.deleted"]


@pytest.mark.parametrize(
    "body",
    [{}, {"id": 5}, {"id": "openai"}, {"id": "x", "url": "http://x"}, {"id": "x", "name": ""}],
)
def test_a_provider_that_is_not_valid(sqlite_application: Application, body: Any) -> None:
    answer = sqlite_application.post("/api/v1/providers", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")


def test_the_organization_of_the_key(application: Application) -> None:
    for one in (application, application.another()):
        body = one.get("/api/v1/organizations/current").json()
        assert body["id"] == one.organization_id
        assert set(body) == {
            "id", "name", "slug", "currency", "time_zone", "settings", "created_at",
            "fiscal_year_start_month", "data_retention_days",
        }  # fmt: skip
