"""One POST of JSON to a service that has its own idea of which failures are for good."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.send import Call, Outbound
from llm_cost_ops.server.delivery.wording import USER_AGENT, line

FINAL = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431})
"""What chats and pagers answer to a message or an address that will be wrong again. A redirect is
none of them: it may be a proxy that is being repaired."""
_SAID = 160


def post_json(
    http: Outbound, url: str, body: bytes, headers: Mapping[str, str] | None = None
) -> Call:
    """Send `body`, which is JSON already."""
    sent = {"Content-Type": "application/json; charset=utf-8", "User-Agent": USER_AGENT}
    return http.post(url, body, {**sent, **(headers or {})})


def judged(call: Call, final: Collection[int] = FINAL, hidden: tuple[str, ...] = ()) -> Outcome:
    """The outcome of a call as its service means it, with the beginning of what a failure said.
    The texts of `hidden` are taken out of that, in case the other side repeats them."""
    outcome = call.outcome
    if outcome.delivered or outcome.status is None:
        return outcome
    said = call.body[:4096].decode("utf-8", "replace")
    for text in hidden:
        said = said.replace(text, "***")
    said = line(said, _SAID)
    detail = f"{outcome.detail}: {said}" if said else outcome.detail
    return replace(outcome, detail=detail, final=outcome.final or outcome.status in final)
