"""Sign in by SAML 2.0: only what the provider signed, for us, for this browser, now and once."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import running
from tests.support.people import CHEAP, Browser, Doors, make_person
from tests.support.saml import ENTITY, SSO_URL, SamlIdp, certificate
from tests.support.sso import EMAIL, PROVIDERS, forget_attempts


@dataclass
class Place:
    doors: Doors
    idp: SamlIdp

    def provider(self, **fields: Any) -> dict[str, Any]:
        answer = self.doors.post(PROVIDERS, json={**self.body(), **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def body(self) -> dict[str, Any]:
        return {
            "kind": "saml", "name": "Works", "issuer": ENTITY, "sso_url": SSO_URL,
            "certificates": [certificate()[0]], "domains": ["example.com"],
        }  # fmt: skip

    def form(self, browser: Browser, provider: dict[str, Any]) -> dict[str, str]:
        answer = browser.get(provider["login_path"])
        assert answer.status_code == 303, answer.text
        return self.idp.answer(answer.headers["location"])

    def send(
        self, browser: Browser, provider: dict[str, Any], form: dict[str, str]
    ) -> httpx.Response:
        headers = {"Origin": "https://idp.example.com", "Sec-Fetch-Site": "cross-site"}
        return browser.request("POST", provider["redirect_path"], data=form, headers=headers)

    def sign_in(self, provider: dict[str, Any], **form: str) -> tuple[Browser, httpx.Response]:
        browser = self.doors.browser()
        made = {**self.form(browser, provider), **form}
        return browser, self.send(browser, provider, made)

    def refused(self, answer: httpx.Response, said: str = "cannot be accepted") -> str:
        assert answer.status_code == 401, answer.text
        assert said in answer.text
        assert "cost_ops_session" not in answer.headers.get("set-cookie", "")
        log = self.doors.get("/api/v1/audit", params={"action": "auth.login_failed"})
        return str(log.json()["data"][0]["after"]["wrong"]) if log.json()["data"] else ""


@pytest.fixture
def place(sqlite_settings: DatabaseSettings) -> Iterator[Place]:
    """On SQLite. The library takes the time from the machine, so the clock stands still now."""
    settings = Settings(database=sqlite_settings, sign_in=CHEAP)
    with running(settings, clock=FixedClock(datetime.now(UTC))) as made:
        doors = Doors(**vars(made))
        idp = SamlIdp(doors.clock.now, attributes={"email": [EMAIL]})
        make_person(doors, "viewer", email=EMAIL)
        yield Place(doors, idp)


def test_who_gets_in(place: Place) -> None:
    provider = place.provider(role_claim="groups", role_mapping={"chiefs": "manager"})
    assert provider["redirect_path"] == f"/login/sso/{provider['id']}/acs"
    browser = place.doors.browser()
    begun = browser.get(f"{provider['login_path']}?next=/account?x=1")
    assert "SameSite=none" in begun.headers["set-cookie"]
    assert "Secure" in begun.headers["set-cookie"]
    asked = place.idp.asked(begun.headers["location"])
    assert asked["Issuer"] == f"https://costs.example.com{provider['metadata_path']}"
    assert asked["Destination"] == SSO_URL
    form = place.idp.answer(begun.headers["location"])
    answer = place.send(browser, provider, form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?x=1")
    me = browser.me().json()
    assert me["account"]["email"] == EMAIL
    place.idp.attributes = {"groups": ["chiefs", "others"]}  # the NameID decides from now on
    assert place.sign_in(provider)[1].status_code == 303
    (user,) = place.doors.get("/api/v1/users").json()["data"]
    assert user["roles"] == ["manager", "viewer"]
    moved = browser.post("/switch-org", {"organization": "x"})
    assert moved.status_code in (403, 422), "such a session is confined"


def test_signed_as_a_whole_too(place: Place) -> None:
    provider = place.provider(certificates=[certificate(1)[0], certificate()[0]])
    place.idp.signs_response = True
    assert place.sign_in(provider)[1].status_code == 303


def test_the_metadata(place: Place) -> None:
    provider = place.provider()
    answer = place.doors.browser().get(provider["metadata_path"])
    assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
    for part in (provider["redirect_path"], "HTTP-POST", 'WantAssertionsSigned="true"'):
        assert part in answer.text
    other = place.doors.post(PROVIDERS, json={
        "kind": "google", "name": "x", "client_id": "x", "domains": ["example.com"]
    }).json()  # fmt: skip
    assert other["metadata_path"] is None
    assert place.doors.browser().get(f"/login/sso/{other['id']}/metadata").status_code == 404


def _signed_elsewhere(xml: str) -> str:
    """Signature wrapping: the signed assertion stays, another one is put where it is looked for."""
    (signed,) = re.findall(r"<saml:Assertion .*</saml:Assertion>", xml, re.DOTALL)
    forged = re.sub(r"<ds:Signature.*</ds:Signature>", "", signed, flags=re.DOTALL)
    forged = forged.replace(">ann-1<", ">chief<").replace('ID="_', 'ID="_x', 1)
    return xml.replace(signed, forged + signed)


def _signed_inside(xml: str) -> str:
    """The same, the signed one within the forged one's signature."""
    (signed,) = re.findall(r"<saml:Assertion .*</saml:Assertion>", xml, re.DOTALL)
    (signature,) = re.findall(r"<ds:Signature.*</ds:Signature>", signed, re.DOTALL)
    bare = signed.replace(signature, "")
    end = "</ds:Signature>"
    holding = signature.replace(end, f"<ds:Object>{bare}</ds:Object>{end}")
    forged = bare.replace(">ann-1<", ">chief<").replace('ID="_', 'ID="_x', 1)
    return xml.replace(signed, forged.replace("<saml:Subject>", f"{holding}<saml:Subject>", 1))


