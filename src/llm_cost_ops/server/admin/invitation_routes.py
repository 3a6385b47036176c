"""Invitations over HTTP. The link goes to the person alone: no answer here holds it."""

from __future__ import annotations

from functools import partial

from fastapi import Depends, Query, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, change
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.powers import grantable
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin import letters
from llm_cost_ops.server.admin.bodies import NewInvitationBody
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.people import team_ids
from llm_cost_ops.server.admin.wire import INVITATION_SCHEMA, invitation_row
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import invitations
from llm_cost_ops.server.identity.invitations import NewInvitation

router = room_router("/api/v1/invitations", "invitations")

Reader = Depends(require("read:users"))
Writer = Depends(require("write:users"))
_DAY_US = 86_400_000_000
MADE_SCHEMA = {
    **INVITATION_SCHEMA,
    "properties": {
        **INVITATION_SCHEMA["properties"],
        "mail": {
            "type": "string",
            "description": "`queued`, or what must be set up before mail can be sent.",
        },
    },
}


@router.post(
    "", status_code=201, operation_id="createInvitation", openapi_extra=KEYED,
    responses=answers(201, MADE_SCHEMA, "The invitation; the link is mailed to the person."),
)  # fmt: skip
def create_invitation(
    request: Request, body: NewInvitationBody, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Invite somebody by mail; an open invitation of the same address ends."""
    own_organization(principal, body.organization_id)
    lack = letters.lacking(deps.settings(request))

    def work(session: WriteSession, actor: Actor) -> Response:
        new = NewInvitation(
            email=body.email,
            role=grantable(session, principal, body.role),
            name=body.name,
            team_ids=team_ids(session, actor.organization_id, body.teams),
            lives_us=body.expires_in_days * _DAY_US,
        )
        made = invitations.invite(session, actor, new)
        if lack is None:
            letters.post(session, actor, "invite", made.id)
        row = invitation_row(made, actor.now_us)
        return json_response({**row, "mail": "queued" if lack is None else lack}, 201)

    return change(request, principal, raw, work)


@router.get(
    "",
    operation_id="listInvitations",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(INVITATION_SCHEMA), "Newest first."),
)
def list_invitations(
    request: Request,
    principal: Principal = Reader,
    email: str | None = Query(default=None, max_length=320),
) -> Response:
    """The invitations of the organization, ended ones too."""
    refuse_unknown(request, PARAMETERS | {"email", "organization_id"})
    organization_id, now_us = principal.organization_id, deps.clock(request).micros()
    return paged(
        request,
        f"{organization_id} invitations {email}",
        partial(invitations.list_invitations, organization_id=organization_id, email=email),
        lambda _session, found: [invitation_row(each, now_us) for each in found],
    )


@router.delete(
    "/{invitation_id}",
    operation_id="revokeInvitation",
    openapi_extra=KEYED,
    responses=answers(200, INVITATION_SCHEMA, "The invitation, which has ended."),
)
def revoke_invitation(
    invitation_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """End an invitation; a second time changes nothing. 409 for one that was accepted."""

    def work(session: WriteSession, actor: Actor) -> Response:
        gone = invitations.revoke_invitation(session, actor, invitation_id)
        return json_response(invitation_row(gone, actor.now_us))

    return change(request, principal, raw, work)
