"""Credentials of providers: kept sealed, opened for who calls, never shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault
from llm_cost_ops.server.identity.provider_credentials import PURPOSE, secret_of
from llm_cost_ops.server.identity.tables import provider_credentials
from llm_cost_ops.server.privacy.sealed import rotate
from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings, Settings
from tests.support.application import Application, running
from tests.support.calls import accepted, error, send

KEY, OTHER = "k" * 40, "o" * 40
SECRET, NEXT = "sk-proj-0123456789abcdefWXYZ", "sk-proj-9876543210fedcbaABCD"
PATH = "/provider-credentials"


@pytest.fixture
def app(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    settings = Settings(database=sqlite_settings, security=SecuritySettings(secret_key=KEY))
    with running(settings) as found:
        yield found


def vault(*keys: str) -> Vault:
    return Vault(keys[0], PURPOSE, others=keys[1:])


def opened(app: Application, name: str = "default", by: Vault | None = None) -> str | None:
    with read(app.database) as session:
        return secret_of(session, app.organization_id, by or vault(KEY), "openai", name)


def stored(app: Application) -> str:
    with read(app.database) as session:
        return str(session.execute(select(provider_credentials.c.sealed)).scalar_one())


def put(app: Application, **body: Any) -> dict[str, Any]:
    given = {"provider": "openai", "secret": SECRET, **body}
    return dict(accepted(send(app, PATH, given), 201))


def test_a_credential_is_kept_and_never_shown(app: Application) -> None:
    made = put(app, provider="OpenAI")
    assert (made["provider"], made["name"], made["masked"]) == ("openai", "default", "...WXYZ")
    assert opened(app) == SECRET
    assert SECRET not in stored(app)
    turned = app.post(f"/api/v1{PATH}/{made['id']}/rotate", json={"secret": NEXT})
    assert accepted(turned)["masked"] == "...ABCD"
    assert opened(app) == NEXT
    listed = app.get(f"/api/v1{PATH}")
    assert [row["id"] for row in accepted(listed)["data"]] == [made["id"]]
    assert app.delete(f"/api/v1{PATH}/{made['id']}").status_code == 204
    error(app.delete(f"/api/v1{PATH}/{made['id']}"), 404, "NOT_FOUND")
    assert opened(app) is None
    query = select(audit_log).where(audit_log.c.resource_type == "provider_credential")
    with read(app.database) as session:
        entries = session.execute(query).mappings().all()
    assert [entry["action"].partition(".")[2] for entry in entries] == [
        "created", "rotated", "deleted",
    ]  # fmt: skip
    for shown in (turned.text, listed.text, repr(made), repr(entries)):
        assert SECRET not in shown
        assert NEXT not in shown


def test_names_are_taken_once_and_by_provider(app: Application) -> None:
    put(app)
    error(send(app, PATH, {"provider": "openai", "secret": NEXT}), 409, "CONFLICT")
    put(app, name="batch", secret="short")
    put(app, provider="anthropic")
    assert opened(app, "batch") == "short"
    masked = {row["name"]: row["masked"] for row in accepted(app.get(f"/api/v1{PATH}"))["data"]}
    assert masked["batch"] == "...", "of a short secret nothing is shown"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "nobody-knows"}, "provider"),
        ({"secret": " "}, "secret"),
        ({"secret": "x" * 16_385}, "secret"),
        ({"name": ""}, "name"),
        ({"last_four": "abcd"}, "last_four"),
    ],
)
def test_what_is_not_kept(app: Application, body: dict[str, Any], field: str) -> None:
    found = error(send(app, PATH, {"provider": "openai", "secret": SECRET, **body}), 422)
    assert field in found["field_errors"]
    assert SECRET not in repr(found)
    assert accepted(app.get(f"/api/v1{PATH}"))["data"] == []


def test_it_belongs_to_its_organization_and_to_who_may(app: Application) -> None:
    made, other = put(app), app.another()
    error(other.post(f"/api/v1{PATH}/{made['id']}/rotate", json={"secret": NEXT}), 404)
    error(other.delete(f"/api/v1{PATH}/{made['id']}"), 404)
    assert accepted(other.get(f"/api/v1{PATH}"))["data"] == []
    with read(app.database) as session:
        assert secret_of(session, other.organization_id, vault(KEY), "openai", "default") is None
    reader = app.new_key("read:providers", "read:costs", "write:pricing")
    assert app.get(f"/api/v1{PATH}", key=reader).status_code == 403
    assert opened(app) == SECRET


def test_it_is_sealed_again_with_the_other_secrets(app: Application) -> None:
    put(app)
    security = SecuritySettings(secret_key=OTHER, previous_secret_keys=(KEY,))
    settings = replace(Settings(), security=security)
    (count,) = (
        found
        for found in rotate(app.database, settings, app.clock.micros())
        if found.column == "provider_credentials.sealed"
    )
    assert count.resealed == 1
    assert opened(app, by=vault(OTHER)) == SECRET
    with pytest.raises(SecretUnreadable):
        opened(app)
