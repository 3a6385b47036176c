"""What all pages share: templates, forms that prove where they come from, and errors as pages.

They need no script and load nothing from anywhere; the one style sheet is inline, allowed by its
hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.delivery.wording import PRODUCT
from llm_cost_ops.server.http.problems import Problem, problem_of
from llm_cost_ops.server.http.routing import media_type
from llm_cost_ops.server.signin import cookies
from llm_cost_ops.server.signin.deps import sessions
from llm_cost_ops.server.signin.desk import desk
from llm_cost_ops.server.signin.sessions import Visit

MAX_FORM_BYTES = 16_384
MAX_FIELDS = 20
FORM_SECONDS = 3_600
HOME = "/account"
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was sent, from one of our pages."""

    fields: Mapping[str, str] = field(repr=False)

    def text(self, name: str, limit: int = 1_024) -> str:
        """The value of a field, empty without one. Raises Problem 422 for one that is too long."""
        value = self.fields.get(name, "")
        if len(value) > limit:
            raise Problem(422, "VALIDATION_ERROR", "Something that was typed is too long.")
        return value


def show(
    request: Request,
    template: str,
    status: int = 200,
    /,
    *,
    visit: Visit | None = None,
    **values: object,
) -> Response:
    """A page of the template with this name."""
    secret = cookies.cookie(request, cookies.SESSION) if visit is not None else None
    fresh: str | None = None
    if secret is None:
        secret = cookies.cookie(request, cookies.FORM)
        if secret is None:
            secret = fresh = secrets.token_urlsafe(32)
    text = (
        _templates()
        .get_template(f"{template}.html")
        .render(
            product=PRODUCT,
            style=_style(),
            csrf=cookies.csrf_token(secret),
            visit=visit,
            **{"error": None, "errors": {}, "note": None, **values},
        )
    )
    response = HTMLResponse(text, status, headers={"Content-Security-Policy": _policy()})
    if fresh is not None:
        cookies.set_cookie(request, response, cookies.FORM, fresh, seconds=FORM_SECONDS)
    return response


def go(path: str) -> Response:
    """To another page of ours, by GET."""
    return RedirectResponse(path, 303)


def local(path: str | None) -> str:
    """A path of this server to go on to; anything else is the account page: a link must not lead
    from our login to a stranger's page."""
    return path if path and _LOCAL_PATH.fullmatch(path) else HOME


async def form_of(request: Request, visit: Visit | None = None) -> Form:
    """The form that was sent. Raises Problem 403 unless a page of ours sent it, for this session or
    browser; 413, 415 and 422 for what no page of ours sends."""
    if media_type(request.headers) != "application/x-www-form-urlencoded":
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "This page takes its own form alone.")
    body = await request.body()
    if len(body) > MAX_FORM_BYTES:
        raise Problem(413, "PAYLOAD_TOO_LARGE", "The form is too large.")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise Problem(422, "VALIDATION_ERROR", "The form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or "\x00" in "".join(fields.values()):
        raise Problem(422, "VALIDATION_ERROR", "The form cannot be read.")
    name = cookies.FORM if visit is None else cookies.SESSION
    secret = cookies.cookie(request, name)
    if secret is None:
        raise _outdated()
    try:
        cookies.check_csrf(request, secret, fields.get("csrf"))
    except Problem:
        raise _outdated() from None
    return Form(fields)


def _outdated() -> Problem:
    return Problem(
        403, "CSRF_FAILED", "This form is out of date, or cookies are off. Open the page again."
    )


async def visit_here(request: Request) -> Visit | None:
    """The session of this browser, if it goes on."""
    secret = cookies.cookie(request, cookies.SESSION)
    if secret is None:
        return None
    credential = sessions(request)
    return await desk(request).run(lambda: credential.visit(secret))


def page(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its errors shown as pages."""

    async def shown(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (Problem, DomainError, DatabaseUnavailable, SerializationRetry) as error:
            problem = problem_of(error, request.method)
            response = show(
                request, "message", problem.status, title="This did not work", text=problem.message
            )
            if problem.headers:
                response.headers.update(problem.headers)
            return response

    return shown


def said_of(error: Exception) -> tuple[int, str, dict[str, str], Mapping[str, str]]:
    """An error as a form shows it: status, one sentence, the texts of its fields, headers."""
    problem = problem_of(error, "POST")
    text = problem.message
    if problem.field_errors:
        text = "Please look at what is marked."
    return problem.status, text, problem.field_errors, problem.headers or {}


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("llm_cost_ops.server.signin"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _style() -> str:
    path = files("llm_cost_ops.server.signin").joinpath("templates", "style.css")
    return path.read_text("utf-8")


@lru_cache(maxsize=1)
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
