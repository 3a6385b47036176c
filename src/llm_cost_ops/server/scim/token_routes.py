"""SCIM tokens over HTTP: make, list, revoke."""

from __future__ import annotations

from typing import cast

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.server.access.change import actor_of
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.scim import token_store as store
from llm_cost_ops.server.scim.token_wire import TOKEN_ROW_SCHEMA, NewToken, token_row
from llm_cost_ops.server.scim.tokens import issue_token, withdraw_token

router = room_router("/api/v1/scim-tokens", "scim")

Reader = Depends(require("read:api_keys"))
Writer = Depends(require("write:api_keys", "write:users", "write:teams"))


@router.post(
    "",
    status_code=201,
    operation_id="createScimToken",
    responses=answers(201, TOKEN_ROW_SCHEMA, "The token; `token` is its secret, shown only now."),
)
def create_token(request: Request, body: NewToken, principal: Principal = Writer) -> Response:
    """Make a SCIM token of the organization, for its identity provider."""
    own_organization(principal, body.organization_id)
    expires_at = None
    if body.expires_at is not None:
        expires_at = to_micros(parse_instant(body.expires_at, "expires_at"))
    actor = actor_of(request, principal)
    issued = write_retrying(
        deps.database(request),
        lambda session: issue_token(
            session,
            actor,
            name=body.name,
            assigns_roles=body.assigns_roles,
            expires_at=expires_at,
            maker=principal,
        ),
    )
    return json_response({**token_row(issued.token, actor.now_us), "token": issued.secret}, 201)


@router.get(
    "",
    operation_id="listScimTokens",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(TOKEN_ROW_SCHEMA), "Newest first, revoked ones too."),
)
def list_tokens(request: Request, principal: Principal = Reader) -> Response:
    """The SCIM tokens of the organization, without their secrets."""
    refuse_unknown(request, PARAMETERS)
    subject = f"scim-tokens:{principal.organization_id}"
    wanted = page_request(request.query_params, subject, (str,))
    after = cast("str | None", wanted.position[0]) if wanted.position else None
    with read(deps.database(request)) as session:
        found = store.list_tokens(
            session,
            principal.organization_id,
            limit=wanted.limit + 1,
            offset=wanted.offset,
            after=after,
        )
    shown, more = found[: wanted.limit], len(found) > wanted.limit
    now_us = deps.clock(request).micros()
    rows = [token_row(token, now_us) for token in shown]
    following = encode_cursor(subject, [shown[-1].id]) if more else None
    return json_response(page_answer(rows, wanted, following))


@router.delete("/{token_id}", status_code=204, operation_id="revokeScimToken")
def revoke_token(token_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Revoke a SCIM token; it is refused at once. A second time changes nothing."""
    actor = actor_of(request, principal)
    write_retrying(deps.database(request), lambda session: withdraw_token(session, actor, token_id))
    return Response(status_code=204)
