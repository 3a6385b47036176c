"""Check 30: long passwords of any characters; none that is guessed first."""

from __future__ import annotations

from importlib.resources import files

import pytest

from llm_cost_ops.server.signin.policy import PasswordRefused, check_password
from tests.support.people import Doors, Person, make_person

pytestmark = pytest.mark.check(30)

CONTEXT = ("dana.meyer", "dana.meyer@example.com", "Dana Meyer", "Northwind Traders", "northwind")


def refused(password: str) -> bool:
    try:
        check_password(password, CONTEXT)
    except PasswordRefused as error:
        return error.field == "password"
    return False


@pytest.mark.parametrize(
    "password",
    [
        "lorem and ox",  # twelve
        "correct horse battery staple",
        "zwölf Eichen im März",
        "わたしのパスワードは長いです",
        "🦊🦔🦉🦊🦔🦉🐿️ and more",
        "onlysmallletterswithoutanydigits",
        "  spaces around and within  ",
        "8402 5519 0377 2946",
        "x" * 10 + "quite some other text",
        "The quick brown fox jumps over the lazy dog, again and again and again!",
        "a word for " + "each " * 200,
        "dana knows a lot of long words",
    ],
)
def test_taken(password: str) -> None:
    assert not refused(password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "lorem and o",  # eleven
        "123456789012",
        "qwertyuiopas",
        "abcdefghijkl",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "passwordpassword",
        "Password1234",
        "P@ssw0rd1234",
        "!!!password!!!",
        "1234sunshine",
        "needforspeed",  # on the list
        "NEEDFORSPEED",
        "llm-cost-ops!",
        "LlmCostOps2026",
        "NorthwindTraders",
        "northwind-2026",
        "dana.meyer@example.com",
        "DanaMeyer1990",
        "nul\x00 in the middle of it",
        "half a pair \ud800 of surrogates",
        "ä" * 513,
    ],
)
def test_refused(password: str) -> None:
    assert refused(password)


def test_up_to_1024_bytes() -> None:
    text = "".join(f"{number:04}" for number in range(256))
    assert len(text) == 1024
    assert not refused(text)
    assert refused(text + "x")


def test_the_whole_list_is_refused() -> None:
    text = files("llm_cost_ops.server.signin").joinpath("common_passwords.txt").read_text("utf-8")
    words = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(words) >= 3000
    assert all(refused(word) for word in words)
    assert len([word for word in words if len(word) >= 12]) > 200


def test_nothing_is_cut_off_at_72(sqlite_doors: Doors) -> None:
    start = "a long walk along the river, then over the hill and back by the old mill"
    assert len(start) >= 72
    person = make_person(sqlite_doors, "viewer", password=start + ": one")
    browser = sqlite_doors.browser()
    other = Person(person.account_id, person.user_id, person.email, start + ": two")
    assert browser.login(other).status_code == 401
    assert browser.login(person).status_code == 200


def test_a_refused_password_changes_nothing(sqlite_doors: Doors) -> None:
    person = make_person(sqlite_doors, "viewer")
    browser = sqlite_doors.browser()
    browser.login(person)
    for new, text in (
        ("too short", "must have at least 12 characters"),
        ("Password1234", "is one of those that are guessed first"),
        ("costops-costops", "must not be made of a name, an e-mail address or the product"),
    ):
        body = {"current_password": person.password, "new_password": new}
        answer = browser.post("/password", body)
        assert answer.status_code == 422
        assert answer.json()["error"]["field_errors"] == {"new_password": text}
    assert browser.me().status_code == 200
    assert sqlite_doors.browser().login(person).status_code == 200
