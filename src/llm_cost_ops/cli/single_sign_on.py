"""`sso`: the identity providers by which people of an organization sign in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import (
    Column,
    Listing,
    Row,
    rows_of,
    show_object,
    show_rows,
    tail_of,
)
from llm_cost_ops.cli.profile import Profile

sso = group("Identity providers to sign in by: add, change, remove, require.")

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("kind"),
    Column("issuer"),
    Column("domains", read=lambda row: ", ".join(row["domains"])),
    Column("state", read=lambda row: "enabled" if row["enabled"] else "off"),
)
FIELDS = (
    "id", "organization_id", "kind", "name", "issuer", "client_id", "has_secret", "scopes",
    "domains", "creates_users", "role", "role_claim", "role_mapping", "enabled", "login_path",
    "redirect_path", "metadata_path", "sso_url", "certificates", "created_by", "created_at",
    "updated_at", "version",
)  # fmt: skip
SECRET_VARIABLE = "COST_OPS_CLIENT_SECRET"  # noqa: S105 - the name of it
ProviderId = Annotated[str, typer.Argument(help="Id of the provider (idp_..).")]
Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", help="Whose addresses it vouches for; may be repeated."),
]
Scopes = Annotated[str | None, typer.Option(help="Scopes to ask for, with commas.")]
Creates = Annotated[
    bool | None,
    typer.Option("--create-users/--known-users", help="Whether it makes users of the unknown."),
]
Role = Annotated[str | None, typer.Option(help="The role of who becomes a user that way.")]
Claim = Annotated[str | None, typer.Option(help="Claim whose values give roles, such as groups.")]
Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", help="VALUE=ROLE: who has the value gets the role; may be repeated."),
]
Issuer = Annotated[
    str | None, typer.Option(help="Issuer; needed but for google and github. SAML: its entity id.")
]
ClientId = Annotated[str | None, typer.Option(help="Our client at the provider; SAML has none.")]
SsoUrl = Annotated[str | None, typer.Option(help="SAML: where people are sent to sign in.")]
Certificates = Annotated[
    list[Path] | None,
    typer.Option("--certificate", help="SAML: PEM file it signs with; may be repeated."),
]


@command(sso, "add", "create", organization=True)
def _add(
    profile: Profile,
    kind: Annotated[str, typer.Argument(help="google, github, okta, entra, generic or saml.")],
    name: Annotated[str, typer.Option(help="What the button on the login page says.")],
    client_id: ClientId = None,
    domain: Domains = None,
    issuer: Issuer = None,
    scopes: Scopes = None,
    create_users: Creates = None,
    role: Role = None,
    role_claim: Claim = None,
    mapped: Mapped = None,
    sso_url: SsoUrl = None,
    certificate: Certificates = None,
) -> int:
    """Let people sign in by an identity provider. The client secret is read from the variable
    COST_OPS_CLIENT_SECRET.

    $ cost-ops sso add google --name Google --client-id 1234.apps.example --domain example.com
    """
    from llm_cost_ops.cli.connect import connected

    body = {
        "kind": kind,
        **_fields(name, client_id, issuer, scopes, domain, create_users, role, role_claim, mapped),
        **_of_saml(sso_url, certificate),
    }
    with connected(profile) as api:
        made = api.change("POST", "/sso/providers", body)
    show_object(profile, made, _show)
    profile.note(f"Register {made['redirect_path']} below the server's address as redirect URI.")
    return OK


@command(sso, "list", organization=True)
def _list(profile: Profile) -> int:
    """List the identity providers, without their secrets.

    $ cost-ops sso list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/sso/providers")
    empty = "No identity providers."
    show_rows(profile, rows_of(answer), Listing(COLUMNS, FIELDS, tail_of(answer), empty=empty))
    return OK


