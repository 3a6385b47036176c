"""Sums at the edge of 64 bits: the last that fits is exact, one more is refused whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.rollup import LARGEST
from tests.support.application import Application
from tests.support.calls import assert_proven, body_of, count
from tests.support.factories import make_call, record_calls

HALF = 2**62
DAY = "2025-06-15"


def call(app: Application, tokens: int, at: str = f"{DAY}T12:00:00Z", **fields: Any) -> Entry:
    return make_call(at, organization_id=app.organization_id, input_tokens=tokens, **fields)


def record(app: Application, *calls: Entry) -> None:
    record_calls(app.database, calls)


def test_tokens_of_an_hour_may_fill_64_bits_and_no_more(application: Application) -> None:
    record(application, call(application, HALF))
    record(application, call(application, LARGEST - HALF))
    with pytest.raises(UsageError, match=str(LARGEST)):
        record(application, call(application, HALF))
    assert assert_proven(application).records == 2
    summary = body_of(application.get(f"/api/v1/costs/summary?start_date={DAY}"))
    assert summary["total_tokens"] == LARGEST
    # The day is as full as the hour; another day is not.
    with pytest.raises(UsageError, match=str(LARGEST)):
        record(application, call(application, HALF, f"{DAY}T01:00:00Z"))
    record(application, call(application, HALF, "2025-06-16T00:00:00Z"))
    assert assert_proven(application).records == 3


def test_tokens_of_one_batch_are_refused_together(application: Application) -> None:
    with pytest.raises(UsageError, match=str(LARGEST)):
        record(application, call(application, HALF), call(application, HALF))
    assert count(application, "usage_records") == 0
    assert count(application, "rollup_hourly") == 0
    record(application, call(application, HALF))
    assert assert_proven(application).records == 1


def test_money_may_go_beyond_what_one_column_holds(application: Application) -> None:
    large = Decimal("99999999.9999999999")
    record(application, *(call(application, 1, cost=large) for _ in range(10)))
    assert_proven(application, large * 10)
    summary = body_of(application.get(f"/api/v1/costs/summary?start_date={DAY}"))
    assert summary["total_cost"] == large * 10
