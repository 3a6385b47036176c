"""The two pages of the authorization server: consent, and what went wrong. No script in them."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from llm_cost_ops.server.access.oauth.asking import Asked

_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{margin:4rem auto;max-width:28rem;padding:1rem}"
    "button{font:inherit;padding:.5rem 1rem;margin-right:.5rem}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def consent_page(asked: Asked, ticket: str) -> HTMLResponse:
    """Asks the signed-in person; `ticket` shows that the answer comes from this page."""
    scopes = "".join(
        f"<li><code>{escape(scope)}</code>{' (everything)' if scope == '*' else ''}</li>"
        for scope in sorted(asked.scopes)
    )
    parts = urlsplit(asked.redirect_uri)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    body = (
        f"<h1>{escape(asked.client.name)} asks for access</h1>"
        f"<p>It would act for you, with these permissions as far as you hold them:</p>"
        f"<ul>{scopes}</ul><p>You will be taken to <code>{escape(asked.redirect_uri)}</code>.</p>"
        '<form method="post" action="/oauth/authorize">'
        f'<input type="hidden" name="ticket" value="{escape(ticket)}">'
        '<button name="decision" value="approve">Allow</button>'
        '<button name="decision" value="deny">Refuse</button></form>'
    )
    return _page("Access", body, 200, form_action=f"'self' {origin}")


def error_page(message: str, status: int = 400) -> HTMLResponse:
    """Told to the person: nobody is redirected."""
    return _page("Not possible", f"<h1>This is not possible</h1><p>{escape(message)}</p>", status)


def _page(title: str, body: str, status: int, *, form_action: str = "'none'") -> HTMLResponse:
    policy = (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action {form_action}; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(text, status, headers)
