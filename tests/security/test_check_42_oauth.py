"""Check 42: no implicit and no password grant, rotation, revocation, introspection, metadata."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.access.tokens.tables import oauth_clients
from llm_cost_ops.server.db.session import read
from tests.support.application import Application
from tests.support.oauth import CLIENTS, Flow, error_of

pytestmark = pytest.mark.check(42)
CREDENTIALS = {"grant_types": ["client_credentials"], "redirect_uris": []}


@pytest.mark.parametrize("kind", ["token", "id_token", "code token", "none", "", None])
def test_there_is_no_implicit_grant(sqlite_application: Application, kind: Any) -> None:
    back = Flow(sqlite_application).sent_back(response_type=kind)
    assert back["error"] == "unsupported_response_type"


@pytest.mark.parametrize("kind", ["password", "implicit", "", None])
def test_there_is_no_password_grant(sqlite_application: Application, kind: Any) -> None:
    flow = Flow(sqlite_application)
    answer = flow.token(grant_type=kind, username="a", password="b")
    assert error_of(answer) == (400, "unsupported_grant_type")


def test_a_grant_that_the_client_does_not_have(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application)
    answer = flow.token(grant_type="client_credentials")
    assert error_of(answer) == (400, "unauthorized_client")


def test_refresh_tokens_follow_each_other(application: Application) -> None:
    flow = Flow(application)
    first = flow.redeem(flow.code()).json()
    second = flow.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    again = flow.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert again.json()["refresh_token"] == second.json()["refresh_token"]
    third = flow.token(grant_type="refresh_token", refresh_token=second.json()["refresh_token"])
    assert third.status_code == 200
    stolen = flow.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert error_of(stolen) == (400, "invalid_grant")
    ended = flow.token(grant_type="refresh_token", refresh_token=third.json()["refresh_token"])
    assert error_of(ended) == (400, "invalid_grant")


def test_a_refresh_token_is_of_its_client(sqlite_application: Application) -> None:
    flow, other = Flow(sqlite_application), Flow(sqlite_application)
    token = flow.redeem(flow.code()).json()["refresh_token"]
    answer = other.token(grant_type="refresh_token", refresh_token=token)
    assert error_of(answer) == (400, "invalid_grant")
    elsewhere = sqlite_application.post(
        "/api/v1/auth/refresh", key=None, json={"refresh_token": token}
    )
    assert elsewhere.status_code == 401
    assert flow.token(grant_type="refresh_token", refresh_token=token).status_code == 200


@pytest.mark.parametrize("basic", [True, False])
def test_a_client_acts_for_itself(application: Application, basic: bool) -> None:
    flow = Flow(application, **CREDENTIALS, scopes=["read:costs", "read:budgets"])
    answer = flow.token(grant_type="client_credentials", scope="costs:read", basic=basic)
    assert answer.status_code == 200
    tokens = answer.json()
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "read:costs"
    assert application.get("/api/v1/costs", key=tokens["access_token"]).status_code == 200
    assert application.get("/api/v1/budgets", key=tokens["access_token"]).status_code == 403
    more = flow.token(grant_type="client_credentials", scope="write:costs")
    assert error_of(more) == (400, "invalid_scope")


def test_a_client_proves_who_it_is(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, **CREDENTIALS)
    secret = flow.client["client_secret"]
    flow.client["client_secret"] = secret[:-1] + ("x" if secret[-1] != "x" else "y")
    answer = flow.token(grant_type="client_credentials")
    assert error_of(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert error_of(flow.token(grant_type="client_credentials", basic=False))[0] == 401


def test_a_public_client_sends_no_secret(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, public=True)
    assert "client_secret" not in flow.client
    assert flow.redeem(flow.code()).status_code == 200
    assert error_of(flow.redeem(flow.code(), client_secret="x")) == (401, "invalid_client")


def test_tokens_are_introspected_and_given_back(application: Application) -> None:
    flow, reader = Flow(application), Flow(application, **CREDENTIALS)
    tokens = flow.redeem(flow.code()).json()
    said = reader.token(path="introspect", token=tokens["access_token"]).json()
    assert said["active"] is True
    assert said["client_id"] == flow.client["client_id"]
    assert (said["sub"], said["scope"]) == (flow.person.account_id, "read:costs")
    assert reader.token(path="introspect", token=tokens["refresh_token"]).json()["active"]
    other = Flow(application.another(), **CREDENTIALS)
    inactive = {"active": False}
    assert other.token(path="introspect", token=tokens["access_token"]).json() == inactive
    assert other.token(path="introspect", token=tokens["refresh_token"]).json() == inactive
    assert reader.token(path="revoke", token=tokens["refresh_token"]).status_code == 200
    assert flow.status(tokens["access_token"]) == 200  # it was another client that asked
    assert flow.token(path="revoke", token=tokens["refresh_token"]).status_code == 200
    assert flow.status(tokens["access_token"]) == 401
    for token in (tokens["access_token"], tokens["refresh_token"], "x", "a.b.c"):
        assert reader.token(path="introspect", token=token).json() == inactive
        assert flow.token(path="revoke", token=token).status_code == 200


def test_introspection_is_not_for_everybody(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, public=True)
    assert error_of(flow.token(path="introspect", token="x")) == (401, "invalid_client")
    answer = sqlite_application.post("/oauth/introspect", key=None, data={"token": "x"})
    assert error_of(answer) == (401, "invalid_client")


def test_the_metadata(sqlite_application: Application) -> None:
    said = sqlite_application.get("/.well-known/oauth-authorization-server", key=None).json()
    assert said["issuer"] == "http://testserver"
    assert said["response_types_supported"] == ["code"]
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert "password" not in said["grant_types_supported"]
    assert sqlite_application.get("/oauth/jwks", key=None).json() == {"keys": []}


def test_a_removed_client_ends_with_its_tokens(application: Application) -> None:
    flow = Flow(application)
    tokens = flow.redeem(flow.code()).json()
    assert flow.status(tokens["access_token"]) == 200
    path = f"{CLIENTS}/{flow.client['client_id']}"
    assert application.another().delete(path).status_code == 404
    assert application.delete(path).status_code == 204
    assert flow.status(tokens["access_token"]) == 401
    assert flow.consent().status_code == 400
    assert application.get(path).status_code == 404
    assert application.delete(path).status_code == 404


def test_the_secret_is_shown_once_and_stored_nowhere(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application)
    secret = flow.client["client_secret"]
    assert secret not in sqlite_application.get(CLIENTS).text
    with read(sqlite_application.database) as session:
        assert secret not in str(session.execute(select(oauth_clients)).all())


def test_a_client_can_do_no_more_than_who_registers_it(sqlite_application: Application) -> None:
    weak = sqlite_application.new_key("write:api_keys", "read:costs")
    body = {"name": "x", **CREDENTIALS, "scopes": ["write:costs"]}
    answer = sqlite_application.post(CLIENTS, key=weak, json=body)
    assert answer.status_code == 403
    assert sqlite_application.get(CLIENTS).json()["data"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"grant_types": ["password"]}, {"grant_types": ["refresh_token"]}, {"grant_types": []},
        {"public": True, **CREDENTIALS}, {"redirect_uris": []}, {"scopes": ["x"]}, {"scopes": []},
        {"client_secret": "x"}, {"name": " "},
    ],
)  # fmt: skip
def test_a_client_that_cannot_be(sqlite_application: Application, fields: Any) -> None:
    body = {"name": "x", "redirect_uris": ["https://a.example/"], "scopes": ["read:costs"]}
    assert sqlite_application.post(CLIENTS, json={**body, **fields}).status_code == 422


def test_only_who_signed_in_consents(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application)
    asking = flow.asking()
    path = "/oauth/authorize"
    assert sqlite_application.post(path, key=None, json=asking).status_code == 401
    assert sqlite_application.post(path, json=asking).status_code == 403  # an API key
    delegated = flow.redeem(flow.code()).json()["access_token"]
    assert sqlite_application.post(path, key=delegated, json=asking).status_code == 403
    stranger = Flow(sqlite_application.another()).access_token
    assert sqlite_application.post(path, key=stranger, json=asking).status_code == 403
    assert flow.sent_back(decision="deny")["error"] == "access_denied"


def test_the_page_asks_once(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, name="<b>App</b>")
    page = sqlite_application.get("/oauth/authorize", key=flow.access_token, params=flow.asking())
    assert page.status_code == 200
    assert "<b>App" not in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found is not None
    form = {"ticket": found[1], "decision": "approve"}
    thief = Flow(sqlite_application).access_token
    stolen = sqlite_application.post("/oauth/authorize", key=thief, data=form)
    assert stolen.status_code == 400
    sent = sqlite_application.post("/oauth/authorize", key=flow.access_token, data=form)
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("https://app.example.com/callback?code=")
    again = sqlite_application.post("/oauth/authorize", key=flow.access_token, data=form)
    assert again.status_code == 400


def test_parameters_that_come_twice(sqlite_application: Application) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in ("grant_type=a&grant_type=b", "client_id=%ff", "a=1;b=2" * 60, "é"):
        answer = sqlite_application.post(
            "/oauth/token", key=None, headers=headers, content=body.encode()
        )
        assert answer.status_code in (400, 401)
    answer = sqlite_application.post("/oauth/token", key=None, json={"grant_type": "x"})
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.check(19)
def test_who_fails_again_and_again_waits(sqlite_application: Application) -> None:
    flow, other = (Flow(sqlite_application, **CREDENTIALS) for _ in range(2))
    good = flow.client["client_secret"]
    flow.client["client_secret"] = "cs_wrong"
    failed = [flow.token(grant_type="client_credentials") for _ in range(12)]
    assert [answer.status_code for answer in failed] == [401] * 10 + [429] * 2
    assert 1 <= int(failed[-1].headers["retry-after"]) <= 60
    assert other.token(grant_type="client_credentials").status_code == 200
    flow.client["client_secret"] = good
    assert flow.token(grant_type="client_credentials").status_code == 429
