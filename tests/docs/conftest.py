"""Where the snippets run: the real server when there is one, else the SDK's fake on a socket."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from llm_cost_ops.testing import FakeServer
from tests.docs.place import Place


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The `live_server` fixture's server, or the one that LLM_COST_OPS_BASE_URL and
    LLM_COST_OPS_API_KEY name, or a fresh fake.

    A `live_server` that has `new_organization() -> (id, api_key)` gives each test its own
    organization, and totals are checked to the last digit; else they must be large enough.
    """
    given = _given(request)
    if given is not None:
        yield given
        return
    with FakeServer(organization_id="org-abc").serve() as url:
        yield Place(url, "sk_test_fake", {"org-123": "org-abc"})


def _given(request: pytest.FixtureRequest) -> Place | None:
    try:
        live = request.getfixturevalue("live_server")
    except pytest.FixtureLookupError:
        live = None
    base_url = getattr(live, "base_url", None) or os.environ.get("LLM_COST_OPS_BASE_URL")
    api_key = getattr(live, "api_key", None) or os.environ.get("LLM_COST_OPS_API_KEY")
    if not base_url or not api_key:
        return None
    organization = getattr(live, "organization_id", None) or os.environ.get(
        "LLM_COST_OPS_ORGANIZATION_ID"
    )
    new_organization = getattr(live, "new_organization", None)
    if new_organization is not None:
        organization, api_key = new_organization()
    ids = {"org-abc": organization, "org-123": organization} if organization else {}
    return Place(base_url, api_key, ids, fresh=new_organization is not None)
