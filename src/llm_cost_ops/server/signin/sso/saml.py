"""SAML 2.0 by python3-saml (extra `saml`): the web browser single sign-on profile, as the service.

The library verifies: one assertion, its own signature by one of the provider's certificates, the
schema, no entities, no signature that covers something else. It lets some things pass when they are
absent; so the audience, the recipient, the end of validity and the request that is answered are
demanded here once more, of the assertion that was verified. An assertion counts once.
"""

from __future__ import annotations

import base64
import importlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.identity.links import spend
from llm_cost_ops.server.signin.sso.exchange import Begun
from llm_cost_ops.server.signin.sso.failures import SsoFailed
from llm_cost_ops.server.signin.sso.providers import Provider
from llm_cost_ops.server.signin.sso.vouched import Vouched, clean_address, clean_claim

MAX_RESPONSE = 256 * 1024
MAX_SUBJECT = 255
MAX_LIFE_US = 24 * 3_600 * 1_000_000
PURPOSE = "saml"
_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
_ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
_EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_EMAIL = (
    "email",
    "mail",
    "emailAddress",
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
)
_NAME = (
    "displayName",
    "name",
    "urn:oid:2.16.840.1.113730.3.1.241",
    "http://schemas.microsoft.com/identity/claims/displayname",
)


class SamlMissing(Problem):
    """503: the server lacks the library."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "SERVICE_UNAVAILABLE",
            "This server cannot speak SAML: pip install 'llm-cost-ops[saml]'.",
            headers={"Retry-After": "3600"},
        )


def library(name: str = "response") -> Any:
    """A module of the library. Raises SamlMissing."""
    try:
        return importlib.import_module(f"onelogin.saml2.{name}")
    except ImportError:
        raise SamlMissing from None


def request_id(begun: Begun) -> str:
    """The id of the request that this browser brings: it follows from what the browser keeps."""
    return f"_{begun.nonce}"


def entity_id(begun: Begun) -> str:
    """What this server is called towards the provider: the address of its metadata."""
    return f"{begun.redirect_uri.rpartition('/')[0]}/metadata"


def address_to_ask(provider: Provider, begun: Begun, now_us: int) -> str:
    """Where the browser goes with a request (HTTP-Redirect binding). Raises SamlMissing."""
    library()
    address = provider.sso_url or ""
    request = (
        f'<samlp:AuthnRequest xmlns:samlp="{_PROTOCOL}" xmlns:saml="{_ASSERTION}" Version="2.0"'
        f' ID="{escape(request_id(begun))}" IssueInstant="{_instant(now_us)}"'
        f' Destination="{escape(address)}" ProtocolBinding="{_POST}"'
        f' AssertionConsumerServiceURL="{escape(begun.redirect_uri)}">'
        f"<saml:Issuer>{escape(entity_id(begun))}</saml:Issuer></samlp:AuthnRequest>"
    )
    deflated = zlib.compress(request.encode(), 9)[2:-4]
    fields = {"SAMLRequest": base64.b64encode(deflated).decode(), "RelayState": begun.state}
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"


def _instant(micros: int) -> str:
    return format_micros(micros // 1_000_000 * 1_000_000)


def metadata(provider: Provider, begun: Begun) -> str:
    """What the provider reads of this server. Raises SamlMissing."""
    made: Any = library("settings").OneLogin_Saml2_Settings(_settings(provider, begun))
    text: Any = made.get_sp_metadata()
    return text.decode() if isinstance(text, bytes) else str(text)


def _settings(provider: Provider, begun: Begun) -> dict[str, Any]:
    return {
        "strict": True,
        "debug": False,
        "sp": {
            "entityId": entity_id(begun),
            "assertionConsumerService": {"url": begun.redirect_uri, "binding": _POST},
            "NameIDFormat": _UNSPECIFIED,
        },
        "idp": {
            "entityId": provider.issuer,
            "singleSignOnService": {"url": provider.sso_url, "binding": _REDIRECT},
            "x509certMulti": {"signing": list(provider.certificates)},
        },
        "security": {
            "wantAssertionsSigned": True,
            "wantAttributeStatement": False,
            "allowRepeatAttributeName": True,
            "requestedAuthnContext": False,
            "rejectDeprecatedAlgorithm": True,
        },
    }


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: its name among all of them, until when it may be used, and whom it
    means."""

    key: str
    ends_us: int
    person: Vouched