@command(sso, "show", "get", organization=True)
def _get(profile: Profile, provider: ProviderId) -> int:
    """Show one identity provider.

    $ cost-ops sso show idp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("sso", "providers", provider))
    show_object(profile, found, _show)
    return OK


@command(sso, "update", "change", organization=True)
def _update(
    profile: Profile,
    provider: ProviderId,
    name: Annotated[str | None, typer.Option(help="What its button says.")] = None,
    client_id: ClientId = None,
    domain: Domains = None,
    issuer: Issuer = None,
    scopes: Scopes = None,
    create_users: Creates = None,
    role: Role = None,
    role_claim: Claim = None,
    mapped: Mapped = None,
    sso_url: SsoUrl = None,
    certificate: Certificates = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="On or off.")] = None,
) -> int:
    """Change an identity provider; what is not named stays.

    $ cost-ops sso update idp_01K9ZW3D1M0000000000000000 --disable
    """
    from llm_cost_ops.cli.connect import connected, path_of

    body = _fields(name, client_id, issuer, scopes, domain, create_users, role, role_claim, mapped)
    body.update(_of_saml(sso_url, certificate))
    if enabled is not None:
        body["enabled"] = enabled
    if not body:
        raise CommandError("name what shall become another", exit_code=ARGUMENTS)
    with connected(profile) as api:
        made = api.change("PATCH", path_of("sso", "providers", provider), body)
    show_object(profile, made, _show)
    return OK


@command(sso, "remove", "delete", organization=True)
def _remove(profile: Profile, provider: ProviderId) -> int:
    """Remove an identity provider; the sessions that it vouched for end.

    $ cost-ops sso remove idp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("sso", "providers", provider))
    profile.note(f"Removed {provider}.")
    return OK


@command(sso, "require", organization=True)
def _require(
    profile: Profile,
    off: Annotated[bool, typer.Option("--off", help="Let people use passwords again.")] = False,
) -> int:
    """Let people sign in by identity providers alone; administrators keep their passwords.

    $ cost-ops sso require
    $ cost-ops sso require --off
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        made = api.change("PUT", "/sso/policy", {"required": not off})
    profile.note("Passwords are " + ("off." if made["required"] else "on."))
    return OK


def _fields(
    name: str | None,
    client_id: str | None,
    issuer: str | None,
    scopes: str | None,
    domains: list[str] | None,
    creates_users: bool | None,
    role: str | None,
    role_claim: str | None,
    mapped: list[str] | None,
) -> dict[str, Any]:
    """What was named, as the API takes it."""
    words = None if scopes is None else [each for each in scopes.split(",") if each]
    found = {
        "name": name,
        "client_id": client_id,
        "client_secret": os.environ.get(SECRET_VARIABLE) or None,
        "issuer": issuer,
        "scopes": words,
        "domains": domains or None,
        "creates_users": creates_users,
        "role": role,
        "role_claim": role_claim,
        "role_mapping": None if not mapped else dict(map(_pair, mapped)),
    }
    return {key: value for key, value in found.items() if value is not None}


def _of_saml(sso_url: str | None, certificates: list[Path] | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if sso_url is None else {"sso_url": sso_url}
    if certificates:
        try:
            found["certificates"] = [path.read_text("ascii") for path in certificates]
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--certificate: {error}", exit_code=ARGUMENTS) from None
    return found


def _pair(text: str) -> tuple[str, str]:
    value, equals, role = text.rpartition("=")
    if not equals or not value or not role:
        raise CommandError(f"--map {text} must be VALUE=ROLE", exit_code=ARGUMENTS)
    return value, role


def _show(_profile: Profile, row: Row) -> None:
    print(f"{row['id']}  {row['name']}  ({row['kind']}{'' if row['enabled'] else ', off'})")
    for name in ("issuer", "client_id", "sso_url", "login_path", "redirect_path", "metadata_path"):
        if row[name]:
            print(f"{name:>14}  {row[name]}")
    print(f"{'domains':>14}  {', '.join(row['domains'])}")
    if row["client_id"]:
        print(f"{'secret':>14}  {'kept' if row['has_secret'] else 'none'}")
    if row["creates_users"]:
        print(f"{'creates users':>14}  as {row['role']}")
    for value, role in row["role_mapping"].items():
        print(f"{row['role_claim']:>14}  {value} gives {role}")
