"""Reads against the model: random calls and corrections, random groups, filters and time zones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.period import ALL_TIME, DAY_US, HOUR_US, Window
from llm_cost_ops.server.analytics.aggregate import Question, aggregate, dimensions
from llm_cost_ops.server.analytics.conditions import condition
from llm_cost_ops.server.analytics.fields import find_field
from llm_cost_ops.server.analytics.groups import Groups, read_groups
from llm_cost_ops.server.analytics.metrics import metrics
from llm_cost_ops.server.analytics.selection import Selection, grouping
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.db.urls import DatabaseKind
from tests.server.analytics.model import (
    TOKENS,
    Call,
    Expected,
    expected_groups,
    one_currency,
)
from tests.support.factories import (
    make_call,
    micros,
    record_calls,
    recount_call,
    rerate_call,
    sum_by_team,
    void_calls,
)

_numbers = itertools.count()
EXAMPLES = {DatabaseKind.SQLITE: 50, DatabaseKind.POSTGRESQL: 12, DatabaseKind.MYSQL: 12}
"""Commits are flushed, which a server's take longer for."""
ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Kiritimati"]
)
NEW_YORK_FALLS_BACK = micros("2025-11-02T06:00:00Z")
COSTS = st.one_of(
    st.integers(0, 3), st.integers(0, 10**11), st.sampled_from([10**18, 10**18 - 1, 5 * 10**9])
)
DIMENSIONS = st.lists(
    st.sampled_from(
        ["provider", "model", "project_id", "team_id", "user_id", "region", "currency",
         "cost_status", "tag", "metadata.team", "hour", "day", "week", "month"]
    ),
    max_size=3,
    unique=True,
)  # fmt: skip
ROLLED_UP = st.lists(
    st.sampled_from(["provider", "model", "project_id", "hour", "day", "week", "month"]),
    max_size=4,
    unique=True,
)
BY_TEAM = st.lists(
    st.sampled_from(["provider", "model", "project_id", "team_id", "day", "month"]),
    max_size=3,
    unique=True,
).map(lambda names: [*names, *(["team_id"] if "team_id" not in names else [])])


def prove(database: Database, check: Callable[[st.DataObject], None]) -> None:
    """Run a property on as many examples as the kind of database has time for."""

    def example(data: st.DataObject) -> None:
        check(data)

    run = settings(
        max_examples=EXAMPLES[database.kind],
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )(given(data=st.data())(example))
    run()


@st.composite
def instants(draw: st.DrawFn) -> int:
    """Around a clock change, often right at the edge of an hour or a day."""
    whole = draw(st.integers(-90, 90)) * HOUR_US + draw(st.sampled_from([0, 0, 900_000_000]))
    return NEW_YORK_FALLS_BACK + whole + draw(st.sampled_from([0, -1, 1, 1_234_567_890]))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    tokens = {name: draw(st.integers(0, 2_000)) for name in TOKENS if draw(st.booleans())}
    usage = draw(st.sampled_from([None, None, {"input_audio_tokens": 7, "input_tokens": 9}]))
    call = Call(
        draw(instants()),
        draw(st.sampled_from(["openai", "anthropic"])),
        draw(st.sampled_from(["a", "A", "b "])),
        draw(st.sampled_from([None, "p1", "p2"])),
        draw(st.sampled_from([None, "t1", "T1"])),
        draw(st.sampled_from([None, "u1", "u2"])),
        draw(st.sampled_from([None, "eu"])),
        draw(st.sampled_from(["USD", "USD", "USD", "EUR"])),
        draw(st.sampled_from([1, 1, 1, 20])),
        tokens,
        draw(st.one_of(st.none(), COSTS)),
        tags=tuple(draw(st.lists(st.sampled_from(["x", "X", "x ", "ü"]), max_size=3))),
        metadata=draw(
            st.sampled_from([{}, {"team": "s"}, {"team": "S "}, {"team": 5}, {"team": True}])
        ),
        usage=usage,
    )
    if call.cost is None:
        call.cost_status = "unpriced"
    elif draw(st.booleans()):
        call.list_cost = call.cost + draw(st.integers(0, 100)) if call.cost < 10**17 else None
        call.cost_status = draw(st.sampled_from(["priced", "partially_priced"]))
    return call


