"""A SAML identity provider made by hand: what it answers is signed by xmlsec, and can be spoilt."""

from __future__ import annotations

import base64
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from lxml.etree import fromstring
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Names
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Tools

from tests.support.idp import rsa_key

ENTITY = "https://idp.example.com/entity"
SSO_URL = "https://idp.example.com/sso?tenant=1"
NS = 'xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ' \
     'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'  # fmt: skip
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


@lru_cache(maxsize=4)
def certificate(number: int = 0) -> tuple[str, str]:
    """A certificate and its key as PEM."""
    key = rsa_key(number)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), private.decode()


@dataclass
class SamlIdp:
    """Who is there, and what is said of it. `spoil` changes the XML after it was signed."""

    now: Callable[[], datetime]
    name_id: str = "ann-1"
    name_format: str = PERSISTENT
    attributes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    changes: dict[str, str] = field(default_factory=dict[str, str])
    signs_assertion: bool = True
    signs_response: bool = False
    key: int = 0
    algorithm: str = Names.RSA_SHA256
    digest: str = Names.SHA256
    spoil: Callable[[str], str] = str

    def asked(self, address: str) -> dict[str, str]:
        """The request that a browser brings, and its state."""
        assert address.startswith(f"{SSO_URL}&")
        query = parse_qs(urlsplit(address).query)
        request = zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15)
        root = fromstring(request)
        issuer = root.findtext("{urn:oasis:names:tc:SAML:2.0:assertion}Issuer")
        return {**root.attrib, "Issuer": issuer or "", "RelayState": query["RelayState"][0]}

    def answer(self, address: str) -> dict[str, str]:
        """The form that the browser sends back."""
        asked = self.asked(address)
        xml = self.spoil(self.response(asked))
        return {
            "SAMLResponse": base64.b64encode(xml.encode()).decode(),
            "RelayState": asked["RelayState"],
        }

    def assertion(self, asked: dict[str, str]) -> str:
        now = self.now()
        said = {
            "id": f"_{secrets.token_hex(16)}",
            "issuer": ENTITY,
            "audience": asked["Issuer"],
            "recipient": asked["AssertionConsumerServiceURL"],
            "request": asked["ID"],
            "until": _text(now + timedelta(minutes=5)),
            "since": _text(now - timedelta(minutes=1)),
            **self.changes,
        }
        stated = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )
        attributes = (
            f"<saml:AttributeStatement>{stated}</saml:AttributeStatement>" if stated else ""
        )
        audience = (
            f"<saml:AudienceRestriction><saml:Audience>{said['audience']}</saml:Audience>"
            "</saml:AudienceRestriction>"
        ) if said["audience"] else ""  # fmt: skip
        confirmed = "".join(
            f' {name}="{said[key]}"'
            for name, key in (
                ("InResponseTo", "request"),
                ("Recipient", "recipient"),
                ("NotOnOrAfter", "until"),
            )
            if said[key]
        )
        conditions = f' NotOnOrAfter="{said["until"]}"' if said["until"] else ""
        return (
            f'<saml:Assertion {NS} ID="{said["id"]}" Version="2.0" IssueInstant="{_text(now)}">'
            f"<saml:Issuer>{said['issuer']}</saml:Issuer>"
            f'<saml:Subject><saml:NameID Format="{self.name_format}">{self.name_id}</saml:NameID>'
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
            f"<saml:SubjectConfirmationData{confirmed}/></saml:SubjectConfirmation></saml:Subject>"
            f'<saml:Conditions NotBefore="{said["since"]}"{conditions}>{audience}'
            f'</saml:Conditions><saml:AuthnStatement AuthnInstant="{_text(now)}">'
            "<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
            "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
            f"{attributes}</saml:Assertion>"
        )

    def response(self, asked: dict[str, str]) -> str:
        assertion = self.assertion(asked)
        if self.signs_assertion:
            assertion = self.signed(assertion)
        request = self.changes.get("response_to", asked["ID"])
        answers = f' InResponseTo="{request}"' if request else ""
        destination = self.changes.get("destination", asked["AssertionConsumerServiceURL"])
        xml = (
            f'<samlp:Response {NS} ID="_{secrets.token_hex(16)}" Version="2.0"'
            f' IssueInstant="{_text(self.now())}" Destination="{destination}"{answers}>'
            f"<saml:Issuer>{self.changes.get('issuer', ENTITY)}</saml:Issuer><samlp:Status>"
            '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>'
            f"{assertion}</samlp:Response>"
        )
        return self.signed(xml) if self.signs_response else xml

    def signed(self, xml: str) -> str:
        public, private = certificate(self.key)
        made = Tools.add_sign(
            xml, private, public, sign_algorithm=self.algorithm, digest_algorithm=self.digest
        )
        return made.decode() if isinstance(made, bytes) else made


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
