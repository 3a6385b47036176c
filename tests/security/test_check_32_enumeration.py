"""Check 32: neither status nor text nor time tells whether somebody has an account."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import pytest

from llm_cost_ops.server.settings import DatabaseSettings, Settings, SignInSettings
from tests.support.people import Browser, Doors, doors_of, make_person

pytestmark = pytest.mark.check(32)

ROUNDS = 200
PATIENT = SignInSettings(
    argon2_time_cost=1,
    argon2_memory_kib=8_192,
    argon2_parallelism=1,
    free_attempts=100,
    free_attempts_per_address=100_000,
)


def said(answer: Any) -> tuple[Any, ...]:
    body = answer.json()
    body.get("error", {}).pop("request_id", None)
    headers = {name for name in answer.headers if name != "x-request-id"}
    return answer.status_code, body, headers, len(answer.content)


def test_all_are_refused_alike(sqlite_doors: Doors) -> None:
    known = make_person(sqlite_doors, "viewer", email="aaaaaaa@example.com")
    bare = make_person(sqlite_doors, "viewer", email="bbbbbbb@example.com", password=None)
    nowhere = sqlite_doors.other()
    answers: list[tuple[Any, ...]] = []
    for email in (known.email, bare.email, "ccccccc@example.com"):
        body = {"email": email, "password": "wrong wrong wrong"}
        answers.append(said(sqlite_doors.browser().post("/login", body)))
    named = {
        "email": known.email,
        "password": known.password,
        "organization": nowhere.organization_id,
    }
    answers.append(said(sqlite_doors.browser().post("/login", named)))
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)


def test_resets_are_answered_alike(sqlite_doors: Doors) -> None:
    known = make_person(sqlite_doors, "viewer", email="aaaaaaa@example.com")
    answers = [
        said(sqlite_doors.browser().post("/password/reset", {"email": email}))
        for email in (known.email, "ccccccc@example.com")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 202


def seconds(browser: Browser, path: str, body: dict[str, str]) -> float:
    began = perf_counter()
    browser.post(path, body)
    return perf_counter() - began


@pytest.mark.slow
def test_all_take_as_long(sqlite_settings: DatabaseSettings) -> None:
    """Medians over 200 rounds in which the kinds take turns, so that a busy machine slows both."""
    with doors_of(Settings(database=sqlite_settings, sign_in=PATIENT)) as doors:
        emails = {
            "known": [make_person(doors, "viewer", settings=PATIENT).email for _ in range(10)],
            "unknown": [f"nobody{number}@example.com" for number in range(10)],
        }
        browser = doors.browser()
        took: dict[str, list[float]] = {kind: [] for kind in emails}
        for number in range(ROUNDS):
            for kind in emails:
                email = emails[kind][number % 10]
                body = {"email": email, "password": "wrong wrong wrong"}
                took[kind].append(seconds(browser, "/login", body))
        known, unknown = median(took["known"]), median(took["unknown"])
    assert abs(known - unknown) <= 0.1 * max(known, unknown), (known, unknown)
