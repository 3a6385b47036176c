"""Whom a provider means: somebody it brought before, somebody found by a vouched address, or
somebody new.

The subject decides. An address decides once, at the first time, and only if the provider vouches
for it and its domain is one that was named for the provider. A provider of an organization finds
users of that organization alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity import accounts
from llm_cost_ops.server.identity.last_admin import LastAdmin, hold_organization
from llm_cost_ops.server.identity.organizations import find_organization
from llm_cost_ops.server.identity.role_grants import grant_role, roles_of, withdraw_role
from llm_cost_ops.server.identity.roles import RoleUnknown, get_role
from llm_cost_ops.server.identity.users import (
    PERSON,
    NewUser,
    User,
    create_user,
    find_by_email,
    get_user,
)
from llm_cost_ops.server.settings import SsoSettings
from llm_cost_ops.server.signin import store as people
from llm_cost_ops.server.signin.sso import store
from llm_cost_ops.server.signin.sso.failures import SsoFailed, stranger
from llm_cost_ops.server.signin.sso.providers import Provider
from llm_cost_ops.server.signin.sso.vouched import Vouched


@dataclass(frozen=True, slots=True)
class Found:
    """An account, and the organization to enter, None for whichever it belongs to."""

    account: people.Account
    organization_id: str | None


def find_person(
    session: WriteSession,
    provider: Provider,
    vouched: Vouched,
    settings: SsoSettings,
    *,
    now_us: int,
    request_id: str | None,
) -> Found:
    """Who signs in, found or made. Raises SsoFailed."""
    if provider.organization_id is not None:
        actor = Actor(provider.organization_id, provider.id, request_id, now_us)
        user = _user(session, actor, provider, vouched)
        _give_roles(session, actor, provider, vouched, user)
        return Found(_enabled(session, user.account_id), provider.organization_id)
    known = store.find_known(session, provider.id, vouched.issuer, vouched.subject)
    if known is not None:
        store.touch_known(session, provider.id, vouched.issuer, vouched.subject, now_us)
        return Found(_enabled(session, known.account_id), None)
    account = _by_address(session, provider, vouched, settings, now_us, request_id)
    store.keep_known(
        session,
        provider.id,
        vouched.issuer,
        vouched.subject,
        store.Known(None, None, account.id),
        now_us,
    )
    people.set_verified(session, account.id, now_us=now_us)
    return Found(account, None)


def _enabled(session: ReadSession, account_id: str | None) -> people.Account:
    account = people.get_account(session, account_id or "")
    if account is None or account.disabled_at is not None:
        raise stranger()
    return account


def _address(provider: Provider, vouched: Vouched) -> str:
    if vouched.email is None:
        raise SsoFailed(
            "email is not verified",
            "The identity provider does not vouch for an e-mail address of yours.",
        )
    if not provider.admits(vouched.email):
        raise SsoFailed(
            "domain", "Addresses of your domain are not signed in by this identity provider."
        )
    return vouched.email


def _user(session: WriteSession, actor: Actor, provider: Provider, vouched: Vouched) -> User:
    """The user of the provider's organization. Raises SsoFailed."""
    hold_organization(session, actor.organization_id)
    by = (provider.id, vouched.issuer, vouched.subject)
    known = store.find_known(session, *by)
    if known is not None and known.organization_id == actor.organization_id:
        user = get_user(session, actor.organization_id, known.user_id or "")
        if user is None or user.kind != PERSON or not user.is_active:
            raise stranger()
        store.touch_known(session, *by, actor.now_us)
        return user
    email = _address(provider, vouched)
    user = find_by_email(session, actor.organization_id, email)
    if user is None:
        user = _made(session, actor, provider, vouched, email)
    if user.kind != PERSON or not user.is_active:
        raise stranger()
    keep = store.Known(actor.organization_id, user.id, None)
    store.keep_known(session, *by, keep, actor.now_us)
    linked = {"provider_id": provider.id, "issuer": vouched.issuer}
    actor.record(session, "sso.identity_linked", "user", user.id, None, linked)
    return user


def _made(
    session: WriteSession, actor: Actor, provider: Provider, vouched: Vouched, email: str
) -> User:
    """A new user, with the provider's role if that is still one. Raises SsoFailed."""
    if not provider.creates_users:
        raise stranger()
    _refuse_unproven(session, email)
    role = provider.role
    if role is not None and not _is_role(session, actor.organization_id, role):
        role = None
    return create_user(session, actor, NewUser(email=email, name=vouched.name, role=role))


def _refuse_unproven(session: ReadSession, email: str) -> None:
    """Nobody has shown that the password of such an account is of who reads mail to its address:
    whoever set it would be in beside the person. Raises SsoFailed."""
    account = accounts.find_account(session, email)
    if account is not None and account.has_password and account.email_verified_at is None:
        raise SsoFailed(
            "unproven account",
            "There is an account for your address whose password was never proven by mail. Set a "
            "new one at /reset, or ask an administrator to add you.",
        )


def _is_role(session: ReadSession, organization_id: str, key: str) -> bool:
    try:
        get_role(session, organization_id, key)
    except RoleUnknown:
        return False
    return True


def _give_roles(
    session: WriteSession, actor: Actor, provider: Provider, vouched: Vouched, user: User
) -> None:
    """Give the roles that the claim's values stand for, and take those of the mapping that they do
    not: what somebody was given otherwise stays. The last administrator stays one."""
    if vouched.values is None:
        return
    mapping = provider.role_mapping
    wanted = {role for value, role in mapping.items() if value in vouched.values}
    held = set(roles_of(session, actor.organization_id, [user.id]).get(user.id, ()))
    for role in sorted(wanted - held):
        if _is_role(session, actor.organization_id, role):
            grant_role(session, actor, user.id, role)
    kept = wanted or {provider.role}
    for role in sorted((set(mapping.values()) - kept) & held):
        try:
            withdraw_role(session, actor, user.id, role)
        except LastAdmin:
            logger("signin").warning(
                "the last administrator keeps the role", provider=provider.id, user=user.id
            )


def _by_address(
    session: WriteSession,
    provider: Provider,
    vouched: Vouched,
    settings: SsoSettings,
    now_us: int,
    request_id: str | None,
) -> people.Account:
    """The account that a provider of the installation vouches for. Raises SsoFailed."""
    email = _address(provider, vouched)
    account = people.find_account(session, email)
    belongs = account is not None and bool(accounts.memberships(session, account.id))
    if not belongs and settings.organization is not None:
        organization = find_organization(session, settings.organization)
        if organization is None:
            raise stranger()
        actor = Actor(organization.id, provider.id, request_id, now_us)
        hold_organization(session, organization.id)
        if find_by_email(session, organization.id, email) is not None:  # disabled there
            raise stranger()
        user = _made(session, actor, provider, vouched, email)
        return _enabled(session, user.account_id)
    if account is None or not belongs:
        raise stranger()
    _refuse_unproven(session, email)
    return _enabled(session, account.id)
