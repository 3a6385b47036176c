"""Persons' data: what they may ask for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Row

_PATH = "/privacy/requests"


class PrivacyCalls:
    _caller: Caller

    @endpoint
    def request(
        self, kind: str, subject: str, *, changes: Mapping[str, Any] | None = None
    ) -> Flow[Row]:
        """Ask for `access`, `erase`, `rectify` (with `changes`), `restrict`, `object` or `lift` for
        a user id or e-mail address; `.id`, `.status`. An erasure is done by a worker."""
        return one((yield from self._ask(kind, subject, changes)), Row)

    @endpoint
    def export(self, subject: str, /) -> Flow[Row]:
        """Everything that is stored about a person: `.data` has the rows of each table."""
        made = one((yield from self._ask("access", subject)), Row)
        path = f"{_PATH}/{segment(made['id'])}/export"
        return one((yield from self._caller.get(path)), Row)

    @endpoint
    def erase(self, subject: str, /) -> Flow[Row]:
        """Put a pseudonym in the place of a person everywhere; sums stay."""
        return one((yield from self._ask("erase", subject)), Row)

    @endpoint
    def rectify(self, subject: str, /, **changes: Any) -> Flow[Row]:
        """Correct `name`, `given_name`, `family_name`, `email` or `metadata` of a person."""
        return one((yield from self._ask("rectify", subject, changes)), Row)

    @endpoint
    def restrict(self, subject: str, /) -> Flow[Row]:
        """Count a person's calls without the person from now on."""
        return one((yield from self._ask("restrict", subject)), Row)

    @endpoint
    def object(self, subject: str, /) -> Flow[Row]:
        """The same because the person objected."""
        return one((yield from self._ask("object", subject)), Row)

    @endpoint
    def lift(self, subject: str, /) -> Flow[Row]:
        """Count the person's calls under the person's id again."""
        return one((yield from self._ask("lift", subject)), Row)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """Requests, the newest first."""
        return listed(self._caller, _PATH, scoped(self._caller, query), Row)

    @endpoint
    def get(self, request_id: str, /) -> Flow[Row]:
        """One request and where it stands. Raises NotFoundError."""
        return one((yield from self._caller.get(f"{_PATH}/{segment(request_id)}")), Row)

    @endpoint
    def retry(self, request_id: str, /) -> Flow[Row]:
        """Try an erasure again that failed; it goes on where it was. Raises NotFoundError and, for
        one that did not fail, ConflictError."""
        path = f"{_PATH}/{segment(request_id)}/retry"
        return one((yield from self._caller.write("POST", path, {})), Row)

    @endpoint
    def certificate(self, request_id: str, /) -> Flow[Row]:
        """What an erasure did, signed. Raises NotFoundError before it is done."""
        path = f"{_PATH}/{segment(request_id)}/certificate"
        return one((yield from self._caller.get(path)), Row)

    def _ask(self, kind: str, subject: str, changes: Mapping[str, Any] | None = None) -> Flow[Any]:
        body: dict[str, Any] = {"kind": kind, "subject": subject}
        if changes is not None:
            body["changes"] = dict(changes)
        return (yield from self._caller.write("POST", _PATH, body))


class Privacy(PrivacyCalls, SyncResource):
    """`client.privacy`"""


class AsyncPrivacy(PrivacyCalls, AsyncResource):
    """`client.privacy` of the asynchronous client"""
