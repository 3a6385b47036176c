"""The cookies of signing in, and what a request that they vouch for must show besides.

`__Host-` cookies are Secure, of this host alone and of its whole path. Plain HTTP to this machine
itself, for development, has cookies without the prefix; production has none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.problems import Problem

SESSION = "cost_ops_session"
DEVICE = "cost_ops_device"
FORM = "cost_ops_form"
SECOND_STEP = "cost_ops_second_step"
SSO = "cost_ops_sso"
PREFIX = "__Host-"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_SECRET = 128
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def secure(request: Request) -> bool:
    """Whether cookies of this request are `__Host-` and Secure: all but those of development on
    the same machine."""
    if request.url.scheme == "https" or deps.settings(request).production:
        return True
    return request.url.hostname not in _LOCAL


def name_of(request: Request, name: str) -> str:
    """The name of a cookie for this request."""
    return f"{PREFIX}{name}" if secure(request) else name


def cookie(request: Request, name: str, limit: int = MAX_SECRET) -> str | None:
    """The value of a cookie of ours, if it has no more characters than `limit`."""
    value = request.cookies.get(name_of(request, name))
    return value if value and len(value) <= limit and value.isascii() else None


def set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    *,
    seconds: int | None = None,
    cross_site: bool = False,
) -> None:
    """Set a cookie; without `seconds` it goes with the browser. `cross_site`: a form of another
    site must bring it along; it may vouch for nothing but what that form itself proves."""
    response.set_cookie(
        name_of(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=secure(request),
        httponly=True,
        samesite="none" if cross_site and secure(request) else "lax",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(
        name_of(request, name),
        path="/",
        secure=secure(request),
        httponly=True,
        samesite="lax",
    )


def csrf_token(secret: str) -> str:
    """What pages of ours send back to show that they can read our answers; it follows from the
    secret of the cookie and does not tell it."""
    made = hmac.digest(secret.encode(), b"csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(made).decode("ascii").rstrip("=")


def check_origin(request: Request) -> None:
    """Raises Problem 403 for a request that a page of another origin made."""
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise forged()
        return
    if origin not in own_origins(request):
        raise forged()


def from_page(request: Request) -> bool:
    """Whether a page in a browser asks: its scripts could read what is answered."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def own_origins(request: Request) -> set[str]:
    """The origins of our own pages."""
    found = {f"{request.url.scheme}://{request.url.netloc}"}
    public = deps.settings(request).server.public_url
    if public is not None:
        parts = urlsplit(public)
        found.add(f"{parts.scheme}://{parts.netloc}")
    return found


def check_csrf(request: Request, secret: str, token: str | None) -> None:
    """Raises Problem 403 unless the request comes from a page of ours."""
    check_origin(request)
    if token is None or not hmac.compare_digest(token.encode(), csrf_token(secret).encode()):
        raise forged()


def forged() -> Problem:
    return Problem(
        403,
        "CSRF_FAILED",
        f"The request does not come from a page of this server, or lacks {CSRF_HEADER}.",
    )
