"""Settlements and the ledger: what is booked is what was held, once, at its own price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.server.clock import FixedClock
from tests.server.budgets.test_rules import Timed, at_noon, expired
from tests.support.application import Application
from tests.support.budgets import assert_counted, budget, make_budget, reserve, settle
from tests.support.calls import accepted, assert_proven, body_of, cost_row, error

__all__ = ["at_noon"]
CALL = {"provider": "openai", "model": "gpt-4o", "input_tokens": 100_000, "max_tokens": 1_000}
USED = {"input_tokens": 100_000, "output_tokens": 1_000}


def expire(app: Application, clock: FixedClock, **asked: Any) -> Any:
    """A reservation that has expired and is booked."""
    held = accepted(reserve(app, asked.pop("amount", None), **asked, ttl_seconds=1), 201)
    clock.current += timedelta(seconds=2)
    assert expired(app, clock) == 1
    return held


@pytest.mark.parametrize("source", ["api", None])
def test_another_source_alone_is_another_record(at_noon: Timed, source: str | None) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = expire(app, clock, amount="8")
    done = accepted(settle(app, held, cost=3, source=source), 200)
    assert (done["cost"], done["released"]) == (3, 5)
    assert budget(app, made["id"])["spent"] == 3
    assert_proven(app, 3)
    assert_counted(app)


@pytest.mark.parametrize("context", [{"processing": "batch"}, {"service_tier": "priority"}])
def test_a_late_settlement_is_priced_like_one_in_time(
    at_noon: Timed, context: dict[str, str]
) -> None:
    app, clock = at_noon
    make_budget(app, amount=10, enforcement="hard")
    in_time = accepted(reserve(app, None, **CALL, **context), 201)
    expected = accepted(settle(app, in_time, usage=USED), 200)["cost"]
    held = expire(app, clock, **CALL, **context)
    done = accepted(settle(app, held, usage=USED), 200)
    assert done["cost"] == expected
    row = cost_row(app, done["record_id"])
    assert context.items() <= row.items()
    assert_proven(app, 2 * expected)


def test_a_late_settlement_may_name_the_model(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = expire(app, clock, amount="8")
    named = {"provider": "openai", "model": "gpt-4o", "usage": USED}
    done = accepted(settle(app, held, **named), 200)
    assert accepted(settle(app, held, **named), 200) == done
    assert done["cost"] == Decimal("0.26")
    row = cost_row(app, done["record_id"])
    assert (row["model"], row["total_tokens"]) == ("gpt-4o", 101_000)
    assert budget(app, made["id"])["spent"] == Decimal("0.26")
    assert_proven(app, "0.26")
    assert_counted(app)


def test_an_estimate_that_was_deleted_settles_nothing(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=10, enforcement="hard")
    held = expire(app, clock, amount="8")
    booked = body_of(app.get(f"/api/v1/budgets/reservations/{held['id']}"))["record_id"]
    assert app.delete(f"/api/v1/costs/{booked}").status_code == 204
    error(settle(app, held, cost=3), 409, "CONFLICT")
    error(settle(app, held, cost=3, event_id="mine", source="api"), 409, "CONFLICT")
    assert budget(app, made["id"])["spent"] == 0
    assert_counted(app)


def test_a_bare_cost_counts_the_requests_and_tokens_that_were_reserved(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=None, enforcement="hard", token_limit=10_000, request_limit=20)
    asked = {"input_tokens": 4_000, "max_tokens": 4_000, "requests": 10}
    held = accepted(reserve(app, "1", **asked), 201)
    accepted(settle(app, held, cost=1), 200)
    now = budget(app, made["id"])
    assert (now["tokens"], now["requests"]) == (8_000, 10)
    error(reserve(app, "1", **asked), 402, "BUDGET_EXCEEDED")
    told = accepted(reserve(app, "1", input_tokens=1_000, max_tokens=1_000), 201)
    accepted(settle(app, told, cost=1, tokens_used=500), 200)
    assert budget(app, made["id"])["tokens"] == 8_500
    late = expire(app, clock, amount="1", input_tokens=500, max_tokens=500)
    accepted(settle(app, late, cost="0.5"), 200)
    now = budget(app, made["id"])
    assert (now["tokens"], now["requests"]) == (9_500, 12)
    assert_counted(app)


def test_one_call_settles_one_reservation(at_noon: Timed) -> None:
    app, clock = at_noon
    made = make_budget(app, amount=20, enforcement="hard")
    first, second = (accepted(reserve(app, "5"), 201) for _ in range(2))
    same = {"cost": 5, "source": "api", "event_id": "same"}
    done = accepted(settle(app, first, **same), 200)
    error(settle(app, second, **same), 409, "CONFLICT")
    assert accepted(settle(app, first, **same), 200) == done
    late = expire(app, clock, amount="5")
    error(settle(app, late, **same), 409, "CONFLICT")
    now = budget(app, made["id"])
    assert (now["spent"], now["reserved"]) == (10, 5)
    assert_counted(app)


def test_a_call_told_by_its_labels_is_known_again(at_noon: Timed) -> None:
    app, _ = at_noon
    labels = {"tags": ["b", "a"], "metadata": {"z": {"k": [1, 2]}, "a": 1}}
    call = {"provider": "openai", "model": "m", "cost": 2, "event_id": "e", "source": "api"}
    sent = accepted(app.post("/api/v1/costs", json={**call, **labels, "tokens_used": 1}), 201)
    held = accepted(reserve(app, "5", provider="openai", model="m", **labels), 201)
    done = accepted(settle(app, held, cost=2, event_id="e", source="api"), 200)
    assert done["record_id"] == sent["id"]
    assert_proven(app, 2)


def test_what_no_call_is_processed_as_is_refused(at_noon: Timed) -> None:
    app, _ = at_noon
    refused = error(reserve(app, None, **CALL, processing="foo"), 422)
    assert list(refused["field_errors"]) == ["processing"]