def assertion_of(provider: Provider, response: str, begun: Begun, now_us: int) -> Assertion:
    """What a verified response says. It counts only if it is spent, too. Raises SsoFailed,
    SamlMissing."""
    if not response or len(response) > MAX_RESPONSE:
        raise SsoFailed("saml: no response")
    errors = library("errors")
    try:
        found = _verified(provider, response, begun)
        ends_us, person = _demanded(found, begun, now_us), _said(provider, found)
        return Assertion(f"{provider.id} {found.get_assertion_id()}", ends_us, person)
    except SsoFailed:
        raise
    except errors.OneLogin_Saml2_ValidationError as error:
        raise SsoFailed(f"saml: {_line(error)}") from None
    except Exception as error:  # whatever lxml and xmlsec make of bytes that a stranger sent
        raise SsoFailed(f"saml: {type(error).__name__}") from None


def spend_once(session: WriteSession, assertion: Assertion, now_us: int) -> None:
    """An assertion counts once. Raises SsoFailed."""
    lives_us = assertion.ends_us - now_us
    if not spend(session, PURPOSE, assertion.key, now_us=now_us, lives_us=lives_us):
        raise SsoFailed("saml: replay")


def _verified(provider: Provider, response: str, begun: Begun) -> Any:
    """The response object of the library, verified. Raises whatever the library does."""
    settings = library("settings").OneLogin_Saml2_Settings(
        _settings(provider, begun), sp_validation_only=False
    )
    here = urlsplit(begun.redirect_uri)
    asked = {
        "https": "on" if here.scheme == "https" else "off",
        "http_host": here.netloc,
        "script_name": here.path,
        "get_data": {},
        "post_data": {"SAMLResponse": response},
    }
    found: Any = library("response").OneLogin_Saml2_Response(settings, response)
    if found.is_valid(asked, request_id(begun), raise_exceptions=True) is not True:
        raise SsoFailed("saml: refused")
    return found


def _line(error: Exception) -> str:
    """A reason for the log: one line without what the sender wrote."""
    code = getattr(error, "code", None)
    return f"refused ({code})" if code is not None else "refused"


def _demanded(found: Any, begun: Begun, now_us: int) -> int:
    """Until when the assertion may be used, in microseconds. Raises SsoFailed."""
    if found.get_in_response_to() != request_id(begun):
        raise SsoFailed("saml: InResponseTo")
    if entity_id(begun) not in found.get_audiences():
        raise SsoFailed("saml: audience")
    confirmations: Sequence[Any] = found._query_assertion("/saml:Subject/saml:SubjectConfirmation")
    for each in confirmations:
        data = each.find(f"{{{_ASSERTION}}}SubjectConfirmationData")
        if each.get("Method") != _BEARER or data is None:
            continue
        ends_us = _micros(data.get("NotOnOrAfter"))
        if (
            data.get("InResponseTo") == request_id(begun)
            and data.get("Recipient") == begun.redirect_uri
            and ends_us is not None
            and now_us < ends_us <= now_us + MAX_LIFE_US
        ):
            return ends_us
    raise SsoFailed("saml: subject confirmation")


def _micros(text: str | None) -> int | None:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if instant.tzinfo is None else int(instant.timestamp() * 1_000_000)


def _said(provider: Provider, found: Any) -> Vouched:
    """The NameID is the subject; an address counts for the domains that were named."""
    subject, kind = str(found.get_nameid() or "").strip(), found.get_nameid_format()
    if not subject or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise SsoFailed("saml: NameID")
    if kind == _TRANSIENT:
        raise SsoFailed(
            "saml: transient NameID",
            "The identity provider sends another name of you each time. Ask an administrator to "
            "have it send a persistent one.",
        )
    attributes = cast("Mapping[str, Sequence[Any]]", found.get_attributes())
    email = clean_address(_first(attributes, _EMAIL))
    if email is None and kind == _EMAIL_FORMAT:
        email = clean_address(subject)
    values = None
    if provider.role_claim is not None:
        listed = attributes.get(provider.role_claim, ())
        values = frozenset(each for each in listed if isinstance(each, str))
    return Vouched(provider.issuer, subject, email, clean_claim(_first(attributes, _NAME)), values)


def _first(attributes: Mapping[str, Sequence[Any]], names: Sequence[str]) -> object:
    for name in names:
        for value in attributes.get(name, ()):
            if value:
                return value
    return None
