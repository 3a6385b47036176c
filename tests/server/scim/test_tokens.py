"""SCIM tokens: what they open, and when they are refused."""

from __future__ import annotations

import pytest

from tests.support.application import Application
from tests.support.scim import ERROR, USER, Provider

TOKENS = "/api/v1/scim-tokens"


@pytest.fixture
def own(shared: Application) -> Application:
    """The app as a new organization sees it."""
    return shared.another()


def created(own: Application, **body: object) -> dict[str, object]:
    answer = own.post(TOKENS, json={"name": "Okta", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_secret_is_shown_once(own: Application) -> None:
    made = created(own)
    secret = str(made.pop("token"))
    assert secret.startswith("scim_")
    assert made["prefix"] == "scim_"
    assert secret.endswith(str(made["last_four"]))
    listed = own.get(TOKENS)
    assert listed.json()["data"] == [{**made, "last_used_at": None}]
    assert secret not in listed.text


def test_it_opens_scim_and_nothing_else(own: Application) -> None:
    secret = str(created(own)["token"])
    assert own.get("/scim/v2/Users", key=secret).status_code == 200
    paths = {
        path
        for path, operations in own.app.state.document()["paths"].items()
        if path.startswith("/api/") and "get" in operations and "{" not in path
    }
    assert len(paths) > 20
    assert {own.get(path, key=secret).status_code for path in paths} == {401}
    assert own.post("/api/v1/usage", key=secret, json={}).status_code == 401
    assert own.post(TOKENS, key=secret, json={"name": "x"}).status_code == 401


def test_a_revoked_one_is_refused_at_once(own: Application) -> None:
    made = created(own)
    secret = str(made["token"])
    assert own.get("/scim/v2/Users", key=secret).status_code == 200
    assert own.delete(f"{TOKENS}/{made['id']}").status_code == 204
    refused = own.get("/scim/v2/Users", key=secret)
    assert refused.status_code == 401
    assert refused.json()["schemas"] == [ERROR]
    assert refused.headers["www-authenticate"] == "Bearer"
    assert own.delete(f"{TOKENS}/{made['id']}").status_code == 204


def test_one_of_another_organization(shared: Application, own: Application) -> None:
    made = created(own)
    other = shared.another()
    assert other.delete(f"{TOKENS}/{made['id']}").status_code == 404
    assert other.get(TOKENS).json()["data"] == []
    assert own.get("/scim/v2/Users", key=str(made["token"])).status_code == 200


@pytest.mark.parametrize("token", ["scim_", "scim_" + "x" * 49, "nonsense", "sk_live_abc"])
def test_secrets_that_are_none(own: Application, token: str) -> None:
    assert own.get("/scim/v2/Users", key=token).status_code == 401


def test_without_a_token(own: Application) -> None:
    answer = own.get("/scim/v2/Users", key=None)
    assert (answer.status_code, answer.json()["status"]) == (401, "401")


def test_its_use_is_noted(own: Application) -> None:
    secret = str(created(own)["token"])
    own.get("/scim/v2/Users", key=secret)
    assert own.get(TOKENS).json()["data"][0]["last_used_at"] is not None


@pytest.mark.parametrize(
    "body",
    [{"name": " "}, {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, {"name": "x", "a": 1}],
)
def test_tokens_that_cannot_be(own: Application, body: dict[str, object]) -> None:
    assert own.post(TOKENS, json=body).status_code == 422
    assert own.get(TOKENS).json()["data"] == []


def test_who_may_make_them(own: Application) -> None:
    body = {"name": "x"}
    weak = own.new_key("write:users", "write:teams")
    assert own.post(TOKENS, key=weak, json=body).status_code == 403
    strong = own.new_key("write:api_keys", "write:users", "write:teams")
    assert own.post(TOKENS, key=strong, json=body).status_code == 201
    roles = own.post(TOKENS, key=strong, json={**body, "assigns_roles": True})
    assert roles.status_code == 403


def test_a_token_lives_no_longer_than_the_key_that_makes_it(own: Application) -> None:
    until = own.clock.micros() + 3_600_000_000
    key = own.new_key(expires_at=until)
    made = own.post(TOKENS, key=key, json={"name": "x"}).json()
    assert made["expires_at"] is not None
    later = {"name": "x", "expires_at": "2090-01-01T00:00:00Z"}
    assert own.post(TOKENS, key=key, json=later).status_code == 403


def test_keys_open_what_they_may(own: Application) -> None:
    reads = own.new_key("read:users")
    writes = own.new_key("write:users", "read:users")
    body = {"schemas": [USER], "userName": "ann@example.com"}
    assert own.get("/scim/v2/Users", key=reads).status_code == 200
    assert own.post("/scim/v2/Users", key=reads, json=body).status_code == 403
    assert own.post("/scim/v2/Users", key=writes, json=body).status_code == 201
    assert own.get("/scim/v2/Groups", key=writes).status_code == 403
    refused = own.get("/scim/v2/Users", key=own.new_key("read:costs"))
    assert refused.json()["schemas"] == [ERROR]


def test_roles_need_a_token_that_may_give_them(shared: Application) -> None:
    weak = Provider.of(shared.another())
    user = weak.user()
    operation = {"op": "add", "path": "roles", "value": [{"value": "admin"}]}
    refused = weak.patch(f"/Users/{user['id']}", operation)
    assert refused.status_code == 403
    assert weak.get(f"/Users/{user['id']}").json() == user
    body = {"schemas": [USER], "userName": "b@example.com", "roles": [{"value": "viewer"}]}
    assert weak.request("POST", "/Users", body).status_code == 403
    assert weak.found("Users", 'userName eq "b@example.com"') == []


def test_a_key_gives_no_role_that_may_do_more(own: Application) -> None:
    user = Provider.of(own).user()
    key = own.new_key("write:users", "write:roles", "read:costs", "read:budgets", "read:reports")

    def give(role: str) -> int:
        operation = {"op": "replace", "path": "roles", "value": [{"value": role}]}
        path = f"/scim/v2/Users/{user['id']}"
        return own.request("PATCH", path, key=key, json={"Operations": [operation]}).status_code

    assert give("admin") == 403
    assert give("viewer") == 200
