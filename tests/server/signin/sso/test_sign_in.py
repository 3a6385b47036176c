"""Sign in by an identity provider: who gets in, as whom, and who does not."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import func, select, update

from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.tables import accounts
from llm_cost_ops.server.settings import DatabaseSettings, SsoSettings
from llm_cost_ops.server.signin.sso.providers import ENTRA, GOOGLE, Provider
from llm_cost_ops.server.signin.sso.vouched import vouched_by
from llm_cost_ops.server.signin.tables import external_identities
from tests.support.idp import CLIENT_SECRET, Reply
from tests.support.people import NOW, add_to, column, make_person
from tests.support.sso import EMAIL, PROVIDERS, House, house_of


def refused(answer: httpx.Response, said: str, status: int = 401) -> None:
    """Nobody is signed in, and the page says why."""
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "cost_ops_session" not in answer.headers.get("set-cookie", "")


def users(house: House, app: Any = None) -> list[dict[str, Any]]:
    return (app or house.doors).get("/api/v1/users").json()["data"]


def logged(house: House, action: str, app: Any = None) -> list[dict[str, Any]]:
    answer = (app or house.doors).get("/api/v1/audit", params={"action": action})
    return answer.json()["data"]


def test_a_user_of_the_organization(house: House) -> None:
    person = make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()
    browser, answer = house.sign_in(provider["id"], onward="/account?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?x=1")
    assert answer.headers["cache-control"] == "no-store"
    me = browser.me().json()
    assert (me["user_id"], me["account"]["email"]) == (person.user_id, EMAIL)
    assert browser.cookie("__Host-cost_ops_sso") is None
    assert browser.cookie("__Host-cost_ops_device") is None, "a browser is known to the account"
    (entry,) = logged(house, "auth.login")
    assert entry["after"]["method"] == "single sign-on"
    assert entry["after"]["provider_id"] == provider["id"]
    assert [e["resource_id"] for e in logged(house, "sso.identity_linked")] == [person.user_id]
    secrets_of = (CLIENT_SECRET, "the access token")
    assert not any(each in json.dumps(house.doors.get("/api/v1/audit").json())
                   for each in secrets_of)  # fmt: skip


def test_what_is_asked_of_the_provider(house: House) -> None:
    provider = house.provider(scopes=["openid", "email", "groups"])
    browser = house.doors.browser()
    first, second = (house.go(browser, provider["id"]) for _ in range(2))
    asked = {name: values[0] for name, values in parse_qs(urlsplit(first).query).items()}
    assert asked["scope"] == "openid email groups"
    assert asked["redirect_uri"] == (f"https://costs.example.com{provider['redirect_path']}")
    again = parse_qs(urlsplit(second).query)
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) == 43
        assert again[name] != [asked[name]], "each sign-in has its own"
    kept = [line for line in browser.get(provider["login_path"]).headers.get_list("set-cookie")
            if "cost_ops_sso" in line]  # fmt: skip
    assert len(kept) == 1
    for part in ("__Host-cost_ops_sso=", "HttpOnly", "Secure", "SameSite=lax", "Max-Age=600"):
        assert part in kept[0]
    assert asked["state"] not in kept[0]


@pytest.mark.check(26)
def test_an_answer_counts_in_the_browser_that_began(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider, other = house.provider()["id"], house.provider(name="Other")["id"]
    mine, theirs = house.doors.browser(), house.doors.browser()
    back = house.idp.authorize(house.go(mine, provider))
    house.go(theirs, provider)
    refused(house.come_back(theirs, provider, **back), "Begin again")
    refused(house.come_back(house.doors.browser(), provider, **back), "Begin again")
    back = house.idp.authorize(house.go(mine, provider))
    refused(house.come_back(mine, provider, **{**back, "state": ""}), "Begin again")
    back = house.idp.authorize(house.go(mine, provider))
    refused(house.come_back(mine, other, **back), "Begin again")
    back = house.idp.authorize(house.go(mine, provider))
    house.later(601)
    refused(house.come_back(mine, provider, **back), "Begin again")
    back = house.idp.authorize(house.go(mine, provider))
    house.later(600)
    assert house.come_back(mine, provider, **back).status_code == 303
    refused(house.come_back(mine, provider, **back), "Begin again")


@pytest.mark.check(39)
def test_the_way_onward_stays_here(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    for odd in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x",
                "/" + "x" * 2_000):  # fmt: skip
        _, answer = house.sign_in(provider, onward=odd)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account"), odd
    long = "/oauth/authorize?state=" + "x" * 1_977
    _, answer = house.sign_in(provider, onward=long)
    assert (answer.status_code, answer.headers["location"]) == (303, long)


def test_the_subject_decides_and_not_the_address(house: House) -> None:
    ann = make_person(house.doors, "viewer", email=EMAIL)
    bob = make_person(house.doors, "viewer", email="bob@example.com")
    provider = house.provider()["id"]
    house.entered(provider)
    house.person("sub-1", "bob@example.com")  # renamed at the provider
    assert house.entered(provider).me().json()["user_id"] == ann.user_id
    house.person("sub-1", None)  # or without any address
    assert house.entered(provider).me().json()["user_id"] == ann.user_id
    house.person("sub-2", "bob@example.com")
    assert house.entered(provider).me().json()["user_id"] == bob.user_id


ODD_ADDRESSES: list[tuple[dict[str, Any], str]] = [
    ({"email_verified": False}, "does not vouch"),
    ({"email_verified": None}, "does not vouch"),
    ({"email_verified": "yes"}, "does not vouch"),
    ({"email": None}, "does not vouch"),
    ({"email": "ann@example.com\r\nbcc: x@example.com"}, "does not vouch"),
    ({"email": "ann@example.com@example.org"}, "does not vouch"),
    ({"email": "ann@example.org"}, "of your domain"),
    ({"email": "ann@sub.example.com"}, "of your domain"),
    ({"email": "nobody@example.com"}, "no user of this organization"),
]


def test_an_address_that_does_not_decide(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    make_person(house.doors, "viewer", email="ann@example.org")
    before, provider = users(house), house.provider()["id"]
    for claims, said in ODD_ADDRESSES:
        house.person(**claims)
        refused(house.sign_in(provider)[1], said)
    assert users(house) == before
    assert len(logged(house, "auth.login_failed")) == len(ODD_ADDRESSES)
    house.person(email="Ann@EXAMPLE.com")
    house.entered(provider)


def test_somebody_new(house: House) -> None:
    provider = house.provider(creates_users=True, role="analyst")["id"]
    house.person(name="Ann Lee")
    first = house.entered(provider)
    (made,) = users(house)
    assert (made["email"], made["name"], made["roles"]) == (EMAIL, "Ann Lee", ["analyst"])
    assert first.me().json()["user_id"] == made["id"]
    assert "write:budgets" not in first.me().json()["scopes"]
    house.entered(provider)
    assert len(users(house)) == 1


def test_disabled_and_removed_people_stay_out(house: House) -> None:
    person = make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider(creates_users=True, role="viewer")["id"]
    browser = house.entered(provider)
    path = f"/api/v1/users/{person.user_id}"
    assert house.doors.post(f"{path}/disable").status_code == 200
    assert browser.me().status_code == 401, "the session ends, too"
    refused(house.sign_in(provider)[1], "no user of this organization")
    house.person("sub-2")  # another subject with the address finds nobody either
    refused(house.sign_in(provider)[1], "no user of this organization")
    house.person()
    assert house.doors.post(f"{path}/enable").status_code == 200
    house.entered(provider)
    with write(house.doors.database) as session:
        session.execute(
            update(accounts).where(accounts.c.id == person.account_id).values(disabled_at=1)
        )
    refused(house.sign_in(provider)[1], "no user of this organization")
    with write(house.doors.database) as session:
        session.execute(
            update(accounts).where(accounts.c.id == person.account_id).values(disabled_at=None)
        )
    assert house.doors.delete(path).status_code == 204
    with read(house.doors.database) as session:
        assert session.scalar(select(func.count()).select_from(external_identities)) == 0


def test_an_unproven_password_is_not_let_in_with_a_new_user(house: House) -> None:
    other = house.doors.other()
    person = make_person(other, "viewer", email=EMAIL)
    provider = house.provider(creates_users=True, role="viewer")["id"]
    refused(house.sign_in(provider)[1], "never proven")
    assert users(house) == []
    with write(house.doors.database) as session:
        session.execute(
            update(accounts).where(accounts.c.id == person.account_id).values(email_verified_at=1)
        )
    house.entered(provider)
    assert [user["email"] for user in users(house)] == [EMAIL]


class TestConfined:
    """Whom an organization lets in by its own provider has proven nothing to anybody else."""

    def test_not_to_other_organizations(self, house: House) -> None:
        person = make_person(house.doors, "admin", email=EMAIL)
        other = house.doors.other()
        add_to(other, person, "admin")
        browser = house.entered(house.provider()["id"])
        answer = browser.post("/switch-org", {"organization": other.organization_id})
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "REAUTHENTICATION_REQUIRED",
        )
        me = browser.me().json()
        assert [each["id"] for each in me["organizations"]] == [house.doors.organization_id]
        listed = browser.get("/api/v1/organizations").json()["data"]
        assert [each["id"] for each in listed] == [house.doors.organization_id]
        assert other.organization_id not in browser.get("/account").text

    def test_not_to_the_account(self, house: House) -> None:
        person = make_person(house.doors, "viewer", email=EMAIL, password=None)
        browser = house.entered(house.provider()["id"])
        for path, body in (
            ("/password", {"current_password": None, "new_password": "a long new password 1"}),
            ("/2fa/enroll", {}),
            ("/2fa/confirm", {"totp": "123456"}),
            ("/2fa/disable", {}),
            ("/2fa/recovery-codes", {}),
        ):
            answer = browser.post(path, body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                403,
                "REAUTHENTICATION_REQUIRED",
            ), path
        assert column(house.doors, "password_hash", person) is None
        page = browser.open("/account")
        assert "identity provider signed you in" in page.text
        assert "/account/password" not in page.answer.text

    def test_not_to_sessions_elsewhere(self, house: House) -> None:
        person = make_person(house.doors, "viewer", email=EMAIL)
        own = house.doors.browser()
        own.login(person)
        theirs = own.me().json()
        browser = house.entered(house.provider()["id"])
        (shown,) = browser.get("/api/v1/auth/sessions").json()["data"]
        assert shown["current"] is True
        listed = own.get("/api/v1/auth/sessions").json()["data"]
        (mine,) = (each for each in listed if each["current"])
        assert len(listed) == 2
        path = f"/api/v1/auth/sessions/{mine['id']}"
        assert browser.request("DELETE", path).status_code == 404
        assert own.me().json() == theirs
        path = f"/api/v1/auth/sessions/{shown['id']}"
        assert own.request("DELETE", path).status_code == 204
        assert browser.me().status_code == 401

    def test_a_provider_of_another_organization_finds_nobody_here(self, house: House) -> None:
        person = make_person(house.doors, "admin", email=EMAIL)
        evil = house.doors.other()
        provider = house.provider(evil)["id"]
        refused(house.sign_in(provider)[1], "no user of this organization")
        # Not even one that it makes itself gets at the rest of the account.
        house.doors.request("POST", "/x")
        made = evil.post("/api/v1/users", json={"email": EMAIL, "role": "admin"})
        assert made.status_code == 201
        browser = house.entered(provider)
        assert browser.me().json()["organization"]["id"] == evil.organization_id
        answer = browser.get(f"/api/v1/organizations/{house.doors.organization_id}")
        assert answer.status_code == 404
        assert column(house.doors, "password_hash", person) is not None


class TestRoles:
    def test_a_claim_gives_and_takes_roles(self, house: House) -> None:
        make_person(house.doors, "viewer", "billing", email=EMAIL)
        mapping = {"engineers": "developer", "chiefs": "manager"}
        provider = house.provider(role_claim="groups", role_mapping=mapping)["id"]

        def roles(groups: object) -> list[str]:
            house.person(groups=groups)
            house.entered(provider)
            return users(house)[0]["roles"]

        assert roles(["engineers", "chiefs", "others"]) == [
            "billing", "developer", "manager", "viewer"
        ]  # fmt: skip
        assert roles("chiefs") == ["billing", "manager", "viewer"]
        assert roles([{"engineers": 1}, None]) == ["billing", "viewer"]

    def test_the_last_administrator_stays_one(self, house: House) -> None:
        make_person(house.doors, "admin", email=EMAIL)
        provider = house.provider(role_claim="groups", role_mapping={"a": "admin"})["id"]
        house.person(groups=[])
        house.entered(provider)
        assert users(house)[0]["roles"] == ["admin"]

    def test_a_claim_in_the_userinfo(self, house: House) -> None:
        make_person(house.doors, email=EMAIL)
        provider = house.provider(role_claim="groups", role_mapping={"a": "analyst"})["id"]
        house.idp.claims = {"sub": "sub-1"}
        house.idp.userinfo = {
            "sub": "sub-1", "email": EMAIL, "email_verified": True, "groups": ["a"]
        }  # fmt: skip
        house.entered(provider)
        assert users(house)[0]["roles"] == ["analyst"]
        house.idp.userinfo["sub"] = "sub-2"
        refused(house.sign_in(provider)[1], "cannot be accepted")


class TestKinds:
    def test_github(self, house: House) -> None:
        make_person(house.doors, "viewer", email=EMAIL)
        provider = house.provider(kind="github", issuer=f"{house.idp.issuer}/")["id"]
        assert parse_qs(urlsplit(house.go(house.doors.browser(), provider)).query)["scope"] == [
            "read:user user:email"
        ]
        house.idp.user = {"id": 4711, "login": "ann", "name": "Ann", "email": "x@example.org"}
        first = {"email": EMAIL, "primary": True, "verified": True}
        second = {"email": "bob@example.com", "primary": False, "verified": True}
        for emails in ([second], [{**first, "verified": False}], [], [{"email": EMAIL}], {}):
            house.idp.emails = emails  # type: ignore[assignment]
            refused(house.sign_in(provider)[1], "does not vouch")
        house.idp.emails = [second, first]
        house.entered(provider)
        house.idp.emails = []
        house.entered(provider)
        house.idp.user = {"id": True}
        refused(house.sign_in(provider)[1], "cannot be accepted")

    def test_entra_and_google_by_what_they_say(self) -> None:
        def email(kind: str, domains: tuple[str, ...], **claims: Any) -> str | None:
            provider = Provider(
                id="x", organization_id="o", kind=kind, name="x", issuer="i", client_id="c",
                domains=domains,
            )  # fmt: skip
            return vouched_by(provider, {"sub": "s", "email": EMAIL, **claims}).email

        assert email(ENTRA, ("example.com",)) == EMAIL
        assert email(ENTRA, ("example.org",)) is None
        assert email(ENTRA, ("example.org",), email_verified=True) is None
        assert email(ENTRA, ("*",)) is None
        for yes in (True, "1", 1):
            assert email(ENTRA, ("*",), xms_edov=yes) == EMAIL
        for no in (False, "0", 0, None):
            assert email(ENTRA, ("*",), xms_edov=no) is None
        assert email(GOOGLE, ("example.com",), email_verified=True) is None
        assert email(GOOGLE, ("example.com",), email_verified=True, hd="example.com") == EMAIL
        assert email(GOOGLE, ("*",), email_verified=True, email="a@gmail.com") == "a@gmail.com"
        assert email(GOOGLE, ("*",), email_verified=False, hd="example.com") is None


class TestTheProviderFails:
    def test_down_and_slow(self, sqlite_settings: DatabaseSettings) -> None:
        with house_of(sqlite_settings, sso=SsoSettings(timeout_seconds=0.3)) as house:
            make_person(house.doors, "viewer", email=EMAIL)
            provider = house.provider()["id"]
            browser = house.doors.browser()
            slow, down = Reply(before_s=3), Reply(503)
            moved, large = Reply(302, {"Location": house.idp.issuer}), b'{"a":"' + b"x" * 70_000
            bodies = [Reply(body=each) for each in (b"{", b"{}", large + b'"}')]
            for reply in (slow, down, moved, *bodies):
                house.idp.answers = {"/.well-known/openid-configuration": reply}
                answer = browser.get(f"/login/sso/{provider}")
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert "does not answer" in answer.text
            house.idp.answers = {}
            for path in ("/jwks", "/token"):
                house.idp.answers = {path: down}
                browser, answer = house.sign_in(provider)
                refused(answer, "does not answer", 503)
                assert answer.headers["retry-after"] == "5"
            house.idp.answers = {}
            house.entered(provider)

    def test_refusals(self, house: House) -> None:
        make_person(house.doors, "viewer", email=EMAIL)
        provider = house.provider()["id"]
        browser = house.doors.browser()
        back = house.idp.authorize(house.go(browser, provider))
        said = {"error": "access_denied", "error_description": "<img src=x>"}
        answer = house.come_back(browser, provider, state=back["state"], **said)
        refused(answer, "did not sign you in")
        assert "<img" not in answer.text
        refused(house.sign_in(provider, code="made up")[1], "cannot be accepted")
        refused(house.sign_in(provider, code="x" * 3_000)[1], "cannot be accepted")
        refused(house.sign_in(provider, iss="https://evil.example")[1], "cannot be accepted")
        house.doors.request("PATCH", f"{PROVIDERS}/{provider}", json={"client_secret": "wrong"})
        refused(house.sign_in(provider)[1], "cannot be accepted")
        reasons = [entry["after"]["wrong"] for entry in logged(house, "auth.login_failed")]
        assert reasons == ["token: invalid_client", "iss of the answer", "no code",
                           "token: invalid_grant", "refused by the provider"]  # fmt: skip

    def test_an_answer_that_must_name_the_issuer(self, house: House) -> None:
        make_person(house.doors, "viewer", email=EMAIL)
        house.idp.metadata = {"authorization_response_iss_parameter_supported": True}
        provider = house.provider()["id"]
        refused(house.sign_in(provider)[1], "cannot be accepted")
        _, answer = house.sign_in(provider, iss=house.idp.issuer)
        assert answer.status_code == 303

    @pytest.mark.check(19)
    def test_those_who_try_on_and_on_wait(self, house: House) -> None:
        provider = house.provider()["id"]
        for _ in range(20):
            refused(house.sign_in(provider, code="made up")[1], "cannot be accepted")
        refused(house.sign_in(provider)[1], "Too many attempts", 429)
        calls = house.idp.calls("/token")
        refused(house.sign_in(provider)[1], "Too many attempts", 429)
        assert house.idp.calls("/token") == calls


def test_documents_are_kept_for_a_while(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    for _ in range(3):
        house.entered(provider)
    paths = ("/.well-known/openid-configuration", "/jwks")
    assert [house.idp.calls(path) for path in paths] == [1, 1]
    house.later(3_601)
    house.entered(provider)
    assert [house.idp.calls(path) for path in paths] == [2, 2]


def test_nothing_of_a_provider_that_is_not_there(house: House) -> None:
    provider = house.provider(enabled=False)["id"]
    for each in (provider, "idp_nothing", "google", "x" * 300, "%00"):
        for path in (f"/login/sso/{each}", f"/login/sso/{each}/callback"):
            assert house.doors.browser().get(path).status_code in (400, 401, 404), path
    assert NOW == house.doors.clock.now()