def _extended(xml: str) -> str:
    """The signed one in an extension, and another one after it."""
    (signed,) = re.findall(r"<saml:Assertion .*</saml:Assertion>", xml, re.DOTALL)
    forged = re.sub(r"<ds:Signature.*</ds:Signature>", "", signed, flags=re.DOTALL)
    forged = forged.replace(">ann-1<", ">chief<").replace('ID="_', 'ID="_x', 1)
    held = f"<samlp:Extensions>{signed}</samlp:Extensions><samlp:Status>"
    return xml.replace(signed, forged).replace("<samlp:Status>", held, 1)


def _commented(xml: str) -> str:
    """A comment in the name, which some take for its end."""
    return xml.replace(">ann-1<", ">ann-1<!---->x<")


def _entities(xml: str) -> str:
    return f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{xml.replace("ann-1", "&a;")}'


FORGED = (
    ("", {"signs_assertion": False}),
    ("", {"signs_assertion": False, "signs_response": True}),
    ("", {"key": 1}),
    ("", {"algorithm": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}),
    ("", {"digest": "http://www.w3.org/2000/09/xmldsig#sha1"}),
    ("", {"spoil": lambda xml: xml.replace(">ann-1<", ">chief<")}),
    ("", {"spoil": _signed_elsewhere}),
    ("", {"spoil": _signed_inside}),
    ("", {"spoil": _extended}),
    ("", {"spoil": _entities}),
    ("", {"spoil": lambda xml: xml[:200]}),
    ("", {"spoil": lambda _: "x"}),
    ("", {"spoil": lambda xml: xml.replace("status:Success", "status:Responder")}),
    ("InResponseTo", {"changes": {"response_to": ""}}),
    ("", {"changes": {"response_to": "_another"}}),
    ("subject confirmation", {"changes": {"request": ""}}),
    ("", {"changes": {"request": "_another"}}),
    ("audience", {"changes": {"audience": ""}}),
    ("", {"changes": {"audience": "https://another.example.com"}}),
    ("subject confirmation", {"changes": {"recipient": ""}}),
    ("", {"changes": {"recipient": "https://another.example.com/acs"}}),
    ("", {"changes": {"destination": "https://another.example.com/acs"}}),
    ("", {"changes": {"issuer": "https://another.example.com"}}),
    ("subject confirmation", {"changes": {"until": ""}}),
    ("", {"changes": {"until": "2020-01-01T00:00:00Z"}}),
    ("subject confirmation", {"changes": {"until": "2099-01-01T00:00:00Z"}}),
    ("", {"changes": {"since": "2099-01-01T00:00:00Z"}}),
    ("transient", {"name_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}),
    ("", {"name_id": ""}),
    ("NameID", {"name_id": "x" * 256}),
)  # fmt: skip


@pytest.mark.check(16)
def test_what_is_refused(place: Place) -> None:
    provider = place.provider()
    make_person(place.doors, "admin", email="chief@example.com")
    for reason, fields in FORGED:
        before = {name: getattr(place.idp, name) for name in fields}
        for name, value in fields.items():
            setattr(place.idp, name, value)
        said = "persistent" if reason == "transient" else "cannot be accepted"
        why = place.refused(place.sign_in(provider)[1], said)
        assert why.startswith("saml: "), fields
        assert reason in why, (fields, why)
        for name, value in before.items():
            setattr(place.idp, name, value)
        forget_attempts(place.doors)
        assert place.sign_in(provider)[1].status_code == 303, "what is right still gets in"


def test_a_comment_does_not_shorten_a_name(place: Place) -> None:
    provider = place.provider()
    place.idp.name_id = "ann-1"
    place.idp.spoil = _commented
    place.refused(place.sign_in(provider)[1])


def test_an_assertion_counts_once_and_in_its_browser(place: Place) -> None:
    provider = place.provider()
    mine, theirs = place.doors.browser(), place.doors.browser()
    form = place.form(mine, provider)
    place.form(theirs, provider)
    place.refused(place.send(theirs, provider, form), "Begin again")
    place.refused(place.send(place.doors.browser(), provider, form), "Begin again")
    kept = mine.cookie("__Host-cost_ops_sso")
    assert kept is not None
    assert place.send(mine, provider, form).status_code == 303
    mine.keep({"__Host-cost_ops_sso": kept})
    assert place.refused(place.send(mine, provider, form)) == "saml: replay"


def test_an_address_of_another_domain(place: Place) -> None:
    provider = place.provider()
    place.idp.attributes = {"email": ["ann@example.org"]}
    place.refused(place.sign_in(provider)[1], "of your domain")
    place.idp.attributes = {}
    place.refused(place.sign_in(provider)[1], "does not vouch")
    place.idp.name_id, place.idp.name_format = (
        EMAIL, "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    )  # fmt: skip
    assert place.sign_in(provider)[1].status_code == 303


def test_forms_that_are_none(place: Place) -> None:
    provider = place.provider()
    browser = place.doors.browser()
    path = provider["redirect_path"]
    assert browser.request("POST", path, json={}).status_code == 415
    large = place.send(browser, provider, {"SAMLResponse": "x" * 600_000})
    assert large.status_code == 413
    many = {f"a{number}": "x" for number in range(11)}
    assert place.send(browser, provider, many).status_code == 422
    place.refused(place.send(browser, provider, {"a": "b"}), "Begin again")
    place.refused(place.sign_in(provider, SAMLResponse="")[1])
    _, answer = place.sign_in(provider, SAMLResponse="A" * 300_000)
    place.refused(answer)
    back = browser.get(f"/login/sso/{provider['id']}/callback?state=x&code=y")
    assert back.status_code == 401


def test_what_a_provider_must_have(place: Place) -> None:
    for field, fields in (
        ("client_id", {"client_id": "x"}),
        ("client_secret", {"client_secret": "x"}),
        ("sso_url", {"sso_url": None}),
        ("sso_url", {"sso_url": "http://idp.example.com"}),
        ("sso_url", {"sso_url": "javascript:alert(1)"}),
        ("sso_url", {"sso_url": "https://[::1"}),
        ("sso_url", {"kind": "google", "client_id": "x", "issuer": None}),
        ("certificates", {"certificates": []}),
        ("certificates", {"certificates": ["x"]}),
        ("issuer", {"issuer": ""}),
        ("domains", {"domains": ["*"]}),
    ):
        answer = place.doors.post(PROVIDERS, json={**place.body(), **fields})
        assert answer.status_code == 422, (fields, answer.text)
        assert list(answer.json()["error"]["field_errors"]) == [field], (fields, answer.text)


def test_without_the_library(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = place.provider()
    for name in [name for name in sys.modules if name.startswith("onelogin")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onelogin.saml2", None)
    for answer in (
        place.doors.post(PROVIDERS, json={**place.body(), "name": "x"}),
        place.doors.browser().get(provider["login_path"]),
        place.doors.browser().get(provider["metadata_path"]),
    ):
        assert answer.status_code == 503
        assert "llm-cost-ops[saml]" in answer.text
