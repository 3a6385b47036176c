"""The tokens of a program whose user signed in, beside the session: they end with it.

The family of the tokens has the number of the session, so each is found by the other.
"""

from __future__ import annotations

from llm_cost_ops.server.access.oauth.clients import OWN
from llm_cost_ops.server.access.principal import OWN_PROGRAM, Principal
from llm_cost_ops.server.access.tokens import store as families
from llm_cost_ops.server.access.tokens.pairs import TokenPair
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.signin import store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.visitor import Visitor

SESSION, FAMILY = "ses_", "fam_"


def issue(
    desk: SignInDesk,
    session: WriteSession,
    made: store.Session,
    account: store.Account,
    visitor: Visitor,
) -> TokenPair:
    """The tokens beside a new session. Raises Problem 401 for an account that was signed out
    everywhere since it proved who it is."""
    return desk.tokens.issue_pair(
        session,
        organization_id=made.organization_id,
        user_id=made.user_id,
        account_id=made.account_id,
        request_id=visitor.request_id,
        family_id=family_of(made.id),
        token_version=account.token_version,
    )


def end(session: WriteSession, session_id: str, *, now_us: int) -> None:
    """End the tokens beside a session, if it has some."""
    families.end_family(session, family_of(session_id), now_us, "signed out")


def programs_of(session: ReadSession, account_id: str, now_us: int) -> list[store.Session]:
    """Where an account is signed in by tokens in force, shown as sessions: those beside a session
    too, which may be over when they are not."""
    return [
        store.Session(
            id=family.id,
            account_id=account_id,
            organization_id=family.organization_id,
            user_id=family.user_id or "",
            created_at=family.created_at,
            last_seen_at=renewed_at,
            expires_at=family.expires_at,
            address=None,
            agent=OWN.name if family.client_id == OWN_PROGRAM else name,
        )
        for family, name, renewed_at in families.families_of_account(session, account_id, now_us)
    ]


def family_of(session_id: str) -> str:
    """The id of the tokens beside a session, or of those that stand alone."""
    return FAMILY + session_id.removeprefix(SESSION).removeprefix(FAMILY)


def session_of(family_id: str) -> str:
    """The id of the session beside tokens."""
    return SESSION + family_id.removeprefix(FAMILY)


def is_own(principal: Principal) -> bool:
    """Whether somebody is here as an account with the access token of a sign-in."""
    return principal.account_id is not None and is_of_sign_in(principal)


def is_of_sign_in(principal: Principal) -> bool:
    """Whether somebody is here with the access token of a sign-in, at the API or at our command
    line: no program acts for them that they only consented to. One whom an organization's own
    provider vouched for is no account there, only the user."""
    return principal.client_id in (None, OWN_PROGRAM) and principal.key_id.startswith(FAMILY)