def store(database: Database, organization_id: str, made: list[Call]) -> None:
    """Record the calls of the model."""
    entries = [
        make_call(
            call.timestamp,
            None,
            organization_id=organization_id,
            provider=call.provider,
            model_name=call.model,
            project_id=call.project_id,
            team_id=call.team_id,
            user_id=call.user_id,
            region=call.region,
            currency=call.currency,
            requests=call.requests,
            cost_e10=call.cost,
            list_cost_e10=call.list_cost,
            cost_status=call.cost_status,
            tags=list(call.tags) or None,
            metadata=dict(call.metadata) or None,
            usage=None if call.usage is None else dict(call.usage),
            **call.tokens,
        )
        for call in made
    ]
    for call, call_id in zip(made, record_calls(database, entries), strict=True):
        call.id = call_id


def correct(database: Database, organization_id: str, call: Call, draw: Callable[..., Any]) -> None:
    """Void, re-rate or recount a call, in the ledger and in the model."""
    kind = draw(st.sampled_from(["void", "rerate", "rerate", "recount"]))
    if call.voided:
        return
    if kind == "void":
        void_calls(database, [call.id], organization_id)
        call.voided = True
    elif kind == "rerate":
        cost = draw(st.one_of(st.none(), COSTS))
        status = draw(st.sampled_from(["priced", "partially_priced"]))
        amount = None if cost is None else Decimal(cost).scaleb(-10)
        if cost is not None:
            call.currency = draw(st.sampled_from(["USD", "EUR"]))
        rerate_call(
            database, call.id, amount, cost_status=status, currency=call.currency,
            organization_id=organization_id,
        )  # fmt: skip
        call.cost = call.list_cost = cost
        call.cost_status = "unpriced" if cost is None else status
    else:
        call.tokens = {"input_tokens": draw(st.integers(0, 50)), "output_tokens": 3}
        call.cost, call.cost_status, call.requests, call.usage = 7, "priced", 2, None
        call.list_cost = 7
        entry = make_call(
            call.timestamp, None, organization_id=organization_id, cost_e10=7,
            cost_status="priced", requests=2, currency=call.currency, **call.tokens,
        )  # fmt: skip
        recount_call(database, call.id, entry, organization_id)


