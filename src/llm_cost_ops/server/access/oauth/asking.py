"""What is asked of the authorization server: its parameters, read strictly, and its refusals."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.requests import Request

from llm_cost_ops.core.permissions import PermissionTextError, holds, normalise_all
from llm_cost_ops.server.access.oauth import store
from llm_cost_ops.server.access.oauth.clients import CODE, may_receive
from llm_cost_ops.server.http.routing import media_type

MAX_FIELDS = 50
MAX_FORM_BYTES = 16_384
MAX_STATE = 2_048
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class OAuthError(Exception):
    """A refusal by the code of RFC 6749; `status` for answers that are not redirects."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class Untrusted(OAuthError):
    """A client or address that is not known: nobody is redirected there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for consent that may be answered at its `redirect_uri`."""

    client: store.Client
    redirect_uri: str
    state: str | None
    challenge: str = ""
    scopes: frozenset[str] = frozenset()

    def location(self, issuer: str, **fields: str) -> str:
        """Where the browser goes, with who sends it there (RFC 9207)."""
        more = {**fields, "iss": issuer}
        if self.state is not None:
            more["state"] = self.state
        joint = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{joint}{urlencode(more)}"


def fields_of(text: str) -> dict[str, str]:
    """The parameters of a query or form; none may come twice. Raises OAuthError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise OAuthError("invalid_request", "The parameters cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthError("invalid_request", "A parameter comes twice.")
    return {name: value for name, value in fields.items() if value}


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises OAuthError."""
    if media_type(request.headers) != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    body = await request.body()
    if len(body) > MAX_FORM_BYTES:
        raise OAuthError("invalid_request", "The body is too large.")
    try:
        return fields_of(body.decode("ascii"))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "The body is not URL-encoded.") from None


def client_of(request: Request, form: Mapping[str, str]) -> tuple[str, str | None]:
    """The client's id and secret, from the Authorization header or the form, not both. Raises
    OAuthError."""
    header = request.headers.get("authorization")
    if header is None:
        client_id = form.get("client_id")
        if client_id is None:
            raise OAuthError("invalid_client", "No client is named.", 401)
        return client_id, form.get("client_secret")
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        text = base64.b64decode(encoded.strip(), validate=True).decode()
        name, separator, secret = text.partition(":")
    except (binascii.Error, ValueError):
        raise OAuthError(
            "invalid_client", "The Authorization header cannot be read.", 401
        ) from None
    client_id = unquote_plus(name)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "The client names itself in two ways.")
    return client_id, unquote_plus(secret) if separator else None


def read_asked(fields: Mapping[str, str], client: store.Client | None) -> Asked:
    """Check who asks and where the answer would go. Raises Untrusted."""
    uri = fields.get("redirect_uri", "")
    if client is None or CODE not in client.grant_types:
        raise Untrusted("invalid_client", "The client is not known here.")
    if not may_receive(client, uri):
        raise Untrusted("invalid_request", "redirect_uri is not one that the client registered.")
    state = fields.get("state")
    if state is not None and len(state) > MAX_STATE:
        raise Untrusted("invalid_request", "state is too long.")
    return Asked(client, uri, state)


def read_consent(fields: Mapping[str, str], asked: Asked) -> Asked:
    """Check what is asked for. Raises OAuthError, which may be told at the redirect_uri."""
    if fields.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code.")
    if "request" in fields or "request_uri" in fields:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    challenge = fields.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge) or fields.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "PKCE is required: code_challenge with S256.")
    scopes = wanted_scopes(fields.get("scope"), asked.client.scopes)
    return Asked(asked.client, asked.redirect_uri, asked.state, challenge, scopes)


def wanted_scopes(text: str | None, allowed: frozenset[str]) -> frozenset[str]:
    """The permissions that a scope names, all of the client's without one. Raises OAuthError."""
    if text is None:
        return allowed
    try:
        wanted = normalise_all(text.split())
    except PermissionTextError as error:
        raise OAuthError("invalid_scope", f"The scope has an {error.message}.") from None
    if not wanted or not holds(allowed, wanted):
        raise OAuthError("invalid_scope", "The client may not ask for this scope.")
    return wanted


def verifier_fits(verifier: str | None, challenge: str) -> bool:
    """Whether the challenge is the S256 of the verifier (RFC 7636)."""
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made.decode(), challenge)
