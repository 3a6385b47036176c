"""Check 31: nobody is in a new installation."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity.tables import accounts
from tests.support.people import Doors

pytestmark = pytest.mark.check(31)


def test_no_account_comes_with_the_program(sqlite_doors: Doors) -> None:
    with read(sqlite_doors.database) as session:
        assert session.scalar(select(func.count()).select_from(accounts)) == 0
    for name in ("admin", "root", "demo"):
        for password in ("admin", "password", "changeme", "admin123"):
            body = {"email": f"{name}@example.com", "password": password}
            answer = sqlite_doors.browser(address=f"198.51.100.{len(name)}").post("/login", body)
            assert answer.status_code in (401, 429)
