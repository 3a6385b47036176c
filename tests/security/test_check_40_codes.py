"""Checks 8, 40 and 41: a code works once, soon, for who asked for it and can prove it (PKCE)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.oauth import CALLBACK, Flow, challenge_of, error_of
from tests.support.tokens import disable

INVALID = (400, "invalid_grant")


@pytest.fixture
def still(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    clock = FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield made


def later(application: Application, seconds: float) -> None:
    clock = application.clock
    assert isinstance(clock, FixedClock)
    clock.current += timedelta(seconds=seconds)
    clock.elapsed_s += seconds


@pytest.mark.check(40)
def test_a_code_gives_tokens_for_the_person(application: Application) -> None:
    flow = Flow(application)
    back = flow.sent_back()
    assert (back["state"], back["iss"]) == ("s t&a=te", "http://testserver")
    answer = flow.redeem(back["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "read:costs")
    said = application.get("/api/v1/auth/validate", key=tokens["access_token"]).json()
    assert said["scopes"] == ["read:costs"]
    assert application.get("/api/v1/costs", key=tokens["access_token"]).status_code == 200
    assert application.get("/api/v1/budgets", key=tokens["access_token"]).status_code == 403


@pytest.mark.check(40)
def test_a_code_that_comes_twice_revokes_what_it_gave(application: Application) -> None:
    flow = Flow(application)
    code = flow.code()
    tokens = flow.redeem(code).json()
    assert flow.status(tokens["access_token"]) == 200
    assert error_of(flow.redeem(code)) == INVALID
    again = flow.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert error_of(again) == INVALID
    application.portal.call(application.app.state.tokens.forget_client, flow.client["client_id"])
    assert flow.status(tokens["access_token"]) == 401


@pytest.mark.check(8)
def test_of_several_redeemed_at_once_one_wins(application: Application) -> None:
    flow = Flow(application)
    code = flow.code()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: flow.redeem(code), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


@pytest.mark.check(40)
def test_a_code_lives_for_a_minute(still: Application) -> None:
    flow = Flow(still)
    kept, late = flow.code(), flow.code()
    later(still, 59.999)
    assert flow.redeem(kept).status_code == 200
    later(still, 0.001)
    assert error_of(flow.redeem(late)) == INVALID


@pytest.mark.check(40)
@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": CALLBACK + "/"}, {"redirect_uri": None}, {"code_verifier": None},
        {"code_verifier": "x" * 43}, {"code_verifier": "short"}, {"code_verifier": "x" * 129},
    ],
)  # fmt: skip
def test_a_code_is_bound_to_its_address_and_verifier(
    sqlite_application: Application, changed: dict[str, Any]
) -> None:
    flow = Flow(sqlite_application)
    assert error_of(flow.redeem(flow.code(), **changed)) == INVALID


@pytest.mark.check(40)
def test_a_code_is_bound_to_its_client(sqlite_application: Application) -> None:
    flow, other = Flow(sqlite_application), Flow(sqlite_application)
    other.verifier = flow.verifier
    code = flow.code()
    assert error_of(other.redeem(code)) == INVALID
    assert flow.redeem(code).status_code == 200


@pytest.mark.check(40)
def test_a_code_of_who_is_gone_gives_nothing(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application)
    code = flow.code()
    disable(sqlite_application, flow.person)
    assert error_of(flow.redeem(code)) == INVALID


@pytest.mark.check(41)
@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "x" * 42},
        {"code_challenge": "x" * 44},
        {"code_challenge": "=" * 43},
    ],
)
def test_pkce_is_required_of_every_client(
    sqlite_application: Application, public: bool, changed: dict[str, Any]
) -> None:
    flow = Flow(sqlite_application, public=public)
    back = flow.sent_back(**changed)
    assert back["error"] == "invalid_request"
    assert (back["state"], back["iss"]) == ("s t&a=te", "http://testserver")
    assert "code" not in back


@pytest.mark.check(41)
def test_the_challenge_as_verifier_is_refused(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, public=True)
    code = flow.code()
    refused = flow.redeem(code, code_verifier=challenge_of(flow.verifier))
    assert error_of(refused) == INVALID
    assert flow.redeem(code).status_code == 200
