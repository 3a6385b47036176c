"""The tokens of a program whose user signs in: they end with the session, and go along."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops import AsyncCostOpsClient
from llm_cost_ops.auth import Tokens, UserToken
from llm_cost_ops.server.access.tokens.tables import token_families
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.accounts import end_sessions
from llm_cost_ops.server.signin.sign_in import enter, prove_password
from llm_cost_ops.server.signin.visitor import Visitor
from tests.support.people import HOME, Browser, Doors, Person, add_to, make_person, totp

TOKENS = {"access_token", "refresh_token", "token_type", "expires_in"}


def program(doors: Doors) -> Browser:
    """What is no browser: it sends no Origin."""
    return doors.browser(origin=None)


def bearer(doors: Doors, token: str) -> Browser:
    return doors.browser(origin=None, headers={"Authorization": f"Bearer {token}"})


def signed_in(doors: Doors, person: Person, **more: Any) -> dict[str, Any]:
    answer = program(doors).login(person, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_program_gets_tokens_and_a_page_does_not(doors: Doors) -> None:
    person = make_person(doors, "analyst")
    answer = program(doors).login(person)
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert made["refresh_expires_in"] == 604_800
    assert made["user"] == {
        "id": person.user_id,
        "email": person.email,
        "organization_id": doors.organization_id,
        "roles": ["analyst"],
    }
    me = bearer(doors, made["access_token"]).me().json()
    assert (me["user_id"], me["roles"]) == (person.user_id, ["analyst"])
    assert me["expires_at"] == "2026-03-02T13:00:30Z"  # with the leeway
    assert "csrf_token" not in me
    assert not TOKENS & doors.browser().login(person).json().keys()
    fetched = doors.browser(origin=None, headers={"Sec-Fetch-Site": "same-origin"})
    assert not TOKENS & fetched.login(person).json().keys()


def test_the_second_factor_is_asked_for_first(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    secret = browser.post("/2fa/enroll", {"password": person.password}).json()["secret"]
    code = totp(secret, sqlite_doors.clock)
    assert browser.post("/2fa/confirm", {"totp": code}).status_code == 200
    refused = program(sqlite_doors).login(person)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "SECOND_FACTOR_REQUIRED")
    with read(sqlite_doors.database) as session:
        assert session.execute(select(token_families)).all() == []
    sqlite_doors.time.current += timedelta(seconds=30)
    made = signed_in(sqlite_doors, person, totp=totp(secret, sqlite_doors.clock))
    assert made.keys() >= TOKENS


def test_tokens_and_session_end_together(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    for way in ("cookie", "token", "list", "page"):
        client = program(sqlite_doors)
        made = client.login(person).json()
        holder, token = bearer(sqlite_doors, made["access_token"]), made["refresh_token"]
        assert holder.me().status_code == 200
        if way == "token":
            assert holder.post("/logout").status_code == 204
        elif way == "cookie":
            assert client.post("/logout").status_code == 204
        elif way == "list":
            desk = sqlite_doors.browser()
            desk.login(person)
            path = f"/api/v1/auth/sessions/{made['session_id']}"
            assert desk.request("DELETE", path).status_code == 204
        else:
            client.origin = HOME
            assert client.open("/logout").send("/logout").answer.status_code == 200
        assert (holder.me().status_code, client.me().status_code) == (401, 401), way
        refreshed = program(sqlite_doors).post("/refresh", {"refresh_token": token})
        assert refreshed.status_code == 401, way
    with read(sqlite_doors.database) as session:
        statement = select(audit_log.c.actor_id).where(audit_log.c.action == "auth.logout")
        actors = [row[:4] for row in session.execute(statement).scalars()]
    assert actors == ["ses_", "fam_", "ses_"]


def test_tokens_whose_session_is_idle_are_listed_and_end_alone(doors: Doors) -> None:
    person = make_person(doors, "viewer")
    made = signed_in(doors, person)
    family = made["session_id"].replace("ses_", "fam_")
    desk, foreign = doors.browser(), doors.browser()
    assert desk.login(person).status_code == 200
    ids = {row["id"] for row in desk.get("/api/v1/auth/sessions").json()["data"]}
    assert made["session_id"] in ids
    assert family not in ids
    doors.time.current += timedelta(days=3)
    for browser, who in ((desk, person), (foreign, make_person(doors, "viewer"))):
        assert browser.login(who).status_code == 200
    rows = {row["id"]: row for row in desk.get("/api/v1/auth/sessions").json()["data"]}
    assert made["session_id"] not in rows
    assert rows[family]["current"] is False
    path = f"/api/v1/auth/sessions/{family}"
    assert foreign.request("DELETE", path).status_code == 404
    refresh = {"refresh_token": made["refresh_token"]}
    renewed = program(doors).post("/refresh", refresh).json()
    assert bearer(doors, renewed["access_token"]).me().status_code == 200
    assert "a program" in desk.open("/account").text
    assert desk.request("DELETE", path).status_code == 204
    assert bearer(doors, renewed["access_token"]).me().status_code == 401
    again = {"refresh_token": renewed["refresh_token"]}
    assert program(doors).post("/refresh", again).status_code == 401
    assert desk.request("DELETE", path).status_code == 404


def test_they_are_renewed_and_the_session_goes_on(sqlite_doors: Doors) -> None:
    made = signed_in(sqlite_doors, make_person(sqlite_doors, "viewer"))
    sqlite_doors.time.current += timedelta(seconds=3_631)
    assert bearer(sqlite_doors, made["access_token"]).me().status_code == 401
    answer = program(sqlite_doors).post("/refresh", {"refresh_token": made["refresh_token"]})
    pair = answer.json()
    assert pair["refresh_token"] != made["refresh_token"]
    assert bearer(sqlite_doors, pair["access_token"]).me().status_code == 200
    assert bearer(sqlite_doors, pair["access_token"]).post("/logout").status_code == 204
    assert bearer(sqlite_doors, pair["access_token"]).me().status_code == 401


def test_tokens_go_on_in_another_organization(doors: Doors) -> None:
    other, person = doors.other(), make_person(doors, "viewer")
    add_to(other, person, "admin")
    made = signed_in(doors, person, organization=doors.organization_id)
    holder = bearer(doors, made["access_token"])
    assert holder.post("/switch-org", {"organization": "org-nowhere"}).status_code == 404
    switched = holder.post("/switch-org", {"organization": other.organization_id})
    assert switched.status_code == 200, switched.text
    assert switched.json()["id"] == other.organization_id
    assert "refresh_token" not in switched.json()
    assert holder.me().status_code == 401
    there = bearer(doors, switched.json()["access_token"]).me().json()
    assert (there["organization"]["id"], there["scopes"]) == (other.organization_id, ["*"])
    answer = program(doors).post("/refresh", {"refresh_token": made["refresh_token"]})
    again = bearer(doors, answer.json()["access_token"]).me().json()
    assert again["organization"]["id"] == other.organization_id


def test_a_switched_session_takes_its_tokens_along(sqlite_doors: Doors) -> None:
    other, person = sqlite_doors.other(), make_person(sqlite_doors, "viewer")
    add_to(other, person, "admin")
    client = program(sqlite_doors)
    made = client.login(person, organization=sqlite_doors.organization_id).json()
    client.post("/switch-org", {"organization": other.organization_id})
    assert bearer(sqlite_doors, made["access_token"]).me().status_code == 401
    answer = client.post("/refresh", {"refresh_token": made["refresh_token"]})
    me = bearer(sqlite_doors, answer.json()["access_token"]).me().json()
    assert me["organization"]["id"] == other.organization_id


def test_a_new_password_ends_them_and_gives_new_ones(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    client = program(sqlite_doors)
    made = client.login(person).json()
    body = {"current_password": person.password, "new_password": "quite another passphrase"}
    answer = client.post("/password", body).json()
    assert bearer(sqlite_doors, made["access_token"]).me().status_code == 401
    assert bearer(sqlite_doors, answer["access_token"]).me().status_code == 200


def test_a_password_changed_between_proof_and_entry_gives_nothing(sqlite_doors: Doors) -> None:
    person, desk = make_person(sqlite_doors, "viewer"), sqlite_doors.app.state.sign_in
    visitor = Visitor("203.0.113.9")
    account = prove_password(desk, person.email, person.password, visitor)
    with write(sqlite_doors.database) as session:
        end_sessions(session, person.account_id, now_us=sqlite_doors.clock.micros())
    with pytest.raises(Problem) as caught:
        enter(desk, account, visitor, with_tokens=True)
    assert caught.value.status == 401
    with read(sqlite_doors.database) as session:
        assert session.execute(select(token_families)).all() == []


def test_the_client_renews_what_a_login_gave(sqlite_doors: Doors) -> None:
    made = signed_in(sqlite_doors, make_person(sqlite_doors, "viewer"))
    sqlite_doors.time.current += timedelta(seconds=3_631)
    told: list[Tokens] = []
    auth = UserToken(
        made["access_token"],
        made["refresh_token"],
        f"{HOME}/api/v1/auth/refresh",
        renewed=told.append,
    )

    async def calls() -> list[object]:
        http = program(sqlite_doors).client
        client = AsyncCostOpsClient(base_url=HOME, auth=auth, http_client=http)
        return await asyncio.gather(*(client.costs.list() for _ in range(4)))

    assert sqlite_doors.portal.call(calls) == [[]] * 4
    assert len(told) == 1
    assert bearer(sqlite_doors, told[0].access_token).me().status_code == 200
