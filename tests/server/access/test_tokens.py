"""Tokens of people: renewed once each, ended together, and never worth more than their user."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.access.tokens import tables
from llm_cost_ops.server.access.tokens.pairs import TokenPair
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.tokens import (
    add_person,
    disable,
    sign_in,
    sign_out_everywhere,
    take_role,
)

WHO = "/api/v1/auth/validate"
REFRESH = "/api/v1/auth/refresh"
REVOKE = "/api/v1/auth/token/revoke"


@pytest.fixture
def still(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    """An app whose clock a test moves."""
    clock = FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield made


def later(application: Application, seconds: float) -> None:
    clock = application.clock
    assert isinstance(clock, FixedClock)
    clock.current += timedelta(seconds=seconds)
    clock.elapsed_s += seconds


def renewed(application: Application, token: str | None, agent: str = "a") -> Any:
    headers = {"User-Agent": agent}
    return application.post(REFRESH, key=None, json={"refresh_token": token}, headers=headers)


def status(application: Application, token: str) -> int:
    return application.get(WHO, key=token).status_code


def signed_in(application: Application, *roles: str) -> TokenPair:
    return sign_in(application, add_person(application, *(roles or ("analyst",))))


def test_a_token_stands_for_its_user(application: Application) -> None:
    person = add_person(application, "analyst")
    pair = sign_in(application, person)
    answer = application.get(WHO, key=pair.access_token)
    assert answer.status_code == 200
    said = answer.json()
    assert said["organization_id"] == application.organization_id
    assert said["key_id"] == pair.family_id
    assert "read:costs" in said["scopes"]
    assert application.get("/api/v1/costs", key=pair.access_token).status_code == 200
    refused = application.post("/api/v1/providers", json={"id": "x"}, key=pair.access_token)
    assert refused.status_code == 403
    other = application.another().get(
        WHO, key=pair.access_token, headers={"X-Organization-ID": "org-other"}
    )
    assert other.status_code == 403


def test_a_refresh_token_works_once_and_is_followed(application: Application) -> None:
    pair = signed_in(application)
    answer = renewed(application, pair.refresh_token)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    new = answer.json()
    assert new["token_type"] == "Bearer"
    assert (new["expires_in"], new["refresh_expires_in"]) == (3_600, 604_800)
    assert new["refresh_token"] != pair.refresh_token
    assert status(application, new["access_token"]) == 200
    assert renewed(application, new["refresh_token"]).status_code == 200


def test_a_lost_answer_is_given_again(still: Application) -> None:
    pair = signed_in(still)
    first = renewed(still, pair.refresh_token).json()
    later(still, 19.999)
    again = renewed(still, pair.refresh_token)
    assert again.status_code == 200
    assert again.json()["refresh_token"] == first["refresh_token"]
    assert status(still, again.json()["access_token"]) == 200
    assert renewed(still, first["refresh_token"]).status_code == 200


@pytest.mark.parametrize("way", ["late", "elsewhere", "after the next"])
def test_a_token_that_comes_again_ends_the_family(still: Application, way: str) -> None:
    pair = signed_in(still)
    first = renewed(still, pair.refresh_token).json()
    agent = "a"
    if way == "late":
        later(still, 20)
    if way == "elsewhere":
        agent = "thief"
    if way == "after the next":
        assert renewed(still, first["refresh_token"]).status_code == 200
    assert status(still, first["access_token"]) == 200
    refused = renewed(still, pair.refresh_token, agent)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "AUTH_001"
    later(still, 0.9)
    assert renewed(still, first["refresh_token"]).status_code == 401
    assert status(still, first["access_token"]) == 401
    assert status(still, pair.access_token) == 401
    with read(still.database) as session:
        actions = list(session.execute(select(audit_log.c.action)).scalars())
    assert actions.count("auth.token.reuse_detected") == 1


def test_of_several_at_once_all_get_the_same_successor(application: Application) -> None:
    pair = signed_in(application)

    def renew(_: int) -> Any:
        return renewed(application, pair.refresh_token)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(renew, range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_a_refresh_token_that_lies_too_long_ends(still: Application) -> None:
    kept, late = signed_in(still), signed_in(still)
    later(still, 604_799)
    assert renewed(still, kept.refresh_token).status_code == 200
    later(still, 1)
    assert renewed(still, late.refresh_token).status_code == 401


def test_renewing_ends_at_last(still: Application) -> None:
    token = signed_in(still).refresh_token
    for _ in range(12):
        later(still, 604_000)
        token = renewed(still, token).json()["refresh_token"]
    later(still, 7_776_000 - 12 * 604_000 - 1)
    last = renewed(still, token).json()
    assert last["refresh_expires_in"] == 1
    later(still, 1)
    assert renewed(still, last["refresh_token"]).status_code == 401


@pytest.mark.parametrize(
    "token", ["x", "rt_", "rt_" + "0" * 49, "a.b.c", "sk_live_" + "0" * 49, " ", "é"]
)
def test_what_is_no_refresh_token(sqlite_application: Application, token: str) -> None:
    for path, name in ((REFRESH, "refresh_token"), (REVOKE, "token")):
        answer = sqlite_application.post(path, key=None, json={name: token})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_001")


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 257}])
def test_a_body_that_names_none(sqlite_application: Application, body: dict[str, str]) -> None:
    answer = sqlite_application.post(REFRESH, key=None, json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize("which", ["access", "refresh"])
def test_given_back_all_tokens_end(application: Application, which: str) -> None:
    person = add_person(application, "analyst")
    pair, other = sign_in(application, person), sign_in(application, person)
    assert status(application, pair.access_token) == 200
    token = pair.access_token if which == "access" else pair.refresh_token
    answer = application.post(REVOKE, key=None, json={"token": token})
    assert answer.status_code == 204
    assert status(application, pair.access_token) == 401
    assert renewed(application, pair.refresh_token).status_code == 401
    assert status(application, other.access_token) == 200
    again = application.post(REVOKE, key=None, json={"token": token})
    assert again.status_code == 401


@pytest.mark.check(7)
@pytest.mark.parametrize("change", [disable, sign_out_everywhere])
def test_tokens_of_who_is_gone_end_within_a_second(still: Application, change: Any) -> None:
    person = add_person(still, "analyst")
    pair = sign_in(still, person)
    assert status(still, pair.access_token) == 200
    change(still, person)
    later(still, 0.9)
    assert status(still, pair.access_token) == 401
    assert renewed(still, pair.refresh_token).status_code == 401


@pytest.mark.check(7)
def test_a_role_that_is_taken_ends_within_a_second(still: Application) -> None:
    person = add_person(still, "analyst")
    pair = sign_in(still, person)
    assert still.get("/api/v1/costs", key=pair.access_token).status_code == 200
    take_role(still, person, "analyst")
    later(still, 0.9)
    assert still.get("/api/v1/costs", key=pair.access_token).status_code == 403
    assert renewed(still, pair.refresh_token).json()["scope"] == ""


def test_no_secret_of_tokens_is_stored(application: Application) -> None:
    pair = signed_in(application)
    new = renewed(application, pair.refresh_token).json()
    stored: list[str] = []
    with read(application.database) as session:
        for table in (tables.refresh_tokens, tables.token_families, audit_log):
            stored += [str(row) for row in session.execute(select(table))]
    text = "\n".join(stored)
    for secret in (pair.refresh_token, new["refresh_token"], pair.access_token):
        assert secret is not None
        assert secret not in text
        assert secret[3:20] not in text
    assert pair.access_token not in repr(pair)
    assert str(pair.refresh_token) not in repr(pair)


def test_a_person_makes_keys_that_outlive_the_token_but_not_the_person(still: Application) -> None:
    person = add_person(still, "admin")
    token = sign_in(still, person).access_token
    made = still.post("/api/v1/auth/api-keys", json={"name": "k"}, key=token)
    assert made.status_code == 201, made.text
    key = made.json()
    assert (key["expires_at"], key["user_id"]) == (None, person.user_id)
    later(still, 4_000)
    assert status(still, token) == 401
    assert status(still, key["key"]) == 200
    disable(still, person)
    later(still, 0.9)
    assert status(still, key["key"]) == 401


def test_ended_families_are_removed(still: Application) -> None:
    signed_in(still)
    later(still, 7_776_000 + 86_401)
    signed_in(still)
    with read(still.database) as session:
        assert len(session.execute(select(tables.token_families)).all()) == 1
        assert len(session.execute(select(tables.refresh_tokens)).all()) == 1
