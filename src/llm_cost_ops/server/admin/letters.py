"""Mails that welcome a user and that invite somebody, sent by jobs.

The secret of a link is made by the job that sends it, for this attempt alone: neither the queue nor
any answer of the API holds one, and no mail holds a password.
"""

from __future__ import annotations

from typing import Literal

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_minute
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.letter import Letter
from llm_cost_ops.server.identity import accounts, invitations, links, organizations, users
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind
from llm_cost_ops.server.settings import Settings

MAIL = Kind(
    "people.mail", max_attempts=30, time_limit_s=300, retry=exponential(5, 3600), waits=True
)
"""Tried for about a day."""
WELCOME_LIVES_US = 3 * 86_400_000_000
About = Literal["welcome", "invite"]


class MailUnavailable(DomainError):
    """Mail is not set up, so that nothing would be sent."""

    code = "CONFLICT"


def lacking(settings: Settings) -> str | None:
    """What must be set before such mails can be sent; None when they can."""
    if settings.server.public_url is None:
        return "server.public_url is not set"
    return settings.email.lacking


def refuse_lacking(settings: Settings) -> None:
    """Raises MailUnavailable with what lacks."""
    if (lack := lacking(settings)) is not None:
        raise MailUnavailable(f"Mail cannot be sent: {lack}.")


def post(session: WriteSession, actor: Actor, about: About, subject_id: str) -> str:
    """The id of the job that sends the mail, in the caller's transaction."""
    payload = {"about": about, "id": subject_id}
    job = enqueue(session, NewJob(MAIL, payload, actor.organization_id), now_us=actor.now_us)
    noun = "user" if about == "welcome" else "invitation"
    actor.record(session, f"{noun}.mail_requested", noun, subject_id, None, {"mail": about})
    return job


def welcome(
    session: WriteSession, organization_id: str, user_id: str, public_url: str, now_us: int
) -> Letter | None:
    """The mail for a user, None when there is nobody to welcome. Who has a password already gets
    no link that could set another."""
    user = users.get_user(session, organization_id, user_id)
    organization = organizations.get_organization(session, organization_id)
    if user is None or organization is None or not user.is_active or user.account_id is None:
        return None
    account = accounts.get_account(session, user.account_id)
    if account is None or user.email is None:
        return None
    greeting = f"Hello {user.name or user.email},"
    told = f"you are now a user of {organization.name}."
    message_id = f"{user.id}.{now_us}"
    subject = f"Welcome to {organization.name}"
    if account.has_password:
        return Letter(user.email, subject, (greeting, told), "Sign in", public_url, message_id)
    links.cancel_links(session, "welcome", account_id=account.id, now_us=now_us)
    secret = links.make_link(
        session,
        "welcome",
        now_us=now_us,
        lives_us=WELCOME_LIVES_US,
        account_id=account.id,
        organization_id=organization_id,
        user_id=user_id,
    )
    once = "Choose a password by this link. It works once, within three days."
    link = f"{public_url}/welcome?token={secret}"
    return Letter(
        user.email, subject, (greeting, told, once), "Choose a password", link, message_id
    )


def invitation(
    session: WriteSession, organization_id: str, invitation_id: str, public_url: str, now_us: int
) -> Letter | None:
    """The mail for an invitation, None when it is no longer open."""
    found = invitations.get_invitation(session, organization_id, invitation_id)
    organization = organizations.get_organization(session, organization_id)
    if found is None or organization is None or found.state(now_us) != "pending":
        return None
    secret = invitations.invitation_link(session, found, now_us=now_us)
    ends = format_minute(found.expires_at, time_zone(organization.time_zone))
    return Letter(
        found.email,
        f"You are invited to {organization.name}",
        (
            f"Hello {found.name or found.email},",
            f"somebody invites you to {organization.name}.",
            f"Accept by this link. It works once, until {ends}. "
            "If you do not know of it, you need not do anything.",
        ),
        "Accept the invitation",
        f"{public_url}/invite?token={secret}",
        f"{found.id}.{now_us}",
    )