def scenario(database: Database, data: st.DataObject) -> tuple[str, list[Call]]:
    """An organization of its own with calls, some of them corrected."""
    organization_id = f"org-model-{next(_numbers)}"
    made = data.draw(st.lists(calls(), max_size=12), label="calls")
    store(database, organization_id, made)
    if data.draw(st.booleans(), label="summed by team"):
        days = sorted({call.timestamp // DAY_US for call in made})
        assert [*sum_by_team(database, organization_id)] == days
        late = data.draw(st.lists(calls(), max_size=3), label="late calls")
        store(database, organization_id, late)
        made += late
    if made:
        for index in data.draw(st.lists(st.integers(0, len(made) - 1), max_size=4)):
            correct(database, organization_id, made[index], data.draw)
    return organization_id, made


@st.composite
def windows(draw: st.DrawFn) -> Window:
    if draw(st.booleans()):
        return ALL_TIME
    start = draw(instants())
    if draw(st.booleans()):
        start = start // DAY_US * DAY_US
    return Window(start, start + draw(st.sampled_from([1, HOUR_US, DAY_US, 4 * DAY_US, 10**12])))


def check_totals(found: Groups, expected: dict[tuple[str | None, ...], Expected]) -> None:
    live = {key: group for key, group in expected.items() if _is_something(group)}
    assert set(found) == set(live)
    for key, totals in found.items():
        group = live[key]
        assert totals.requests == group.requests
        assert totals.unpriced == group.unpriced
        assert totals.partially_priced == group.partially_priced
        assert totals.cost == group.cost
        assert totals.list_cost == group.list_cost
        assert totals.total_tokens == group.total_tokens
        assert [totals.of_kind(name) for name in TOKENS] == [group.tokens[n] for n in TOKENS]
        assert totals.low == min(group.costs, default=None)
        assert totals.high == max(group.costs, default=None)
        assert totals.priced_tokens in (None, group.priced_tokens)
        assert totals.average == group.average


def _is_something(group: Expected) -> bool:
    return bool(group.requests or group.cost or group.list_cost)


def test_rollups_and_calls_give_what_the_model_gives(database: Database) -> None:
    prove(database, lambda data: _rollups_and_calls_give_what_the_model_gives(database, data))


def _rollups_and_calls_give_what_the_model_gives(database: Database, data: st.DataObject) -> None:
    organization_id, made = scenario(database, data)
    zone = ZoneInfo(data.draw(ZONES))
    wanted = data.draw(st.one_of(ROLLED_UP, BY_TEAM, DIMENSIONS), label="dimensions")
    window = data.draw(windows(), label="window")
    expected = expected_groups(made, wanted, zone, window)
    with snapshot(database) as session:
        asked = Selection(organization_id, window, zone)
        selection, by = grouping(session, asked, dimensions(wanted))
        check_totals(read_groups(session, selection, by), expected)
        from_calls = read_groups(session, selection, by, from_calls=True)
    check_totals(from_calls, expected)
    assert {key: totals.priced_tokens for key, totals in from_calls.items()} == {
        key: group.priced_tokens for key, group in expected.items() if _is_something(group)
    }


def test_rows_of_groups_give_what_the_model_gives(database: Database) -> None:
    prove(database, lambda data: _rows_of_groups_give_what_the_model_gives(database, data))


def _rows_of_groups_give_what_the_model_gives(database: Database, data: st.DataObject) -> None:
    organization_id, made = scenario(database, data)
    zone = ZoneInfo(data.draw(ZONES))
    wanted = [d for d in data.draw(DIMENSIONS, label="dimensions") if d != "currency"]
    window = data.draw(windows(), label="window")
    groups = expected_groups(made, wanted, zone, window)
    expected = one_currency({k: g for k, g in groups.items() if _is_something(g)}, "USD")
    names = ["p1", "p50", "p95", "p99", "stddev", "tokens", "cost_per_1k_tokens", "list_cost"]
    question = Question(dimensions(wanted), metrics(names))
    with snapshot(database) as session:
        answer = aggregate(session, Selection(organization_id, window, zone), question, "USD")
    if not expected and not wanted:
        assert [row["total_cost"] for row in answer.rows] == [0]
        return
    found: dict[Any, Any] = {
        (*(row[name] for name in wanted), row["currency"]): row for row in answer.rows
    }
    assert len(found) == len(answer.rows)
    assert set(found) == set(expected)
    for key, row in found.items():
        _check_row(row, expected[key])


def _check_row(row: dict[str, Any], parts: list[Expected]) -> None:
    group = max(parts, key=lambda part: len(part.costs))
    assert row["total_cost"] == row["sum"] == row["cost"] == group.amount
    assert row["count"] == row["requests"] == sum(part.requests for part in parts)
    assert row["unpriced_count"] == sum(part.unpriced for part in parts)
    assert row["tokens"] == sum(part.total_tokens for part in parts)
    assert row["avg"] == group.average
    for percent in (1, 50, 95, 99):
        assert row[f"p{percent}"] == group.percentile(percent)
    assert row["stddev"] == group.stddev
    kinds: dict[str, int] = {}
    for kind, count in (item for part in parts for item in part.kinds.items()):
        kinds[kind] = kinds.get(kind, 0) + count
    assert row["tokens_by_kind"] == {kind: count for kind, count in kinds.items() if count}
    if group.amount is not None and group.priced_tokens:
        assert row["list_cost"] is not None
        thousandfold = Decimal(group.cost * 1_000)
        difference = row["cost_per_1k_tokens"] - thousandfold.scaleb(-10) / group.priced_tokens
        assert abs(difference) <= Decimal("0.5").scaleb(-10) * (1 + Decimal("1e-6"))
    else:
        assert row["cost_per_1k_tokens"] is None


FILTERS: list[tuple[str, str, Any, Callable[[Call], bool]]] = [
    ("provider", "eq", "openai", lambda c: c.provider == "openai"),
    ("provider", "ne", "openai", lambda c: c.provider != "openai"),
    ("model", "in", ["a", "b "], lambda c: c.model in ("a", "b ")),
    ("model", "contains", "A", lambda c: "A" in c.model),
    ("project_id", "nin", ["p1"], lambda c: c.project_id != "p1"),
    ("project_id", "exists", False, lambda c: c.project_id is None),
    ("team_id", "in", ["t1", "t2"], lambda c: c.team_id in ("t1", "t2")),
    ("team_id", "exists", False, lambda c: c.team_id is None),
    ("user_id", "exists", True, lambda c: c.user_id is not None),
    ("currency", "eq", "EUR", lambda c: c.currency == "EUR"),
    ("cost_status", "eq", "unpriced", lambda c: c.cost_status == "unpriced"),
    ("cost", "gte", Decimal("0.5"), lambda c: c.cost is not None and c.cost >= 5 * 10**9),
    ("cost", "lt", Decimal("0.0000000002"), lambda c: c.cost is not None and c.cost < 2),
    ("cost", "ne", 0, lambda c: c.cost != 0),
    ("total_tokens", "gt", 1_000, lambda c: c.total_tokens > 1_000),
    ("requests", "lte", 2, lambda c: c.requests <= 2),
    ("timestamp", "lt", "2025-11-02T06:00:00Z", lambda c: c.timestamp < NEW_YORK_FALLS_BACK),
    ("tags", "eq", "x", lambda c: "x" in c.tags),
    ("tags", "in", ["X", "ü"], lambda c: bool({"X", "ü"} & set(c.tags))),
    ("tags", "nin", ["x "], lambda c: "x " not in c.tags),
    ("tags", "exists", False, lambda c: not c.tags),
    ("metadata.team", "eq", "s", lambda c: c.metadata.get("team") == "s"),
    ("metadata.team", "eq", True, lambda c: c.metadata.get("team") is True),
    ("metadata.team", "in", [5, "S "], lambda c: c.metadata.get("team") in (5, "S ")),
    ("metadata.team", "ne", "s", lambda c: c.metadata.get("team") != "s"),
    ("metadata.team", "exists", True, lambda c: "team" in c.metadata),
    ("metadata.other", "exists", True, lambda c: False),
]


def test_filters_select_what_the_model_selects(database: Database) -> None:
    prove(database, lambda data: _filters_select_what_the_model_selects(database, data))


def _filters_select_what_the_model_selects(database: Database, data: st.DataObject) -> None:
    organization_id, made = scenario(database, data)
    chosen = data.draw(st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3))
    conditions = []
    for name, relation, value, _ in chosen:
        field = find_field(name)
        assert field is not None
        conditions.append(condition(field, relation, value, name))
    kept = [call for call in made if all(holds(call) for *_, holds in chosen)]
    wanted = data.draw(ROLLED_UP)
    zone = ZoneInfo("UTC")
    with snapshot(database) as session:
        asked = Selection(organization_id, ALL_TIME, zone, tuple(conditions))
        selection, by = grouping(session, asked, dimensions(wanted))
        found = read_groups(session, selection, by)
    check_totals(found, expected_groups(kept, wanted, zone, ALL_TIME))
