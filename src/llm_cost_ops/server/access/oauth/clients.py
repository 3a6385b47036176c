"""Register OAuth clients, know them again, and remove them."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import Grant, beyond
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.permissions import normalise_all
from llm_cost_ops.server.access.oauth import store
from llm_cost_ops.server.access.principal import OWN_PROGRAM, Principal
from llm_cost_ops.server.access.secret import digest, new_secret
from llm_cost_ops.server.access.tokens.store import end_families_of_client
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession

CODE = "authorization_code"
REFRESH = "refresh_token"
CREDENTIALS = "client_credentials"
GRANT_TYPES = (CODE, REFRESH, CREDENTIALS)
SECRET_PREFIX = "cs_"  # noqa: S105 - how secrets of clients begin
Told = Mapping[str, object] | None
MAX_URIS = 20
MAX_URI = 2_000
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_URI = re.compile(r"[\x21-\x7e]+")


OWN = store.Client(
    id=OWN_PROGRAM,
    organization_id="",
    name="The command line cost-ops",
    secret_digest=None,
    redirect_uris=(),
    grant_types=(CODE, REFRESH),
    scopes=frozenset({"*"}),
    created_by=None,
    created_at=0,
)
"""Built in, for the people of every organization: it does what they may do. It listens on this
machine alone, at whatever port is free (RFC 8252)."""
_OWN_URI = re.compile(r"http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}/callback", re.ASCII)


class ClientError(DomainError):
    """A client that cannot be registered as it was asked for."""


class ClientPermissionError(DomainError):
    """A client that could do more than who registers it."""

    code = "INSUFFICIENT_PERMISSIONS"


class ClientUnknown(DomainError):
    """No such client in this organization."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Registered:
    """A new client and its secret, which is shown once; None for a public client."""

    client: store.Client
    secret: str | None = field(repr=False)


def register(
    session: WriteSession,
    actor: Actor,
    maker: Principal,
    *,
    name: str,
    redirect_uris: Sequence[str],
    grant_types: Sequence[str],
    scopes: Sequence[str],
    public: bool,
) -> Registered:
    """Register a client that can do no more than who registers it. Raises ClientError,
    ClientPermissionError, PermissionTextError."""
    _check_grants(grant_types, redirect_uris, public=public)
    for uri in redirect_uris:
        _check_uri(uri)
    wanted = normalise_all(scopes)
    _check_powers(maker, wanted, grant_types)
    secret = None if public else new_secret(SECRET_PREFIX)
    client = store.Client(
        id=single_id("cli", actor.now_us // 1_000, secrets.randbits(80)),
        organization_id=actor.organization_id,
        name=name.strip(),
        secret_digest=None if secret is None else digest(secret),
        redirect_uris=tuple(redirect_uris),
        grant_types=tuple(grant_types),
        scopes=wanted,
        created_by=actor.actor_id,
        created_at=actor.now_us,
    )
    store.insert_client(session, client)
    _record(session, actor, "created", client.id, None, told(client))
    return Registered(client, secret)


def known(session: ReadSession, client_id: str) -> store.Client | None:
    """The client with this id, of any organization or built in."""
    return OWN if client_id == OWN.id else store.find_client(session, client_id)


def may_receive(client: store.Client, uri: str) -> bool:
    """Whether codes may be sent there. What was registered is compared byte by byte: no normalising
    that could be fooled."""
    if client.id == OWN.id:
        return _OWN_URI.fullmatch(uri) is not None
    return uri in client.redirect_uris


def remove(session: WriteSession, actor: Actor, client_id: str) -> store.Client:
    """Remove a client: all its tokens end. Raises ClientUnknown."""
    client = store.get_client(session, actor.organization_id, client_id)
    if client is None:
        raise ClientUnknown("OAuth client not found")
    store.set_removed(session, actor.organization_id, client_id, actor.now_us)
    end_families_of_client(session, client_id, actor.now_us)
    _record(session, actor, "removed", client.id, told(client), None)
    return client


def rotate_secret(
    session: WriteSession, actor: Actor, maker: Principal, client_id: str
) -> Registered:
    """Give a client another secret; the one before is refused at once, tokens go on. Raises
    ClientUnknown, ClientError for a public client, and ClientPermissionError for one that can do
    more than who would learn its secret."""
    client = store.get_client(session, actor.organization_id, client_id)
    if client is None:
        raise ClientUnknown("OAuth client not found")
    if client.secret_digest is None:
        raise ClientError("a public client has no secret", field="client_id")
    _check_powers(maker, client.scopes, client.grant_types)
    secret = new_secret(SECRET_PREFIX)
    store.set_secret(session, actor.organization_id, client_id, digest(secret))
    _record(session, actor, "secret_rotated", client.id, None, {"name": client.name})
    return Registered(client, secret)


def _record(
    session: WriteSession, actor: Actor, verb: str, client_id: str, before: Told, after: Told
) -> None:
    actor.record(session, f"auth.oauth_client.{verb}", "oauth_client", client_id, before, after)


def told(client: store.Client) -> dict[str, object]:
    """What the audit log says of a client."""
    return {
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "scopes": sorted(client.scopes),
        "public": client.secret_digest is None,
    }


def secret_fits(client: store.Client, secret: str | None) -> bool:
    """Whether this is the client's secret; a public client has none and sends none."""
    if client.secret_digest is None:
        return secret is None
    return secret is not None and hmac.compare_digest(client.secret_digest, digest(secret))


def _check_powers(maker: Principal, wanted: frozenset[str], grants: Sequence[str]) -> None:
    """Raises ClientPermissionError for a client that could do more than the maker. By its own
    credentials it acts for nobody, whose roles would have conditions."""
    alone = CREDENTIALS in grants
    more = beyond(maker.held, Grant(wanted)) if alone else maker.missing(sorted(wanted))
    if more:
        raise ClientPermissionError(f"You do not hold {', '.join(more)}.", field="scopes")


def _check_grants(grants: Sequence[str], uris: Sequence[str], *, public: bool) -> None:
    unknown = sorted(set(grants) - set(GRANT_TYPES))
    if unknown or not grants:
        raise ClientError(f"must be of {', '.join(GRANT_TYPES)}", field="grant_types")
    if public and CREDENTIALS in grants:
        raise ClientError("a public client has no credentials of its own", field="grant_types")
    if REFRESH in grants and CODE not in grants:
        raise ClientError("refresh_token goes with authorization_code", field="grant_types")
    if CODE in grants and not uris:
        raise ClientError("must name at least one address", field="redirect_uris")


def _check_uri(uri: str) -> None:
    """An address that only its owner can receive codes at. Raises ClientError."""
    try:
        parts = urlsplit(uri)
        plain = _URI.fullmatch(uri) is not None and len(uri) <= MAX_URI
        good = plain and parts.port != 0 and not parts.fragment and "#" not in uri
    except ValueError:
        raise ClientError(f"{uri[:64]!r} is no address", field="redirect_uris") from None
    if not good or parts.username is not None or "\\" in uri or "*" in uri:
        raise ClientError(
            f"{uri[:64]!r} is no plain address without fragment, user and wildcard",
            field="redirect_uris",
        )
    own_scheme = "." in parts.scheme and not parts.netloc
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (own_scheme or local or (parts.scheme == "https" and parts.hostname)):
        raise ClientError(
            "must be https, http of this machine itself, or a scheme such as com.example.app",
            field="redirect_uris",
        )
