"""Somebody whom an organization's own provider vouched for, at a program."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from llm_cost_ops.server.access.principal import OWN_PROGRAM
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.links import make_link
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.oauth import challenge_of
from tests.support.people import Doors, Person, column, make_person
from tests.support.sso import EMAIL, POLICY, House, installed_of

NEW = "ann.new@example.com"


def address_link(doors: Doors, person: Person) -> str:
    """The secret of the mail that proves another address of the person."""
    detail: dict[str, Any] = {"from": person.email, "email": NEW, "token_version": 0}
    with write(doors.database) as session:
        return make_link(
            session,
            "verify",
            now_us=doors.clock.micros(),
            lives_us=60_000_000,
            account_id=person.account_id,
            detail=detail,
        )


def test_a_confined_person_confirms_no_address(house: House) -> None:
    """Nor becomes the whole account by it: the answer would be a session of its own."""
    person = make_person(house.doors, "viewer", email=EMAIL)
    secret = address_link(house.doors, person)
    browser = house.entered(house.provider()["id"])
    answer = browser.post("/email/confirm", {"token": secret})
    assert (answer.status_code, answer.json()["error"]["code"]) == (
        403,
        "REAUTHENTICATION_REQUIRED",
    )
    assert browser.get(f"/email?token={secret}").status_code == 403
    assert column(house.doors, "email", person) == EMAIL


def test_who_confirms_an_address_stays_signed_in_by_the_provider(
    sqlite_settings: DatabaseSettings,
) -> None:
    with installed_of(sqlite_settings) as house:
        person = make_person(house.doors, "viewer", email=EMAIL)
        assert house.doors.request("PUT", POLICY, json={"required": True}).status_code == 200
        browser = house.entered("oidc")
        secret = address_link(house.doors, person)
        answer = browser.post("/email/confirm", {"token": secret})
        assert answer.status_code == 200, answer.text
        assert browser.me().json()["account"]["email"] == NEW


def test_the_command_line_of_a_confined_person(house: House) -> None:
    """Its tokens stand for the user alone, and still tell who that is, and sign out."""
    make_person(house.doors, "viewer", email=EMAIL)
    browser = house.entered(house.provider()["id"])
    verifier, back = "v" * 43, "http://127.0.0.1:4711/callback"
    asked = {
        "response_type": "code",
        "client_id": OWN_PROGRAM,
        "redirect_uri": back,
        "state": "s",
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    consent = browser.request("POST", "/oauth/authorize", json=asked)
    assert consent.status_code == 200, consent.text
    query = dict(parse_qsl(urlsplit(consent.json()["redirect_to"]).query))
    form = {
        "grant_type": "authorization_code",
        "client_id": OWN_PROGRAM,
        "code": query["code"],
        "redirect_uri": back,
        "code_verifier": verifier,
    }
    made = house.doors.post("/oauth/token", key=None, data=form)
    assert made.status_code == 200, made.text
    holder = {"Authorization": f"Bearer {made.json()['access_token']}"}
    program = house.doors.browser(origin=None, headers=holder)
    me = program.me()
    assert (me.status_code, me.json()["account"]["email"]) == (200, EMAIL), me.text
    assert [each["id"] for each in me.json()["organizations"]] == [house.doors.organization_id]
    assert program.post("/switch-org", {"organization": house.doors.organization_id}).is_error
    assert program.post("/logout").status_code == 204
    assert program.me().status_code == 401
    logged = house.doors.get("/api/v1/audit", params={"action": "auth.logout"}).json()["data"]
    assert [entry["actor_id"][:4] for entry in logged] == ["fam_"]


def test_a_program_asks_where_to_sign_in(house: House) -> None:
    doors, path = house.doors, "/sso/initiate"
    program = doors.browser(origin=None)
    slug = {"organization": doors.organization_id}
    assert program.post(path, slug).status_code == 404
    first = house.provider()["id"]
    address = f"https://costs.example.com/login/sso/{first}"
    found = program.post(path, slug)
    assert (found.status_code, found.json()["authorization_url"]) == (200, address), found.text
    onward = program.post(path, {"provider": first, "next": "/account?a=1"}).json()
    assert onward["authorization_url"] == f"{address}?next=%2Faccount%3Fa%3D1"
    foreign = program.post(path, {"provider": first, "next": "https://evil.example/"}).json()
    assert foreign["authorization_url"] == f"{address}?next=%2Faccount"
    assert program.post(path, {"provider": "idp_unknown"}).status_code == 404
    house.provider(name="Second")
    several = program.post(path, slug)
    assert (several.status_code, first in several.text) == (422, True)
