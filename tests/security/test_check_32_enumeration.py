"""Check 32: neither status nor text nor work, so no time, tells whether somebody has an account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event
from sqlalchemy.pool import Pool

from llm_cost_ops.server.settings import DatabaseSettings, Settings, SignInSettings
from tests.support.people import Doors, doors_of, make_person

pytestmark = pytest.mark.check(32)

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


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is done from now on: statements as SQLite runs them, values left out, and hashes."""
    done: list[str] = []

    def statement(text: str) -> None:
        done.append(re.sub(r"'(?:[^']|'')*'|\bNULL\b|\b\d+\b", "?", text))

    def listen(connection: Any, *_: object) -> None:
        connection.set_trace_callback(statement)

    def verify(self: PasswordHasher, stored: str, password: str) -> bool:
        done.append(f"argon2 {stored.rsplit('$', 2)[0]}")
        return real(self, stored, password)

    real = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", verify)
    event.listen(Pool, "checkout", listen)
    yield done
    event.remove(Pool, "checkout", listen)


def test_the_same_is_done_for_all(sqlite_settings: DatabaseSettings, work: list[str]) -> None:
    """What takes time is the same for each, so the time is: one hash of the same cost, and the same
    statements. Seconds would tell more of the machine than of us."""
    with doors_of(Settings(database=sqlite_settings, sign_in=PATIENT)) as doors:
        emails = {
            "known": make_person(doors, "viewer", settings=PATIENT).email,
            "without a password": make_person(doors, "viewer", password=None).email,
            "unknown": "nobody@example.com",
        }
        found: dict[str, list[str]] = {}
        for _ in range(2):  # the first attempts make the heads of the logs and what is remembered
            for kind, email in emails.items():
                work.clear()
                body = {"email": email, "password": "wrong wrong wrong"}
                assert doors.browser().post("/login", body).status_code == 401
                found[kind] = list(work)
    assert sum(each.startswith("argon2") for each in found["known"]) == 1
    assert sum(each.startswith("INSERT INTO audit_log") for each in found["known"]) == 1
    assert found["unknown"] == found["known"]
    assert found["without a password"] == found["known"]


def test_a_reset_does_the_same_for_all(sqlite_doors: Doors, work: list[str]) -> None:
    found: list[list[str]] = []
    known = make_person(sqlite_doors, "viewer")
    for email in (known.email, "nobody@example.com"):
        work.clear()
        sqlite_doors.browser().post("/password/reset", {"email": email})
        found.append(list(work))
    assert any(each.startswith("INSERT INTO jobs") for each in found[0])
    assert found[0] == found[1]
