"""How often a report walks through calls, where no rollup answers; its figures stay the same."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.report.document import Document, Table
from llm_cost_ops.server.reports import sums
from tests.server.reports.test_content import OCTOBER, blocks, report, some_calls
from tests.support.application import Application


def tables(made: Document) -> list[tuple[str, Any, Any]]:
    return [(b.title, b.rows, b.totals) for b in blocks(made) if isinstance(b, Table)]


@pytest.mark.parametrize(
    ("kind", "asked", "most"),
    [
        ("chargeback", {"charge_by": "team"}, 1),
        ("cost_summary", {"team_id": "a", "compare": "none"}, 5),
        ("cost_summary", {"group_by": ["team_id"], "compare": "none"}, 1),
        ("cost_summary", {"group_by": ["tag"], "compare": "none"}, 1),
        ("optimization", {"team_id": "a"}, 1),
        ("executive", {"team_id": "a"}, 3),
    ],
)
def test_calls_are_read_once(
    sqlite_application: Application,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    asked: dict[str, Any],
    most: int,
) -> None:
    app = sqlite_application
    some_calls(app, tags=["x", "y"])
    read = sums.read_groups
    walks: list[tuple[Any, ...]] = []

    def counted(session: Any, selection: Any, by: Any) -> Any:
        if sums.needs_calls(selection, by):
            walks.append((selection.window, by.dimensions))
        return read(session, selection, by)

    with monkeypatch.context() as patch:
        patch.setattr(sums, "read_groups", counted)
        made = report(app, kind, **asked, **OCTOBER)
    assert 0 < len(walks) <= most, walks
    with monkeypatch.context() as patch:
        patch.setattr(sums, "PART_CALLS", 3)
        assert tables(report(app, kind, **asked, **OCTOBER)) == tables(made)
    with monkeypatch.context() as patch:
        patch.setattr(sums, "_is_finer", lambda *_: False)
        patch.setattr(sums, "needs_calls", lambda *_: False)
        assert tables(report(app, kind, **asked, **OCTOBER)) == tables(made)
