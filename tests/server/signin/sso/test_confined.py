"""Somebody whom an organization's own provider vouched for, at a program."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from llm_cost_ops.server.access.principal import OWN_PROGRAM
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.links import make_link
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.oauth import CLIENTS, challenge_of
from tests.support.people import Browser, Doors, Person, add_to, column, make_person
from tests.support.sso import EMAIL, POLICY, PROVIDERS, House, installed_of

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
        person = make_person(house.doors, "viewer", email=EMAIL, password=None)
        assert house.doors.request("PUT", POLICY, json={"required": True}).status_code == 200
        browser = house.entered("oidc")
        secret = address_link(house.doors, person)
        answer = browser.post("/email/confirm", {"token": secret})
        assert answer.status_code == 200, answer.text
        assert browser.me().json()["account"]["email"] == NEW


CALLBACK, VERIFIER = "http://127.0.0.1:4711/callback", "v" * 43


def consented(browser: Browser, client_id: str = OWN_PROGRAM) -> str:
    """The code that our command line, or another program, gets of who is in the browser."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    consent = browser.request("POST", "/oauth/authorize", json=asked)
    assert consent.status_code == 200, consent.text
    return dict(parse_qsl(urlsplit(consent.json()["redirect_to"]).query))["code"]


def redeemed(house: House, code: str, client_id: str = OWN_PROGRAM) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return house.doors.post("/oauth/token", key=None, data=form)


def renewed(house: House, tokens: dict[str, Any]) -> int:
    form = {"client_id": OWN_PROGRAM, "refresh_token": tokens["refresh_token"]}
    form["grant_type"] = "refresh_token"
    return house.doors.post("/oauth/token", key=None, data=form).status_code


def test_a_removed_provider_leaves_no_tokens(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    browser = house.entered(provider)
    tokens, waiting = redeemed(house, consented(browser)).json(), consented(browser)
    assert house.doors.delete(f"{PROVIDERS}/{provider}").status_code == 204
    house.later(1)
    holder = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert house.doors.browser(origin=None, headers=holder).me().status_code == 401
    assert renewed(house, tokens) == 400
    assert redeemed(house, waiting).status_code == 400


def test_command_lines_are_listed_where_one_is_signed_in(house: House) -> None:
    person, browser = make_person(house.doors, "viewer", email=EMAIL), house.doors.browser()
    browser.login(person)
    tokens = redeemed(house, consented(browser)).json()
    confined = house.entered(house.provider()["id"])
    program, *_ = browser.get("/api/v1/auth/sessions").json()["data"][::-1]
    assert (program["id"][:4], program["agent"]) == ("fam_", "The command line cost-ops")
    seen = confined.get("/api/v1/auth/sessions").json()["data"]
    assert [each["id"][:4] for each in seen] == ["ses_"]
    path = f"/api/v1/auth/sessions/{program['id']}"
    assert confined.request("DELETE", path).status_code == 404
    assert browser.request("DELETE", path).status_code == 204
    assert renewed(house, tokens) == 400


def test_passwords_off_ends_the_command_line_of_a_password(house: House) -> None:
    """That of whom a provider vouched for goes on."""
    doors = house.doors
    make_person(doors, "viewer", email=EMAIL)
    vouched = redeemed(house, consented(house.entered(house.provider()["id"]))).json()
    own = doors.browser()
    own.login(make_person(doors, "viewer"))
    tokens, waiting = redeemed(house, consented(own)).json(), consented(own)
    assert doors.request("PUT", POLICY, json={"required": True}).status_code == 200
    assert renewed(house, tokens) == 400
    assert redeemed(house, waiting).status_code == 400
    assert renewed(house, vouched) == 200


def test_the_command_line_of_a_confined_person(house: House) -> None:
    """Its tokens stand for the user alone, and still tell who that is, and sign out."""
    make_person(house.doors, "viewer", email=EMAIL)
    made = redeemed(house, consented(house.entered(house.provider()["id"])))
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


def test_a_program_of_an_organization_learns_of_no_other(house: House) -> None:
    """Who consents to it may belong to more."""
    doors, other = house.doors, house.doors.other()
    person = make_person(doors, "viewer", email=EMAIL)
    add_to(other, person, "viewer")
    body = {
        "name": "App",
        "public": True,
        "redirect_uris": [CALLBACK],
        "scopes": ["read:organizations"],
    }
    client_id = doors.post(CLIENTS, json=body).json()["client_id"]
    browser = doors.browser()
    browser.login(person, organization=doors.organization_id)
    for program, expected in (
        (client_id, {doors.organization_id}),
        (OWN_PROGRAM, {doors.organization_id, other.organization_id}),
    ):
        token = redeemed(house, consented(browser, program), program).json()["access_token"]
        holder = doors.browser(origin=None, headers={"Authorization": f"Bearer {token}"})
        listed = holder.get("/api/v1/organizations").json()["data"]
        assert {each["id"] for each in listed} == expected
        assert {each["id"] for each in holder.me().json()["organizations"]} == expected


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
