"""Another e-mail address over HTTP."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.tokens.routes import NO_STORE
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.routing import room_router
from llm_cost_ops.server.signin import address, cookies
from llm_cost_ops.server.signin.deps import keep, signed_in_row, visit_of, visitor_of
from llm_cost_ops.server.signin.desk import desk as desk_of
from llm_cost_ops.server.signin.schemas import LOGIN_SCHEMA, ConfirmEmail, NewEmail
from llm_cost_ops.server.signin.sign_in import Code, SignedIn, enter

router = room_router("/api/v1/auth/email", "auth")

Anyone = Depends(require())
ASKED = "If the new address can be used, a link to confirm it is on its way."


@router.post(
    "",
    status_code=202,
    operation_id="requestEmailChange",
    responses=answers(202, {"type": "object"}, "A link is sent to the new address."),
)
async def request_change(
    request: Request, body: NewEmail, principal: Principal = Anyone
) -> Response:
    """Ask for another e-mail address; the password is proven again, and a code where there is a
    second factor. The old address is told. Nothing changes before the link is confirmed."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    code = Code(body.totp, body.recovery_code)
    await desk.run(lambda: address.ask(desk, visit, body.email, body.password, code, visitor))
    return json_response({"message": ASKED}, 202)


@router.post(
    "/confirm",
    operation_id="confirmEmailChange",
    responses=answers(200, LOGIN_SCHEMA, "Changed; a new session instead of all others."),
)
async def confirm_change(
    request: Request, body: ConfirmEmail, principal: Principal = Anyone
) -> Response:
    """Change the address by the link that was mailed to it, signed in as the account. All sessions
    and tokens end; the answer has a new session."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    with_tokens = not cookies.from_page(request)

    def work() -> SignedIn:
        account = address.confirm(desk, visit, body.token, visitor)
        return enter(
            desk,
            account,
            visitor,
            visit.session.organization_id,
            with_tokens=with_tokens,
            provider_id=visit.session.provider_id,
        )

    made = await desk.run(work)
    response = json_response(signed_in_row(made), headers=NO_STORE)
    keep(request, response, made)
    return response
