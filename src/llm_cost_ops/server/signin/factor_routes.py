"""The second factor over HTTP."""

from __future__ import annotations

from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers
from llm_cost_ops.server.http.routing import room_router
from llm_cost_ops.server.signin import account as own
from llm_cost_ops.server.signin.deps import visit_of, visitor_of
from llm_cost_ops.server.signin.desk import desk as desk_of
from llm_cost_ops.server.signin.schemas import (
    CODES_SCHEMA,
    ENROLMENT_SCHEMA,
    ConfirmCode,
    Prove,
    ProveBoth,
)
from llm_cost_ops.server.signin.sign_in import Code, SecondFactorFailed

router = room_router("/api/v1/auth/2fa", "auth")

Anyone = Depends(require())


@router.post(
    "/enroll",
    operation_id="enrollSecondFactor",
    responses=answers(200, ENROLMENT_SCHEMA, "A secret for an authenticator app, to confirm."),
)
async def enroll(request: Request, body: Prove, principal: Principal = Anyone) -> Response:
    """Begin to turn the second factor on; the password is proven again."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    made = await desk.run(lambda: own.begin_second_factor(desk, visit, body.password, visitor))
    return json_response({"secret": made.secret, "uri": made.uri})


@router.post(
    "/confirm",
    operation_id="confirmSecondFactor",
    responses=answers(200, CODES_SCHEMA, "It is on; the recovery codes are shown only now."),
)
async def confirm(request: Request, body: ConfirmCode, principal: Principal = Anyone) -> Response:
    """Turn the second factor on with a first code of the app."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    codes = await desk.run(lambda: own.confirm_second_factor(desk, visit, body.totp, visitor))
    if codes is None:
        raise SecondFactorFailed
    return json_response({"recovery_codes": codes})


@router.post("/disable", status_code=204, operation_id="disableSecondFactor")
async def disable(request: Request, body: ProveBoth, principal: Principal = Anyone) -> Response:
    """Turn the second factor off; password and code are proven again."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    code = Code(body.totp, body.recovery_code)
    await desk.run(lambda: own.end_second_factor(desk, visit, body.password, code, visitor))
    return Response(status_code=204)


@router.post(
    "/recovery-codes",
    operation_id="renewRecoveryCodes",
    responses=answers(200, CODES_SCHEMA, "New ones instead of the old; shown only now."),
)
async def recovery_codes(
    request: Request, body: ProveBoth, principal: Principal = Anyone
) -> Response:
    """Make new recovery codes; password and code are proven again."""
    desk, visitor = desk_of(request), visitor_of(request)
    visit = await visit_of(request, desk, principal)
    code = Code(body.totp, body.recovery_code)
    codes = await desk.run(
        lambda: own.renew_recovery_codes(desk, visit, body.password, code, visitor)
    )
    return json_response({"recovery_codes": codes})
