"""Any order of what can happen to calls, against a model in plain Decimals: after every step the
ledger's entries, the rows in lists, the rollups and the model say the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from llm_cost_ops.core.jsontext import dumps
from tests.support.application import Application
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    put,
    select_all,
    send,
    set_price,
)
from tests.support.database import KINDS

MODELS = ("model-a", "model-b")
DAYS = (1, 2, 3)
EVENTS = tuple(itertools.product(range(2), MODELS, DAYS))
"""Event ids, each of one model and day, so that only its counts can differ."""
MILLION = 1_000_000
PHASES = (Phase.explicit, Phase.generate)
"""A history is short enough to be read as it is; making it shorter takes minutes."""
events = st.sampled_from(EVENTS)
counts = st.tuples(st.sampled_from([7, 1_000, 333_333]), st.sampled_from([0, 1, 999]))
days, models = st.sampled_from(DAYS), st.sampled_from(MODELS)
prices = st.tuples(st.integers(0, 5), st.integers(0, 5))
Event = tuple[int, str, int]
Counts = tuple[int, int]


@dataclass
class Call:
    """What the model knows of one recorded call."""

    id: str
    first: Counts
    counts: Counts
    cost: Decimal | None
    import_id: str | None = None
    voided: bool = False
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


class Ledger(RuleBasedStateMachine):
    """Runs the app and the model side by side, each example in an organization of its own."""

    def __init__(self, app: Application) -> None:
        super().__init__()
        self.app, self.stranger = app.another(), app.another()
        self.calls: dict[Event, Call] = {}
        self.gone: list[str] = []
        self.timelines: dict[str, list[tuple[int, tuple[int, int]]]] = {m: [] for m in MODELS}
        self.price_ids: dict[str, str] = {}
        self.imports: list[str] = []

    def price_of(self, event: Event, counted: Counts) -> Decimal | None:
        _, model, day = event
        standing = [price for start, price in self.timelines[model] if start <= day]
        if not standing:
            return None
        (price_in, price_out), (tokens_in, tokens_out) = standing[-1], counted
        return Decimal(tokens_in * price_in + tokens_out * price_out) / MILLION

    def send(self, event: Event, counted: Counts, *, correct: bool, import_id: str | None) -> Any:
        number, model, day = event
        body = {
            "provider": "custom", "model": model, "event_id": f"e{number}-{model}-{day}",
            "prompt_tokens": counted[0], "completion_tokens": counted[1],
            "timestamp": f"2025-06-{day:02}T0{number}:59:59.999999Z", "project_id": f"p{number}",
        }  # fmt: skip
        query = f"?correct={str(correct).lower()}"
        query += f"&import_id={import_id}" if import_id else ""
        answer = send(self.app, f"/usage/batch{query}", [body])
        return accepted(answer, 200, 207)["results"][0]

    @initialize(model=models, day=days, price=prices)
    def begin(self, model: str, day: int, price: tuple[int, int]) -> None:
        self.change_price(model, day, price)

    @rule(event=events, counted=counts, correct=st.booleans(), imported=st.booleans())
    def ingest(self, event: Event, counted: Counts, correct: bool, imported: bool) -> None:
        import_id = self.imports[-1] if imported and self.imports else None
        result = self.send(event, counted, correct=correct, import_id=import_id)
        known = self.calls.get(event)
        if known is None:
            assert result["status"] == "created"
            cost = self.price_of(event, counted)
            self.calls[event] = Call(result["id"], counted, counted, cost, import_id)
            return
        if counted in (known.first, known.counts) or (correct and known.voided):
            assert result["status"] == "duplicate"
        elif correct:
            assert result["status"] == "corrected"
            known.counts, known.cost = counted, self.price_of(event, counted)
        else:
            assert result["status"] == "conflict"
        assert result["id"] == known.id

    @rule(event=events)
    def send_again(self, event: Event) -> None:
        known = self.calls.get(event)
        if known is not None:
            result = self.send(event, known.counts, correct=False, import_id=None)
            assert (result["status"], result["id"]) == ("duplicate", known.id)
            assert result["total_cost"] == (0 if known.voided else known.cost)

    @rule(model=models, day=days, price=prices)
    def change_price(self, model: str, day: int, price: tuple[int, int]) -> None:
        fields = {
            "effective_date": f"2025-06-{day:02}",
            "pricing_structure": {
                "type": "per_token", "input_price_per_million": price[0],
                "output_price_per_million": price[1],
            },
        }  # fmt: skip
        if model in self.price_ids:
            answer = accepted(put(self.app, f"/pricing/{self.price_ids[model]}", fields), 200)
        else:
            answer = set_price(self.app, model, provider="custom", **fields)
            self.price_ids[model] = answer["id"]
        kept = [item for item in self.timelines[model] if item[0] < day]
        self.timelines[model] = [*kept, (day, price)]
        filled = 0
        for event, call in self.calls.items():
            if call.cost is None and not call.voided and event[1] == model and event[2] >= day:
                call.cost = self.price_of(event, call.counts)
                filled += 1
        assert answer["priced_records"] == filled

    @rule(first=days, last=days, apply=st.booleans())
    def rerate(self, first: int, last: int, apply: bool) -> None:
        first, last = sorted((first, last))
        body = {"start_date": f"2025-06-{first:02}", "end_date": f"2025-06-{last:02}",
                "dry_run": not apply}  # fmt: skip
        report = accepted(send(self.app, "/pricing/rerate", body), 200)
        changed = 0
        difference = Decimal(0)
        for event, call in self.calls.items():
            if call.voided or not first <= event[2] <= last:
                continue
            cost = self.price_of(event, call.counts)
            if cost != call.cost:
                assert cost is not None
                changed += 1
                difference += cost - (call.cost or 0)
                call.cost = cost if apply else call.cost
        assert (report["records"], report["difference"]) == (changed, difference)

    @rule(event=events)
    def void(self, event: Event) -> None:
        known = self.calls.get(event)
        if known is not None:
            answer = self.app.delete(f"/api/v1/costs/{known.id}")
            assert answer.status_code == (404 if known.voided else 204)
            known.voided = True

    @rule(event=events, value=st.sampled_from([1, Decimal("1.50"), "x", None]))
    def edit(self, event: Event, value: object) -> None:
        known = self.calls.get(event)
        if known is not None:
            answer = self.app.request(
                "PATCH", f"/api/v1/costs/{known.id}", headers=JSON,
                content=dumps({"metadata": {"value": value}}),
            )  # fmt: skip
            assert answer.status_code == (404 if known.voided else 200)
            known.metadata = known.metadata if known.voided else {"value": value}

    @rule()
    def begin_import(self) -> None:
        self.imports.append(accepted(send(self.app, "/imports", {}), 201)["id"])

    @rule()
    def undo_import(self) -> None:
        if not self.imports:
            return
        import_id = self.imports.pop()
        report = accepted(send(self.app, f"/imports/{import_id}/undo", {}), 200)
        mine = {e: call for e, call in self.calls.items() if call.import_id == import_id}
        assert report["voided"] == sum(not call.voided for call in mine.values())
        for event, call in mine.items():
            del self.calls[event]
            self.gone.append(call.id)

    @invariant()
    def lists_say_what_the_model_says(self) -> None:
        listed = body_of(self.app.get("/api/v1/costs?limit=1000"))["data"]
        found = {
            row["id"]: (row["total_cost"], row["prompt_tokens"], row["completion_tokens"],
                        row["metadata"])
            for row in listed
        }  # fmt: skip
        standing = [call for call in self.calls.values() if not call.voided]
        assert found == {
            call.id: (call.cost, *call.counts, call.metadata) for call in standing
        }  # fmt: skip
        total = sum((call.cost or Decimal(0) for call in standing), Decimal(0))
        verified = assert_proven(self.app, total)
        assert verified.records == len(standing)
        summary = body_of(self.app.get("/api/v1/costs/summary?start_date=2025-06-01"))
        unpriced = sum(call.cost is None for call in standing)
        assert (summary["total_cost"], summary["total_requests"], summary["unpriced_count"]) == (
            None if standing and unpriced == len(standing) else total, len(standing), unpriced,
        )  # fmt: skip
        amounts = select_all(
            self.app, "SELECT cost FROM entries WHERE organization_id = :org",
            org=self.app.organization_id,
        )  # fmt: skip
        assert sum((Decimal(cost) for (cost,) in amounts if cost is not None), Decimal(0)) == total

    @invariant()
    def what_was_taken_back_is_not_found(self) -> None:
        voided = [call.id for call in self.calls.values() if call.voided]
        for record_id in (voided + self.gone)[-2:]:
            assert self.app.get(f"/api/v1/costs/{record_id}").status_code == 404

    @invariant()
    def strangers_see_nothing(self) -> None:
        assert body_of(self.stranger.get("/api/v1/costs"))["data"] == []
        assert assert_proven(self.stranger).records == 0
        for call in list(self.calls.values())[:1]:
            assert self.stranger.get(f"/api/v1/costs/{call.id}").status_code == 404


def explore(app: Application, examples: int, steps: int) -> None:
    class OfApp(Ledger):
        def __init__(self) -> None:
            super().__init__(app)

    run_state_machine_as_test(
        OfApp,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=PHASES,
            database=None,
        ),
    )


def test_any_history_adds_up(sqlite_application: Application) -> None:
    explore(sqlite_application, examples=8, steps=25)


@pytest.mark.parametrize("database_kind", KINDS[1:])
def test_any_history_adds_up_on_servers(application: Application) -> None:
    explore(application, examples=2, steps=20)
