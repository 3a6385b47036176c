"""API keys over HTTP, and what every route demands of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.access.secret import new_secret, well_formed
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from tests.support.application import Application

KEYS = "/api/v1/auth/api-keys"


def error(answer: Any) -> tuple[int, str, str]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["message"]


def test_a_new_key_is_shown_once_and_works(application: Application) -> None:
    made = application.post(KEYS, json={"name": "ci", "scopes": ["costs:write", "read:costs"]})
    assert made.status_code == 201
    row = made.json()
    secret = row.pop("key")
    assert well_formed(secret)
    assert secret.startswith("sk_live_")
    assert row["scopes"] == ["read:costs", "write:costs"]
    assert (row["name"], row["prefix"], row["last_four"]) == ("ci", "sk_live_", secret[-4:])
    assert (row["organization_id"], row["is_active"]) == (application.organization_id, True)
    whoami = application.get("/api/v1/auth/validate", key=secret).json()
    assert whoami == {
        "valid": True,
        "key_id": row["id"],
        "organization_id": application.organization_id,
        "scopes": ["read:costs", "write:costs"],
        "expires_at": None,
    }
    listed = application.get(KEYS)
    assert [key for key in listed.json()["data"] if key["id"] == row["id"]] == [
        {**row, "last_used_at": None}
    ]
    assert secret not in listed.text
    assert "digest" not in listed.text


def test_the_secret_is_stored_nowhere(application: Application) -> None:
    secret = application.post(KEYS, json={"name": "x"}).json()["key"]
    with read(application.database) as session:
        for table in (api_keys, audit_log):
            for row in session.execute(select(table)):
                assert secret not in str(row)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer(sqlite_application: Application, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {sqlite_application.key}"}
    answer = sqlite_application.get("/api/v1/auth/validate", key=None, headers=headers)
    assert answer.status_code == 200


def test_x_api_key(sqlite_application: Application) -> None:
    key = sqlite_application.key
    path = "/api/v1/auth/validate"
    assert sqlite_application.get(path, key=None, headers={"X-API-Key": key}).status_code == 200
    assert sqlite_application.get(path, headers={"X-API-Key": key}).status_code == 200
    two = sqlite_application.get(path, headers={"X-API-Key": new_secret("sk_")})
    assert error(two) == (401, "AUTH_001", "Invalid API key")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Missing API key"),
        ({"X-API-Key": ""}, "Missing API key"),
        ({"Authorization": ""}, "Invalid API key"),
        ({"Authorization": "Bearer"}, "Invalid API key"),
        ({"Authorization": "Bearer "}, "Invalid API key"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "Invalid API key"),
        ({"Authorization": "Bearer sk_live_wrong"}, "Invalid API key"),
        ({"Authorization": f"Bearer {new_secret('sk_live_')}"}, "Invalid API key"),
        ({"Authorization": "Bearer " + "x" * 10_000}, "Invalid API key"),
        ({"Authorization": b"Bearer \xff\xfe"}, "Invalid API key"),
        ({"X-API-Key": "é".encode()}, "Invalid API key"),
    ],
)
def test_no_key_or_a_wrong_one(
    sqlite_application: Application, headers: dict[str, str], message: str
) -> None:
    answer = sqlite_application.get("/api/v1/auth/validate", key=None, headers=headers)
    assert error(answer) == (401, "AUTH_001", message)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_several_keys_in_one_header_are_refused(sqlite_application: Application, name: str) -> None:
    start = "Bearer " if name == "Authorization" else ""
    good, other = sqlite_application.key, sqlite_application.another().key

    def asked(*keys: str) -> Any:
        headers = [(name, start + key) for key in keys]
        client = sqlite_application.client
        return sqlite_application.portal.call(
            lambda: client.get("/api/v1/auth/validate", headers=headers)
        )

    assert asked(good, good).status_code == 200
    for keys in ((good, other), (other, good), (good, "x")):
        assert error(asked(*keys)) == (401, "AUTH_001", "Invalid API key")


@pytest.mark.check(45)
@pytest.mark.parametrize(
    "query", ["api_key={key}", "token={key}", "access_token=x", "x={key}", "API_KEY=x"]
)
@pytest.mark.parametrize("with_header", [True, False])
def test_a_key_in_the_url_is_refused(
    sqlite_application: Application, query: str, with_header: bool
) -> None:
    key = sqlite_application.key
    path = f"/api/v1/auth/validate?{query.format(key=key)}"
    answer = sqlite_application.get(path, key="" if with_header else None)
    assert error(answer)[:2] == (400, "INVALID_REQUEST")
    assert key not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", KEYS, "write:api_keys"),
        ("GET", KEYS, "read:api_keys"),
        ("DELETE", f"{KEYS}/key_x", "write:api_keys"),
        ("GET", "/api/v1/providers", "read:costs"),
        ("POST", "/api/v1/providers", "write:pricing"),
        ("DELETE", "/api/v1/providers/x", "write:pricing"),
        ("POST", "/api/v1/usage", "write:costs"),
    ],
)
def test_each_route_demands_its_scope(
    sqlite_application: Application, method: str, path: str, scope: str
) -> None:
    others = {"read:api_keys", "write:api_keys", "read:costs", "write:pricing", "write:costs"}
    poor = sqlite_application.new_key(*(others - {scope}))
    answer = sqlite_application.request(method, path, key=poor, json={})
    assert error(answer) == (
        403,
        "INSUFFICIENT_PERMISSIONS",
        f"Insufficient permissions: {scope}",
    )
    rich = sqlite_application.new_key(scope)
    assert sqlite_application.request(method, path, key=rich, json={}).status_code not in (401, 403)


def test_a_key_can_do_no_more_than_its_maker(application: Application) -> None:
    maker = application.new_key("write:api_keys", "read:costs")
    beyond = application.post(KEYS, key=maker, json={"name": "x", "scopes": ["write:costs"]})
    assert error(beyond)[:2] == (403, "INSUFFICIENT_PERMISSIONS")
    assert "write:costs" in beyond.json()["error"]["message"]
    everything = application.post(KEYS, key=maker, json={"name": "x", "scopes": ["*"]})
    assert everything.status_code == 403
    within = application.post(KEYS, key=maker, json={"name": "x", "scopes": ["read:usage"]})
    assert within.json()["scopes"] == ["read:usage"]
    same = application.post(KEYS, key=maker, json={"name": "x"})
    assert same.json()["scopes"] == ["read:costs", "write:api_keys"]


def test_nor_for_longer(application: Application) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    maker = application.new_key("*", expires_at=int(end.timestamp()) * 1_000_000)
    text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert application.post(KEYS, key=maker, json={"name": "x"}).json()["expires_at"] == text
    longer = (end + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    refused = application.post(KEYS, key=maker, json={"name": "x", "expires_at": longer})
    assert error(refused)[:2] == (403, "INSUFFICIENT_PERMISSIONS")
    exact = application.post(KEYS, key=maker, json={"name": "x", "expires_at": text})
    assert exact.json()["expires_at"] == text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\x00b"}, None),
        ({"name": 5}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["raed:costs"]}, "scopes"),
        ({"name": "x", "scopes": "read:costs"}, "scopes"),
        ({"name": "x", "scopes": ["read:costs"] * 65}, "scopes"),
        ({"name": "x", "expires_at": "2020-01-01"}, "expires_at"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "expires_at": "2101-01-01"}, "expires_at"),
        ({"name": "x", "expires_at": 5}, "expires_at"),
        ({"name": "x", "role": "admin"}, "role"),
        ({"name": "x", "id": "key_mine"}, "id"),
        ({"name": "x", "created_at": "2020-01-01"}, "created_at"),
        ([], None),
        ("x", None),
        (None, None),
    ],
)
def test_a_body_that_is_not_valid(
    sqlite_application: Application, body: Any, field: str | None
) -> None:
    before = len(sqlite_application.get(KEYS).json()["data"])
    answer = sqlite_application.post(KEYS, json=body)
    assert answer.status_code == (400 if body == {"name": "a\x00b"} else 422)
    if field is not None:
        assert field in answer.json()["error"]["field_errors"]
    assert len(sqlite_application.get(KEYS).json()["data"]) == before


def test_permissions_is_another_name_of_scopes(sqlite_application: Application) -> None:
    made = sqlite_application.post(KEYS, json={"name": "x", "permissions": ["costs:read"]})
    assert made.json()["scopes"] == ["read:costs"]


def test_revoked_is_refused_at_once_and_for_good(application: Application) -> None:
    key_id, secret = application.new_key_with_id("read:costs")
    assert application.get("/api/v1/auth/validate", key=secret).status_code == 200
    assert application.delete(f"{KEYS}/{key_id}").status_code == 204
    answer = application.get("/api/v1/auth/validate", key=secret)
    assert error(answer) == (401, "AUTH_001", "Invalid API key")
    assert application.delete(f"{KEYS}/{key_id}").status_code == 204
    (row,) = [key for key in application.get(KEYS).json()["data"] if key["id"] == key_id]
    assert row["is_active"] is False
    assert row["revoked_at"] is not None


def test_keys_of_another_organization_do_not_exist(application: Application) -> None:
    other = application.another()
    foreign_id, foreign = other.new_key_with_id("*")
    revoke = application.delete(f"{KEYS}/{foreign_id}")
    unknown = application.delete(f"{KEYS}/key_00000000000000000000000000")
    assert error(revoke) == error(unknown) == (404, "NOT_FOUND", "API key not found")
    assert foreign_id not in application.get(KEYS).text
    assert application.get("/api/v1/auth/validate", key=foreign).status_code == 200
    named = application.post(KEYS, json={"name": "x", "organization_id": other.organization_id})
    assert error(named)[:2] == (403, "ORGANIZATION_MISMATCH")
    own = {"name": "x", "organization_id": application.organization_id}
    assert application.post(KEYS, json=own).status_code == 201


def test_the_own_organization_may_be_named_by_its_slug(application: Application) -> None:
    """Who makes it gives a name, and learns the id only from what is answered."""
    slug = application.get("/api/v1/organizations/current").json()["slug"]
    theirs = application.another().get("/api/v1/organizations/current").json()["slug"]
    call = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1, "completion_tokens": 1}
    stored = application.post("/api/v1/usage", json={**call, "organization_id": slug})
    assert stored.status_code == 201
    assert stored.json()["organization_id"] == application.organization_id
    assert application.get(f"/api/v1/costs?organization_id={slug}").status_code == 200
    refused = application.post("/api/v1/usage", json={**call, "organization_id": theirs})
    assert error(refused)[:2] == (403, "ORGANIZATION_MISMATCH")
    asked = application.get(f"/api/v1/costs?organization_id={theirs}")
    assert error(asked)[:2] == (403, "ORGANIZATION_MISMATCH")


def test_an_address_of_too_many_parameters_is_refused(sqlite_application: Application) -> None:
    def ask(count: int) -> Any:
        return sqlite_application.get(f"/api/v1/costs?{'&'.join(['model=a'] * count)}")

    assert ask(1000).status_code == 200
    assert error(ask(1001))[:2] == (400, "INVALID_REQUEST")


def test_the_list_pages_by_every_family(application: Application) -> None:
    for _ in range(6):
        application.new_key("read:costs")
    every = [key["id"] for key in application.get(KEYS).json()["data"]]
    assert len(every) == 7
    assert every == sorted(every, reverse=True)
    by_page = [
        key["id"]
        for page in (1, 2, 3)
        for key in application.get(f"{KEYS}?page={page}&per_page=3").json()["data"]
    ]
    by_offset = [
        key["id"]
        for offset in (0, 3, 6)
        for key in application.get(f"{KEYS}?limit=3&offset={offset}").json()["data"]
    ]
    by_cursor, cursor = [], ""
    while cursor is not None:
        answer = application.get(f"{KEYS}?page_size=3{cursor and '&cursor=' + cursor}").json()
        by_cursor += [key["id"] for key in answer["data"]]
        cursor = answer["next_cursor"]
        assert answer["has_more"] == (cursor is not None)
    assert by_page == by_offset == by_cursor == every


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("page=x", "page"), ("cursor=x", "cursor"), ("limt=5", "limt")],
)
def test_a_wrong_parameter_is_named(
    sqlite_application: Application, query: str, field: str
) -> None:
    answer = sqlite_application.get(f"{KEYS}?{query}")
    assert answer.status_code == 422
    assert field in answer.json()["error"]["field_errors"]


def test_a_cursor_of_another_organization_is_refused(application: Application) -> None:
    application.new_key("read:costs")
    cursor = application.get(f"{KEYS}?limit=1").json()["next_cursor"]
    answer = application.another().get(f"{KEYS}?cursor={cursor}")
    assert answer.status_code == 422


def test_making_and_revoking_are_audited(application: Application) -> None:
    made = application.post(KEYS, json={"name": "ci"}, headers={"X-Request-ID": "trace-1"}).json()
    application.delete(f"{KEYS}/{made['id']}")
    with read(application.database) as session:
        rows = session.execute(
            select(audit_log)
            .where(audit_log.c.resource_id == made["id"])
            .order_by(audit_log.c.timestamp)
        ).all()
    maker = application.get("/api/v1/auth/validate").json()["key_id"]
    assert [(row.action, row.actor_id) for row in rows] == [
        ("auth.api_key.created", maker),
        ("auth.api_key.revoked", maker),
    ]
    assert rows[0].request_id == "trace-1"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_json_that_says_it_is_something_else_is_refused(
    sqlite_application: Application, media_type: str
) -> None:
    answer = sqlite_application.post(
        KEYS, content=b'{"name": "x"}', headers={"Content-Type": media_type}
    )
    assert error(answer)[:2] == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/a+json"])
def test_json_by_any_of_its_names_is_taken(
    sqlite_application: Application, media_type: str
) -> None:
    answer = sqlite_application.post(
        KEYS, content=b'{"name": "x"}', headers={"Content-Type": media_type}
    )
    assert answer.status_code == 201
