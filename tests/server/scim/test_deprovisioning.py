"""Somebody whom the identity provider ends while sessions and keys are in use."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.db.session import write
from tests.support.people import Doors, doors, make_person
from tests.support.scim import Provider

__all__ = ["doors"]
WITHIN_SECONDS = 1.0


@pytest.mark.parametrize("how", ["active", "delete"])
def test_sessions_and_keys_end_with_the_person(doors: Doors, how: str) -> None:
    """Sessions at once, keys within a second; those of others go on."""
    person, other = make_person(doors, "admin"), make_person(doors, "admin")
    browser, beside = doors.browser(), doors.browser()
    assert browser.login(person).status_code == beside.login(other).status_code == 200
    key_id, key = doors.new_key_with_id("read:costs")
    with write(doors.database) as session:
        session.execute(
            update(api_keys).where(api_keys.c.id == key_id).values(user_id=person.user_id)
        )
    assert browser.me().status_code == 200
    assert doors.get("/api/v1/costs", key=key).status_code == 200
    provider = Provider.of(doors)
    path = f"/Users/{person.user_id}"
    if how == "active":
        operation = {"op": "Replace", "path": "active", "value": "False"}
        assert provider.patch(path, operation).json()["active"] is False
    else:
        assert provider.request("DELETE", path).status_code == 204
    assert browser.me().status_code == 401
    doors.time.elapsed_s += WITHIN_SECONDS
    assert doors.get("/api/v1/costs", key=key).status_code == 401
    assert browser.login(person).status_code in (401, 403)
    assert beside.me().status_code == 200
