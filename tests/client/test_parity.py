"""The fake answers as the server does: the same requests to both, their answers compared.

The fake may leave fields out; what it says, the server says too. Fields that differ by nature
(ids, times) need only be of the same kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core import jsontext
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import ADDRESS
from tests.support.application import Application, running

CALL = {
    "provider": "openai",
    "model": "gpt-4-turbo",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}
AT = {"timestamp": "2025-01-15T10:30:00Z"}
LATER = {"timestamp": "2026-03-15T09:00:00Z"}
COST = {
    "model": "gpt-4",
    "tokens_used": 1000,
    "cost": 0.03,
    "user_id": "u1",
    "event_id": "c1",
    **AT,
}
PRICE = {
    "provider": "openai",
    "model": "own",
    "effective_date": "2025-01-01",
    "pricing_structure": {
        "type": "per_token",
        "input_price_per_million": 10,
        "output_price_per_million": 30,
        "cached_input_discount": 0.5,
    },
}
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
NOT_ALIKE = re.compile(
    r"(^|\.)(id|request_id|price_version|rerate_id|next_cursor|message|reservation_id|record_id"
    r"|budget_id|parent_id|secret|signing_secret|url|channel_id|created_at|updated_at|expires_at)$"
)
"""Made up anew by each server, or worded for people."""

MADE = {
    "/usage": "row", "/pricing": "price", "/budgets": "budget", "/budgets/reserve": "held",
    "/alerts/rules": "rule", "/webhooks": "hook",
}  # fmt: skip
Ask = Callable[..., tuple[int, Any]]
SCRIPT: list[tuple[str, str, Any]] = [
    ("POST", "/usage", {**CALL, **AT, "event_id": "e1", "cached_tokens": 100, "tags": ["a", "b"]}),
    ("POST", "/usage", {**CALL, **AT, "event_id": "e1", "cached_tokens": 100, "tags": ["a", "b"]}),
    ("POST", "/usage", {**CALL, **AT, "event_id": "e1"}),
    ("POST", "/usage", {"provider": "openai", "model_id": "own", "input_tokens": 5,
                        "output_tokens": 0, "event_id": "e2", **AT, "metadata": {"team": "x"}}),
    ("POST", "/usage", {"provider": "anthropic", "event_id": "e3", **AT, "response": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [],
        "model": "claude-3-5-sonnet-20241022",
        "usage": {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 20}}}),
    ("POST", "/usage", {**CALL, "prompt_tokens": -1}),
    ("POST", "/usage", {"provider": "openai", "model": "m", "prompt_tokens": 1}),
    ("POST", "/usage", {**CALL, "total_tokens": 1}),
    ("POST", "/usage", {**CALL, "cached_tokens": 1001}),
    ("POST", "/usage", {**CALL, "oops": 1}),
    ("POST", "/usage", {**CALL, "timestamp": "soon"}),
    ("POST", "/usage", {**CALL, "organization_id": "org-somebody-else"}),
    ("POST", "/usage", b"{"),
    ("POST", "/usage/batch", {"records": [{**CALL, **AT, "event_id": "b1"}, {"provider": "openai"},
                                          {**CALL, **AT, "event_id": "b1"},
                                          {**CALL, **AT, "event_id": "b1", "prompt_tokens": 7}]}),
    ("POST", "/usage/batch?atomic=true", {"records": [{**CALL, "event_id": "b2"},
                                                      {**CALL, "prompt_tokens": -1}]}),
    ("POST", "/costs", COST),
    ("POST", "/costs", {**COST, "cost": 0.04}),
    ("POST", "/costs", {"model": "m", "tokens_used": 1}),
    ("POST", "/costs/bulk", [{"model": "m", "tokens_used": 1, "cost": 1.5, "event_id": "k", **AT}]),
    ("POST", "/costs/bulk", [{**COST, "event_id": "k2"}, {**COST, "cost": 0.04}, COST,
                             {"model": "m", "tokens_used": 1}]),
    ("GET", "/usage/usg_nothing", None),
    ("GET", "/costs?limit=3", None),
    ("GET", "/costs?page=2&per_page=2&order_by=-cost", None),
    ("GET", "/costs?user_id=u1&fields=id,model,cost", None),
    ("GET", "/costs?tags=a&tags=b&metadata.team=x", None),
    ("GET", "/costs?start_date=2025-01-15&end_date=2025-01-15", None),
    ("GET", "/costs?start_date=15.1.2025", None),
    ("GET", "/costs?colour=red", None),
    ("GET", "/costs/summary?start_date=2025-01-01&end_date=2025-01-31", None),
    ("GET", "/costs/summary?start_date=2024-01-01&end_date=2024-01-31", None),
    ("GET", "/costs/aggregate?group_by=provider,model", None),
    ("GET", "/costs/aggregate?group_by=day,user_id&timezone=America/New_York", None),
    ("GET", "/costs/aggregate?group_by=week", None),
    ("GET", "/costs/aggregate?group_by=month,metadata.team", None),
    ("POST", "/costs/breakdown", {"dimensions": ["provider"]}),
    ("POST", "/costs/query", {"queries": [{"user_id": "u1"}, {"days": 30}]}),
    ("POST", "/costs/query", {"filters": {"cost": {"gte": 0.03}}}),
    ("POST", "/costs/estimate", {"items": [{"provider": "openai", "model": "gpt-4-turbo", **AT,
                                            "usage": {"input_tokens": 10}}]}),
    ("GET", "/pricing/unpriced", None),
    ("POST", "/pricing", PRICE),
    ("POST", "/pricing", {**PRICE, "pricing_structure": {"type": "magic"}}),
    ("POST", "/pricing", {"provider": "openai", "model": "x"}),
    ("GET", "/pricing?provider=openai&model=own", None),
    ("GET", "/pricing/price_nothing", None),
    ("GET", "/pricing/unpriced", None),
    ("PUT", "/pricing/{price}", {"pricing_structure": {"type": "per_token",
                                                       "input_price_per_million": 9},
                                 "effective_date": "2025-02-01"}),
    ("POST", "/usage", {**CALL, "model": "own", "event_id": "p1", "cached_tokens": 500,
                        "timestamp": "2025-01-31T23:59:59Z"}),
    ("POST", "/usage", {**CALL, "model": "own", "event_id": "p2", "cached_tokens": 500,
                        "timestamp": "2025-02-01T00:00:00Z"}),
    ("POST", "/pricing/rerate", {"start_date": "2025-01-01", "end_date": "2025-02-28"}),
    ("GET", "/usage/{row}", None),
    ("PATCH", "/costs/{row}", {"metadata": {"a": 1}, "tags": ["z"]}),
    ("PATCH", "/costs/{row}", {"cost": 5}),
    ("DELETE", "/costs/{row}", None),
    ("GET", "/costs/{row}", None),
    ("DELETE", "/costs/{row}", None),
    ("DELETE", "/costs/usg_nothing", None),
]  # fmt: skip


CONTROL: list[tuple[str, str, Any]] = [
    ("GET", "/budgets/current", None),
    ("POST", "/budgets", {"name": "all", "amount": 10, "enforcement": "hard"}),
    ("POST", "/budgets", {"name": "team", "amount": "2.5", "scope": {"team_id": "t"},
                          "parent_id": "{budget}", "alert_thresholds": [50, 100]}),
    ("POST", "/budgets", {"name": "tokens", "token_limit": 1000, "period": "daily"}),
    ("POST", "/budgets", {"amount": 10}),
    ("POST", "/budgets", {"name": "x", "amount": -1}),
    ("POST", "/budgets", {"name": "x"}),
    ("POST", "/budgets", {"name": "x", "amount": 1, "period": "never"}),
    ("POST", "/budgets", {"name": "x", "amount": 1, "scope": {"colour": "red"}}),
    ("POST", "/costs", {"model": "m", "provider": "openai", "cost": 1.5, "tokens_used": 400,
                        "team_id": "t", "event_id": "k1", **LATER}),
    ("GET", "/budgets", None),
    ("GET", "/budgets?name=team", None),
    ("GET", "/budgets?limit=1", None),
    ("GET", "/budgets/{budget}", None),
    ("GET", "/budgets/bud_nothing", None),
    ("GET", "/budgets/current", None),
    ("PUT", "/budgets/{budget}", {"description": "of the whole house"}),
    ("PUT", "/budgets/{budget}", {"period": "never"}),
    ("DELETE", "/budgets/{budget}", None),
    ("POST", "/budgets/check", {"estimated_cost": 8.5}),
    ("POST", "/budgets/check", {"estimated_cost": 8.6}),
    ("POST", "/budgets/check", {"estimated_cost": "much"}),
    ("POST", "/budgets/reserve", {"estimated_cost": 5, "team_id": "t"}),
    ("POST", "/budgets/reserve", {"estimated_cost": 5}),
    ("GET", "/budgets/{budget}", None),
    ("GET", "/budgets/reservations/{held}", None),
    ("GET", "/budgets/reservations/rsv_nothing", None),
    ("POST", "/budgets/reservations/{held}/settle", {}),
    ("POST", "/budgets/reservations/{held}/settle", {"cost": 1}),
    ("POST", "/budgets/reservations/{held}/settle", {"cost": 1}),
    ("POST", "/budgets/reservations/{held}/settle", {"cost": 2}),
    ("POST", "/budgets/reservations/{held}/release", {}),
    ("GET", "/budgets/reservations/{held}", None),
    ("GET", "/budgets/{budget}", None),
    ("GET", "/budgets/bud_nothing/alerts", None),
    ("GET", "/alerts?colour=red", None),
    ("GET", "/alerts/alt_nothing", None),
    ("POST", "/alerts/alt_nothing/acknowledge", {}),
    ("POST", "/alerts/rules", {"name": "r", "type": "call_cost", "threshold": 10}),
    ("POST", "/alerts/rules", {"name": "r", "type": "magic"}),
    ("POST", "/alerts/rules", {"type": "usage"}),
    ("GET", "/alerts/rules", None),
    ("GET", "/alerts/rules/{rule}", None),
    ("PUT", "/alerts/rules/{rule}", {"severity": "critical"}),
    ("PUT", "/alerts/rules/{rule}", {"clear": ["severity"]}),
    ("PUT", "/alerts/rules/{rule}", {"type": "usage"}),
    ("POST", "/alerts/channels", {"name": "ops", "type": "email", "recipients": ["a@b.example"]}),
    ("POST", "/alerts/channels", {"name": "ops", "type": "email", "recipients": ["a@b.example"]}),
    ("POST", "/alerts/channels", {"name": "x", "type": "fax"}),
    ("POST", "/alerts/channels", {"name": "x", "type": "email"}),
    ("GET", "/alerts/channels", None),
    ("GET", "/alerts/channels/ops", None),
    ("PUT", "/alerts/channels/ops", {"enabled": False}),
    ("DELETE", "/alerts/channels/ops", None),
    ("DELETE", "/alerts/channels/ops", None),
    ("DELETE", "/alerts/rules/{rule}", None),
    ("GET", "/alerts/rules/{rule}", None),
    ("POST", "/webhooks", {"url": "https://93.184.216.34/h", "events": ["budget.threshold"]}),
    ("POST", "/webhooks", {"url": "https://93.184.216.34/h", "events": ["*"], "secret": "s" * 24}),
    ("POST", "/webhooks", {"url": "https://93.184.216.34/h"}),
    ("POST", "/webhooks", {"url": "https://93.184.216.34/h", "events": ["odd"]}),
    ("GET", "/webhooks", None),
    ("GET", "/webhooks/{hook}", None),
    ("PUT", "/webhooks/{hook}", {"enabled": False}),
    ("PUT", "/webhooks/{hook}", {"colour": "red"}),
    ("POST", "/webhooks/{hook}/rotate-secret", {}),
    ("GET", "/webhooks/{hook}/deliveries", None),
    ("GET", "/webhooks/{hook}/deliveries/dlv_nothing", None),
    ("DELETE", "/webhooks/{hook}", None),
    ("GET", "/webhooks/{hook}", None),
]  # fmt: skip


def of_server(app: Application) -> Ask:
    def ask(method: str, path: str, body: bytes | None) -> tuple[int, str]:
        headers = {"Content-Type": "application/json"}
        answer = app.request(method, f"/api/v1{path}", headers=headers, content=body)
        return answer.status_code, answer.text

    return asking(ask)


def of_fake(fake: FakeServer) -> Ask:
    def ask(method: str, path: str, body: bytes | None) -> tuple[int, str]:
        answer = fake.handle(method, f"{ADDRESS}/api/v1{path}", {}, body or b"")
        return answer.status, answer.body.decode()

    return asking(ask)


def asking(exchange: Callable[[str, str, bytes | None], tuple[int, str]]) -> Ask:
    """Asks with JSON bodies; `{row}` and others of MADE in a path or body are the first ones
    made."""
    ids: dict[str, str] = {}

    def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        for name, made_id in ids.items():
            sent = sent and sent.replace(b"{%s}" % name.encode(), made_id.encode())
        status, text = exchange(method, path.format(**ids), sent)
        answer: Any = jsontext.loads(text) if text else None
        made = MADE.get(path)
        if status == 201 and made is not None:
            ids.setdefault(made, answer["id"])
        return status, answer

    return ask


def differences(fake: Any, real: Any, where: str = "") -> list[str]:
    """Where the fake says something else than the server."""
    if isinstance(fake, Mapping) and isinstance(real, Mapping):
        missing = [f"{where}.{name}: only the fake has it" for name in fake.keys() - real.keys()]
        inner = [differences(fake[n], real[n], f"{where}.{n}") for n in fake.keys() & real.keys()]
        return missing + [line for lines in inner for line in lines]
    if isinstance(fake, list) and isinstance(real, list):
        if len(fake) != len(real):
            return [f"{where}: {len(fake)} rows where the server has {len(real)}"]
        pairs = enumerate(zip(fake, real, strict=True))
        return [x for i, (f, r) in pairs for x in differences(f, r, f"{where}[{i}]")]
    if NOT_ALIKE.search(where):
        return [] if (fake is None) == (real is None) else [f"{where}: {fake!r}, not {real!r}"]
    if isinstance(fake, int | Decimal) and isinstance(real, int | Decimal):
        return [] if fake == real else [f"{where}: {fake}, not {real}"]
    return [] if fake == real else [f"{where}: {fake!r}, not {real!r}"]


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/parity.db")
    Migrations().upgrade(database)
    with running(Settings(database=database)) as made:
        yield made


class Ticking(FixedClock):
    """A millisecond later at each look, because ids are in the order of their milliseconds."""

    def now(self) -> datetime:
        self.current += timedelta(milliseconds=1)
        return self.current

    def micros(self) -> int:
        self.current += timedelta(milliseconds=1)
        return super().micros()


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[Application]:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/parity.db")
    Migrations().upgrade(database)
    with running(Settings(database=database), clock=Ticking(NOW)) as made:
        yield made


def test_the_fake_answers_as_the_server(application: Application) -> None:
    fake = FakeServer(organization_id=application.organization_id)
    compare(SCRIPT, of_fake(fake), of_server(application))


def test_the_fake_controls_as_the_server(ticking: Application) -> None:
    fake = FakeServer(organization_id=ticking.organization_id, now=Ticking(NOW).now)
    compare(CONTROL, of_fake(fake), of_server(ticking))


def compare(script: list[tuple[str, str, Any]], fake: Ask, server: Ask) -> None:
    found: list[str] = []
    for method, path, body in script:
        said, meant = fake(method, path, body), server(method, path, body)
        asked = f"{method} {path} {str(body)[:60] if body else ''}"
        if said[0] != meant[0]:
            found.append(f"{asked}: {said[0]}, not {meant[0]}: {str(meant[1])[:200]}")
        else:
            found += [f"{asked}: {line}" for line in differences(said[1], meant[1])]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["rows", "kinds", "values"])
def test_a_difference_is_seen(name: str) -> None:
    real = {"data": [{"id": "a", "n": Decimal("1.0"), "s": None}]}
    fakes: dict[str, Any] = {
        "rows": {"data": []},
        "kinds": {"data": [{"id": None}]},
        "values": {"data": [{"id": "b", "n": 2, "more": 1}]},
    }
    assert not differences({"data": [{"id": "b", "n": 1}]}, real)
    assert differences(fakes[name], real)
