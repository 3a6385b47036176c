"""SCIM passes the gate that everything passes: its requests are limited, and refusals of its tokens
are audited. The answers are those of SCIM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from llm_cost_ops.server.settings import DatabaseSettings, RateLimitSettings, Settings
from tests.support.application import Application, running
from tests.support.scim import ERROR, JSON, Provider

USERS = "/Users"
WRONG = "scim_" + "x" * 49


@pytest.fixture
def limited(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    own = RateLimitSettings(enabled=True, requests_per_minute=3, failures_per_minute=2)
    with running(Settings(database=sqlite_settings, rate_limit=own)) as made:
        yield made


def is_scim_error(answer: httpx.Response, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == status
        and answer.headers["content-type"].startswith(JSON)
        and body["schemas"] == [ERROR]
        and body["status"] == str(status)
        and bool(body["detail"])
    )


def attempts(application: Application) -> list[dict[str, Any]]:
    """What the audit log tells of attempts to get in, the newest first."""
    flush = partial(application.app.state.attempts.flush, all_of_it=True)
    application.portal.call(flush)
    rows = application.get("/api/v1/audit").json()["data"]
    return [row for row in rows if row["resource_type"] == "credential"]


def test_above_the_limit_429_says_when_to_come_back(limited: Application) -> None:
    provider = Provider.of(limited)
    answers = [provider.get(USERS) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining"] == "2"
    assert is_scim_error(answers[3], 429)
    assert 1 <= int(answers[3].headers["retry-after"]) <= 120
    assert provider.get("/ServiceProviderConfig").status_code == 429, "all of SCIM is one"
    assert Provider.of(limited).get(USERS).status_code == 200, "another token goes on"
    counts: Counter[str] = Counter()
    for row in attempts(limited):
        if row["actor_kind"] == "scim":
            counts[row["action"]] += row["after"]["count"]
    assert counts == {"auth.success": 3 + 1, "auth.limited": 2}


def test_wrong_tokens_are_slowed_down(limited: Application) -> None:
    wrong = Provider(limited, WRONG)
    answers = [wrong.get(USERS) for _ in range(3)]
    assert is_scim_error(answers[1], 401)
    assert is_scim_error(answers[2], 429)
    assert int(answers[2].headers["retry-after"]) >= 60
    assert Provider.of(limited).get(USERS).status_code == 200


def test_a_token_is_refused_elsewhere_and_a_key_without_permission_here(
    limited: Application,
) -> None:
    provider = Provider.of(limited)
    assert limited.get("/api/v1/costs", key=provider.token).status_code == 401
    poor = Provider(limited, limited.new_key("read:costs"))
    assert is_scim_error(poor.get(USERS), 403)
    denied = [row for row in attempts(limited) if row["action"] == "auth.denied"]
    assert [row["after"]["last"] for row in denied] == ["GET /scim/v2/Users"]


def test_429_is_documented(limited: Application) -> None:
    document = limited.get("/openapi.json", key=None).json()
    for path, methods in document["paths"].items():
        if path.startswith("/scim/"):
            for operation in methods.values():
                content = operation["responses"]["429"]["content"]
                assert list(content) == ["application/scim+json"], path
