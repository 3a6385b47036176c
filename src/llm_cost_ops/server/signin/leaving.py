"""Sign out, and go on in another organization: by the session of a browser, or by the access token
that a program got when its user signed in. Tokens and session do both together."""

from __future__ import annotations

from starlette.requests import Request

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.tokens import store as families
from llm_cost_ops.server.access.tokens.desk import invalid_token
from llm_cost_ops.server.access.tokens.pairs import Refused, TokenPair
from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.identity.accounts import Membership, memberships
from llm_cost_ops.server.signin import session_tokens, store
from llm_cost_ops.server.signin.account import record_own, refuse_confined, sessions_seen
from llm_cost_ops.server.signin.deps import visitor_of
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.desk import desk as desk_of
from llm_cost_ops.server.signin.sessions import Visit
from llm_cost_ops.server.signin.sign_in import SsoRequired, takes_password
from llm_cost_ops.server.signin.visitor import Visitor


async def end_session(request: Request, visit: Visit, session_id: str) -> bool:
    """End a session of the same account, with its tokens. Whether there was one that this one can
    see."""
    desk, visitor = desk_of(request), visitor_of(request)
    account_id, now_us = visit.session.account_id, desk.clock.micros()

    def work(session: WriteSession) -> bool:
        if session_id not in {each.id for each in sessions_seen(desk, session, visit)}:
            return False
        if session_id.startswith(session_tokens.FAMILY):
            ended = families.end_family(session, session_id, now_us, "signed out")
        else:
            ended = store.revoke_session(session, account_id, session_id, now_us=now_us)
        if ended:
            session_tokens.end(session, session_id, now_us=now_us)
            own = session_id == visit.session.id
            action = "auth.logout" if own else "auth.session_revoked"
            record_own(session, account_id, action, visitor, now_us, visit)
        return ended

    ended = await desk.run(lambda: write_retrying(desk.database, work))
    desk.tokens.forget_family(session_tokens.family_of(session_id))
    return ended


async def end_tokens(request: Request, principal: Principal) -> None:
    """Sign out by an access token: all tokens of the sign-in end, with its session."""
    desk, visitor = desk_of(request), visitor_of(request)
    now_us = desk.clock.micros()

    def work(session: WriteSession) -> None:
        family = families.get_family(session, principal.key_id)
        if family is None:
            return
        account_id = principal.account_id
        if account_id is not None:
            session_id = session_tokens.session_of(family.id)
            store.revoke_session(session, account_id, session_id, now_us=now_us)
        if not families.end_family(session, family.id, now_us, "signed out"):
            return
        if account_id is not None:
            record_own(session, account_id, "auth.logout", visitor, now_us, by=family.id)
        else:
            _record_user(session, principal, visitor, now_us)

    await desk.run(lambda: write_retrying(desk.database, work))
    desk.tokens.forget_family(principal.key_id)


def _record_user(
    session: WriteSession, principal: Principal, visitor: Visitor, now_us: int
) -> None:
    """Of who is no account here, only the organization's user."""
    record(
        session,
        organization_id=principal.organization_id,
        actor_id=principal.key_id,
        action="auth.logout",
        resource_type="user",
        resource_id=principal.user_id or "unknown",
        after={"address": visitor.address},
        request_id=visitor.request_id,
        now_us=now_us,
    )


async def switch_session(request: Request, visit: Visit, organization: str) -> Membership | None:
    """Go on in another organization of the account, by id or slug; None when it is in none that is
    called so. Tokens beside the session go along. Raises SsoRequired for one that does not take
    the password of this session, ProveAgain for a confined session."""
    refuse_confined(visit)
    desk, visitor = desk_of(request), visitor_of(request)
    own, family_id = visit.session, session_tokens.family_of(visit.session.id)

    def work(session: WriteSession) -> Membership | None:
        member = member_called(session, own.account_id, organization)
        if member is not None:
            if own.provider_id is None and not takes_password(session, member):
                raise SsoRequired
            store.move_session(session, own.id, member)
            families.move_family(
                session,
                family_id,
                organization_id=member.organization_id,
                user_id=member.user_id,
            )
            _record_switch(session, desk, own.id, own.organization_id, member, visitor)
        return member

    member = await desk.run(lambda: write_retrying(desk.database, work))
    desk.tokens.forget_family(family_id)
    return member


async def switch_tokens(
    request: Request, principal: Principal, organization: str
) -> tuple[Membership, TokenPair] | None:
    """The same by an access token, which a password has given; with one that goes on there. Raises
    SsoRequired, Problem 401."""
    desk, visitor = desk_of(request), visitor_of(request)

    def work(session: WriteSession) -> tuple[Membership, TokenPair] | None:
        member = member_called(session, principal.account_id or "", organization)
        family = families.get_family(session, principal.key_id)
        if member is None or family is None:
            return None
        if not takes_password(session, member):
            raise SsoRequired
        pair = desk.tokens.mint.move(session, family, member.organization_id, member.user_id)
        if isinstance(pair, Refused):
            raise invalid_token()
        store.move_session(session, session_tokens.session_of(family.id), member)
        before = principal.organization_id
        _record_switch(session, desk, family.id, before, member, visitor)
        return member, pair

    moved = await desk.run(lambda: write_retrying(desk.database, work))
    desk.tokens.forget_family(principal.key_id)
    return moved


def member_called(session: WriteSession, account_id: str, organization: str) -> Membership | None:
    """Who the account is in the organization with this id or slug."""
    for member in memberships(session, account_id):
        if organization in (member.organization_id, member.slug):
            return member
    return None


def _record_switch(
    session: WriteSession,
    desk: SignInDesk,
    actor_id: str,
    before: str,
    member: Membership,
    visitor: Visitor,
) -> None:
    record(
        session,
        organization_id=member.organization_id,
        actor_id=actor_id,
        action="auth.organization_switched",
        resource_type="user",
        resource_id=member.user_id,
        before={"organization_id": before},
        after={"organization_id": member.organization_id},
        request_id=visitor.request_id,
        now_us=desk.clock.micros(),
    )
