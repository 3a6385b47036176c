"""A code for what the provider says of the person: OpenID Connect, or OAuth 2 as GitHub has it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.server.delivery.send import Call
from llm_cost_ops.server.signin.sso import id_token
from llm_cost_ops.server.signin.sso.desk import SsoDesk
from llm_cost_ops.server.signin.sso.discovery import object_of
from llm_cost_ops.server.signin.sso.failures import IdpUnavailable, SsoFailed
from llm_cost_ops.server.signin.sso.providers import GITHUB, GITHUB_ISSUER, Provider
from llm_cost_ops.server.signin.sso.vouched import (
    Vouched,
    clean_address,
    clean_claim,
    vouched_by,
)

_GITHUB_API = "https://api.github.com"
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Begun:
    """What only the browser that began knows, as far as the provider gets to see it."""

    state: str
    nonce: str
    verifier: str
    challenge: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class _Endpoints:
    authorization: str
    token: str
    basic: bool


def _endpoints(desk: SsoDesk, provider: Provider) -> _Endpoints:
    """Raises IdpUnavailable."""
    if provider.kind == GITHUB:
        root = f"{provider.issuer}/login/oauth"
        return _Endpoints(f"{root}/authorize", f"{root}/access_token", basic=False)
    known = desk.directory.metadata(provider.issuer)
    return _Endpoints(known.authorization_endpoint, known.token_endpoint, known.basic)


def address_to_ask(desk: SsoDesk, provider: Provider, begun: Begun) -> str:
    """Where the browser goes to be asked who it is. Raises IdpUnavailable."""
    address = _endpoints(desk, provider).authorization
    fields = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": begun.redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": begun.state,
        "code_challenge": begun.challenge,
        "code_challenge_method": "S256",
    }
    if provider.kind != GITHUB:
        fields["nonce"] = begun.nonce
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"


def check_issuer(desk: SsoDesk, provider: Provider, given: str | None) -> None:
    """The `iss` of an answer, against mix-up (RFC 9207). Raises SsoFailed, IdpUnavailable."""
    wrong = given is not None and given != provider.issuer
    if provider.kind != GITHUB and given is None:
        wrong = desk.directory.metadata(provider.issuer).names_issuer
    if wrong:
        raise SsoFailed("iss of the answer")


def person_of(desk: SsoDesk, provider: Provider, code: str, begun: Begun) -> Vouched:
    """What the provider says for the code. Raises SsoFailed, IdpUnavailable."""
    answer = _tokens(desk, provider, code, begun)
    if provider.kind == GITHUB:
        return _github(desk, provider, _text(answer, "access_token"))
    claims = id_token.read(
        _text(answer, "id_token"),
        lambda kid: desk.directory.keys(provider.issuer, kid),
        id_token.Expected(
            provider.issuer,
            provider.client_id,
            begun.nonce,
            desk.clock.micros() / _US,
            desk.settings.leeway_seconds,
        ),
    )
    if _lacks(provider, claims):
        claims = {**_userinfo(desk, provider, answer, claims), **claims}
    return vouched_by(provider, claims)


def _tokens(desk: SsoDesk, provider: Provider, code: str, begun: Begun) -> dict[str, Any]:
    ends = _endpoints(desk, provider)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": begun.redirect_uri,
        "code_verifier": begun.verifier,
    }
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    secret = desk.secret_of(provider)
    if secret is not None and ends.basic:
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form["client_id"] = provider.client_id
        if secret is not None:
            form["client_secret"] = secret
    call = desk.outbound.post(
        ends.token,
        urlencode(form).encode(),
        headers,
        timeout_s=desk.settings.timeout_seconds,
    )
    answer = _answer(call, "token")
    if "error" in answer:  # GitHub says so with 200
        raise SsoFailed(f"token: {_word(answer['error'])}")
    return answer


def _answer(call: Call, what: str) -> dict[str, Any]:
    status = call.outcome.status
    if status is None or status >= 500 or status == 429 or 300 <= status < 400:
        raise IdpUnavailable(f"{what}: {call.outcome.detail}")
    if status != 200:
        raise SsoFailed(f"{what}: {_refusal(call)}")
    return object_of(call)


def _refusal(call: Call) -> str:
    """The error code of an answer, which is for the log."""
    try:
        return _word(object_of(call).get("error"))
    except IdpUnavailable:
        return call.outcome.detail


def _word(value: object) -> str:
    text = value if isinstance(value, str) else "no error code"
    return "".join(letter for letter in text[:60] if letter.isascii() and letter.isprintable())


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value or not value.isascii():
        raise SsoFailed(f"token: no {name}")
    return value


def _lacks(provider: Provider, claims: Mapping[str, Any]) -> bool:
    """Whether something that we look at may stand in the userinfo only, as with Okta."""
    return "email" not in claims or (
        provider.role_claim is not None and provider.role_claim not in claims
    )


def _userinfo(
    desk: SsoDesk, provider: Provider, answer: Mapping[str, Any], claims: Mapping[str, Any]
) -> dict[str, Any]:
    """What the userinfo says of the same person; nothing where there is none."""
    url, token = (
        desk.directory.metadata(provider.issuer).userinfo_endpoint,
        answer.get("access_token"),
    )
    if url is None or not isinstance(token, str):
        return {}
    found = _asked(desk, url, token, "userinfo")
    if not isinstance(found, dict):
        raise IdpUnavailable("userinfo: no object")
    said = cast("dict[str, Any]", found)
    if said.get("sub") != claims["sub"]:
        raise SsoFailed("userinfo: sub")
    return said


def _asked(desk: SsoDesk, url: str, token: str, what: str) -> Any:
    if not token.isascii() or not token.isprintable():
        raise SsoFailed("token: no access_token")
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    headers["User-Agent"] = "llm-cost-ops"
    call = desk.outbound.get(url, headers, timeout_s=desk.settings.timeout_seconds)
    status = call.outcome.status
    if status is None or status >= 500 or status == 429:
        raise IdpUnavailable(f"{what}: {call.outcome.detail}")
    if status != 200:
        raise SsoFailed(f"{what}: {call.outcome.detail}")
    try:
        return loads(call.body.decode())
    except (UnicodeDecodeError, JsonError):
        raise IdpUnavailable(f"{what}: no JSON, or too large") from None


def _github(desk: SsoDesk, provider: Provider, token: str) -> Vouched:
    """GitHub has no id_token: the user's number, and the primary address if it is verified."""
    root = _GITHUB_API if provider.issuer == GITHUB_ISSUER else f"{provider.issuer}/api/v3"
    user: Any = _asked(desk, f"{root}/user", token, "user")
    number: Any = cast("dict[str, Any]", user).get("id") if isinstance(user, dict) else None
    if type(number) is not int or number <= 0:
        raise SsoFailed("user: no id")
    listed: Any = _asked(desk, f"{root}/user/emails", token, "emails")
    emails = cast("list[Any]", listed) if isinstance(listed, list) else []
    primary = [
        cast("dict[str, Any]", each).get("email")
        for each in emails
        if isinstance(each, dict)
        and cast("dict[str, Any]", each).get("primary") is True
        and cast("dict[str, Any]", each).get("verified") is True
    ]
    return Vouched(
        issuer=provider.issuer,
        subject=str(number),
        email=clean_address(primary[0]) if primary else None,
        name=clean_claim(cast("dict[str, Any]", user).get("name")),
    )
