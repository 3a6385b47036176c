"""Identity providers of an organization over HTTP: who defines them, and what of them is taken."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity.links import spend
from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings
from llm_cost_ops.server.signin.tables import identity_providers
from tests.server.delivery.ssrf import LITERALS
from tests.support.idp import CLIENT_ID, CLIENT_SECRET
from tests.support.people import add_to, make_person
from tests.support.roles import key_of
from tests.support.sso import EMAIL, POLICY, PROVIDERS, House, house_of

BODY: dict[str, Any] = {
    "kind": "google",
    "name": "Works",
    "client_id": "client",
    "client_secret": "the secret of the client",
    "domains": ["Example.com", "example.com"],
}


def test_a_provider_and_its_secret(house: House) -> None:
    doors = house.doors
    answer = doors.post(PROVIDERS, json=BODY)
    assert answer.status_code == 201
    made = answer.json()
    assert made["issuer"] == "https://accounts.google.com"
    assert made["domains"] == ["example.com"]
    assert (made["has_secret"], made["enabled"], made["version"]) == (True, True, 1)
    path = f"{PROVIDERS}/{made['id']}"
    assert doors.get(path).json() == made
    assert doors.get(PROVIDERS).json()["data"] == [made]
    changed = doors.request("PATCH", path, json={"name": "Other", "client_secret": None})
    assert changed.json() == {
        **made, "name": "Other", "has_secret": False, "version": 2,
        "updated_at": changed.json()["updated_at"],
    }  # fmt: skip
    same = doors.request("PATCH", path, json={"name": "Other"})
    assert same.json() == changed.json()
    assert doors.post(PROVIDERS, json={**BODY, "name": "Other"}).status_code == 409
    audit = doors.get("/api/v1/audit")
    assert "the secret" not in answer.text + doors.get(PROVIDERS).text + audit.text
    actions = [entry["action"] for entry in audit.json()["data"]]
    assert actions[:2] == ["sso.provider_updated", "sso.provider_created"]
    assert doors.delete(path).status_code == 204
    assert doors.get(path).status_code == doors.delete(path).status_code == 404


def test_the_secret_is_sealed(sqlite_settings: DatabaseSettings) -> None:
    key = SecuritySettings(secret_key="a key of the installation, long enough")
    with house_of(sqlite_settings, security=key) as house:
        make_person(house.doors, "viewer", email=EMAIL)
        provider = house.provider()["id"]
        with read(house.doors.database) as session:
            stored = session.scalar(select(identity_providers.c.secret))
        assert stored.startswith("v1:")
        assert CLIENT_SECRET not in stored
        house.entered(provider)


def test_others_see_and_change_nothing(house: House) -> None:
    made = house.provider()
    other, path = house.doors.other(), f"{PROVIDERS}/{made['id']}"
    assert other.get(PROVIDERS).json()["data"] == []
    for method in ("GET", "PATCH", "DELETE"):
        body: dict[str, Any] = {"json": {"name": "x"}} if method == "PATCH" else {}
        assert other.request(method, path, **body).status_code == 404
    named = {**BODY, "organization_id": other.organization_id}
    assert house.doors.post(PROVIDERS, json=named).status_code == 403
    assert house.doors.get(path).json() == made


def test_who_may_do_less_than_everything_defines_none(house: House) -> None:
    doors = house.doors
    path = f"{PROVIDERS}/{house.provider()['id']}"
    several = ("write:organizations", "write:roles", "write:users")
    for key in (doors.new_key(*several), doors.new_key("write:*", "read:*"),
                key_of(doors, "m", "manager")):  # fmt: skip
        for method, where, body in (
            ("POST", PROVIDERS, {**BODY, "name": "x"}),
            ("PATCH", path, {"enabled": False}),
            ("DELETE", path, None),
            ("PUT", POLICY, {"required": True}),
        ):
            more: dict[str, Any] = {} if body is None else {"json": body}
            answer = doors.request(method, where, key=key, **more)
            assert answer.status_code == 403, (method, answer.text)
    assert len(doors.get(PROVIDERS).json()["data"]) == 1
    assert doors.get(POLICY).json() == {"required": False}


def test_what_is_not_taken(house: House) -> None:
    tenant = "https://login.microsoftonline.com/{}/v2.0"
    odd: list[tuple[str, dict[str, Any]]] = [
        ("kind", {"kind": "facebook"}),
        ("issuer", {"kind": "generic"}),
        ("issuer", {"issuer": "https://evil.example"}),
        ("issuer", {"kind": "generic", "issuer": "https://8.8.8.8/x?y=z"}),
        ("issuer", {"kind": "generic", "issuer": "http://8.8.8.8/"}),
        ("issuer", {"kind": "entra", "issuer": tenant.format("common")}),
        ("issuer", {"kind": "entra", "issuer": tenant.format("organizations")}),
        ("issuer", {"kind": "entra", "issuer": "https://8.8.8.8/"}),
        ("client_secret", {"kind": "github", "client_secret": None}),
        ("client_id", {"client_id": "a b"}),
        ("client_id", {"client_id": ""}),
        ("name", {"name": " "}),
        ("domains", {"domains": []}),
        ("domains", {"domains": ["*"]}),
        ("domains", {"domains": ["com"]}),
        ("domains", {"domains": ["@example.com"]}),
        ("scopes", {"scopes": ["email"]}),
        ("scopes", {"scopes": ["openid", "a b"]}),
        ("role", {"creates_users": True}),
        ("role", {"creates_users": True, "role": "emperor"}),
        ("role_mapping", {"role_claim": "groups"}),
        ("role_mapping", {"role_mapping": {"a": "viewer"}}),
        ("role_mapping", {"role_claim": "groups", "role_mapping": {"a": "emperor"}}),
        ("surprise", {"surprise": 1}),
    ]
    for field, fields in odd:
        answer = house.doors.post(PROVIDERS, json={**BODY, **fields})
        assert answer.status_code == 422, (fields, answer.text)
        assert list(answer.json()["error"]["field_errors"]) == [field], (fields, answer.text)
    assert house.doors.get(PROVIDERS).json()["data"] == []


@pytest.mark.check(13)
def test_a_provider_inside_a_network_is_not_called(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()
    seen = len(house.idp.sink.got)
    outside = house.doors.app.state.sso.outbound.guard
    outside._networks = ()  # as where nothing inside is allowed
    body = {**BODY, "kind": "generic"}
    for url in LITERALS:
        answer = house.doors.post(PROVIDERS, json={**body, "issuer": url})
        assert answer.status_code == 422, (url, answer.text)
        answer = house.doors.request("PATCH", f"{PROVIDERS}/{provider['id']}", json={"issuer": url})
        assert answer.status_code == 422, (url, answer.text)
    answer = house.doors.browser().get(provider["login_path"])
    assert answer.status_code == 503
    assert len(house.idp.sink.got) == seen, "one that is stored is judged before each call"


@pytest.mark.check(13)
def test_what_a_document_names_inside_is_not_called(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    for name in ("token_endpoint", "jwks_uri"):
        house.idp.metadata = {name: "http://10.0.0.1/x"}
        house.later(3_601)
        _, answer = house.sign_in(provider)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    for address in ("javascript:alert(1)", "file:///etc/passwd", "", 7, None):
        house.idp.metadata = {"authorization_endpoint": address}
        house.later(3_601)
        assert house.doors.browser().get(f"/login/sso/{provider}").status_code == 503


def test_another_issuer_or_none_ends_sessions(house: House) -> None:
    make_person(house.doors, "viewer", email=EMAIL)
    provider = house.provider()["id"]
    path = f"{PROVIDERS}/{provider}"
    for change in ({"client_id": "x"}, {"enabled": False}):
        house.doors.request("PATCH", path, json={"enabled": True})
        browser = house.entered(provider)
        assert house.doors.request("PATCH", path, json={"name": "x"}).status_code == 200
        assert browser.me().status_code == 200
        assert house.doors.request("PATCH", path, json=change).status_code == 200
        assert browser.me().status_code == 401
        house.doors.request("PATCH", path, json={"client_id": CLIENT_ID})
    house.doors.request("PATCH", path, json={"enabled": True})
    browser = house.entered(provider)
    assert house.doors.delete(path).status_code == 204
    assert browser.me().status_code == 401


def test_the_login_page_names_the_ways(house: House) -> None:
    doors = house.doors
    slug = doors.get("/api/v1/organizations/current").json()["slug"]
    made = house.provider(name="<b>Works</b>")
    browser = doors.browser()
    bare = browser.open("/login")
    assert made["login_path"] not in bare.answer.text
    page = browser.open(f"/login?organization={slug}&next=/account?x=1")
    assert f'href="{made["login_path"]}?next=%2Faccount%3Fx%3D1"' in page.answer.text
    assert "&lt;b&gt;Works&lt;/b&gt;" in page.answer.text
    assert "form-action 'self'" in page.answer.headers["content-security-policy"]
    assert "No identity provider is known" in browser.open("/login?organization=nobody").text
    doors.request("PATCH", f"{PROVIDERS}/{made['id']}", json={"enabled": False})
    assert made["login_path"] not in browser.get(f"/login?organization={slug}").text


class TestPolicy:
    def test_passwords_off(self, house: House) -> None:
        doors = house.doors
        person = make_person(doors, "viewer", email=EMAIL)
        chief = make_person(doors, "admin")
        assert doors.request("PUT", POLICY, json={"required": True}).status_code == 409
        provider = house.provider()["id"]
        before, theirs = doors.browser(), doors.browser()
        before.login(person)
        theirs.login(chief)
        assert before.me().status_code == 200
        answer = doors.request("PUT", POLICY, json={"required": True})
        assert answer.json() == doors.get(POLICY).json() == {"required": True}
        assert before.me().status_code == 401, "sessions that began with a password end"
        again = doors.browser().login(person)
        assert (again.status_code, again.json()["error"]["code"]) == (403, "SSO_REQUIRED")
        page = doors.browser().open("/login")
        sent = page.send("/login", email=person.email, password=person.password)
        assert (sent.answer.status_code, "identity provider" in sent.text) == (403, True)
        wrong = doors.browser().post("/login", {"email": EMAIL, "password": "wrong wrong wrong"})
        assert wrong.json()["error"]["code"] == "SIGN_IN_FAILED", "told to nobody else"
        house.entered(provider)
        assert theirs.me().status_code == 200, "the way out of administrators"
        assert doors.browser().login(chief).status_code == 200
        path = f"{PROVIDERS}/{provider}"
        assert doors.delete(path).status_code == 409
        assert doors.request("PATCH", path, json={"enabled": False}).status_code == 409
        second = house.provider(name="Second")["id"]
        assert doors.delete(path).status_code == 204
        assert doors.delete(f"{PROVIDERS}/{second}").status_code == 409
        doors.request("PUT", POLICY, json={"required": False})
        assert doors.delete(f"{PROVIDERS}/{second}").status_code == 204
        assert doors.browser().login(person).status_code == 200
        actions = [e["action"] for e in doors.get("/api/v1/audit").json()["data"]]
        assert actions.count("sso.policy_updated") == 2

    def test_tokens_of_a_password_end(self, house: House) -> None:
        doors = house.doors
        person = make_person(doors, "viewer", email=EMAIL)
        tokens = doors.browser(origin=None).login(person).json()
        holder = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert doors.browser(origin=None, headers=holder).me().status_code == 200
        house.provider()
        doors.request("PUT", POLICY, json={"required": True})
        house.later(1)
        assert doors.browser(origin=None, headers=holder).me().status_code == 401
        again = {"refresh_token": tokens["refresh_token"]}
        assert doors.post("/api/v1/auth/refresh", key=None, json=again).status_code == 401
        assert doors.browser(origin=None).login(person).status_code == 403

    def test_a_password_gets_nobody_in_by_way_of_another_organization(self, house: House) -> None:
        doors, other = house.doors, house.doors.other()
        person = make_person(doors, "viewer", email=EMAIL)
        add_to(other, person, "viewer")
        house.provider()
        doors.request("PUT", POLICY, json={"required": True})
        browser = doors.browser()
        assert browser.login(person).status_code == 200
        assert browser.me().json()["organization"]["id"] == other.organization_id
        answer = browser.post("/switch-org", {"organization": doors.organization_id})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "SSO_REQUIRED")
        named = browser.login(person, organization=doors.organization_id)
        assert named.json()["error"]["code"] == "SSO_REQUIRED"


def test_what_is_kept_on_each_database(any_house: House) -> None:
    house, doors = any_house, any_house.doors
    mapping = {"chiefs": "manager"}
    made = house.provider(
        creates_users=True, role="viewer", role_claim="groups", role_mapping=mapping
    )
    assert doors.get(PROVIDERS).json()["data"] == [made]
    assert doors.post(PROVIDERS, json={**BODY, "name": "Works"}).status_code == 409
    house.person(groups=["chiefs"])
    for _ in range(2):
        browser = house.entered(made["id"])
    (user,) = doors.get("/api/v1/users").json()["data"]
    assert user["roles"] == ["manager", "viewer"]
    for required in (True, True, False):
        answer = doors.request("PUT", POLICY, json={"required": required})
        assert answer.json() == doors.get(POLICY).json() == {"required": required}
    for fresh in (True, False):
        with write(doors.database) as session:
            assert spend(session, "saml", "an id", now_us=1, lives_us=1) is fresh
    assert doors.delete(f"{PROVIDERS}/{made['id']}").status_code == 204
    assert browser.me().status_code == 401
