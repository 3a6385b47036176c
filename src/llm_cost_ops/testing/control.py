"""Routes of the fake server for budgets, alerts and webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llm_cost_ops.core.budget import Amounts
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.estimate import estimate_item
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.testing import alerts, queries, webhooks
from llm_cost_ops.testing.budgets import FILTERS, RELEASED, SETTLED, given_amount
from llm_cost_ops.testing.calls import cost_call, usage_call
from llm_cost_ops.testing.refusal import Refusal, invalid
from llm_cost_ops.testing.routes import API, ID, Reply, Request, owned, rerated, routed

if TYPE_CHECKING:
    from llm_cost_ops.testing.server import FakeServer

ALERT_FILTERS = ("status", "severity", "type", "rule_id", "budget_id")
LABELS = (
    "project_id", "team_id", "user_id", "api_key_id", "environment", "feature", "tags", "metadata",
)  # fmt: skip
SPELLINGS = {
    "prompt_tokens": "input_tokens", "max_output_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens", "estimated_amount": "estimated_cost",
    "amount": "estimated_cost",
}  # fmt: skip
Row = dict[str, Any]


def _page(rows: list[Row], request: Request) -> Reply:
    part = {name: values for name, values in request.query.items() if name in queries.PARTS}
    return 200, queries.page(rows, {**part, "order_by": ["_"]})


def _only(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for name, values in request.query.items():
        if name in queries.PARTS or name == "organization_id":
            continue
        if name not in known:
            raise invalid(name, "is not a known parameter")
        wanted[name] = values[0]
    return wanted


def _fields(fake: FakeServer, request: Request) -> Row:
    given = request.fields() if request.body else {}
    owned(fake, {"organization_id": given.pop("organization_id", None)})
    return given


# --- budgets -----------------------------------------------------------------------------------


def post_budget(fake: FakeServer, request: Request) -> Reply:
    return 201, fake.budgets.add(_fields(fake, request))


def list_budgets(fake: FakeServer, request: Request) -> Reply:
    return _page(fake.budgets.list(_only(request, FILTERS)), request)


def current_budget(fake: FakeServer, request: Request) -> Reply:  # noqa: ARG001
    return 200, fake.budgets.current()


def get_budget(fake: FakeServer, request: Request, budget_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.budgets.shown(budget_id)


def put_budget(fake: FakeServer, request: Request, budget_id: str) -> Reply:
    return 200, fake.budgets.change(budget_id, _fields(fake, request))


def delete_budget(fake: FakeServer, request: Request, budget_id: str) -> Reply:  # noqa: ARG001
    fake.budgets.remove(budget_id)
    return 204, None


def budget_alerts(fake: FakeServer, request: Request, budget_id: str) -> Reply:
    fake.budgets.of(budget_id)
    wanted = {**_only(request, ("status",)), "budget_id": budget_id}
    return _page(fake.alerts.list(wanted), request)


def check_budget(fake: FakeServer, request: Request) -> Reply:
    ask, amounts = _asked(fake, request)
    return 200, fake.budgets.check(ask, amounts)


def reserve(fake: FakeServer, request: Request) -> Reply:
    ask, amounts = _asked(fake, request)
    return 201, fake.budgets.reserve(ask, amounts)


def _asked(fake: FakeServer, request: Request) -> tuple[Row, Amounts]:
    """What is to be spent: as it was given, or what the input and the most output cost. The real
    server has a tighter or higher bound where a model has more than one price."""
    ask = {SPELLINGS.get(name, name): value for name, value in _fields(fake, request).items()}
    tokens = int(ask.get("input_tokens") or 0) + int(ask.get("max_tokens") or 0)
    cost = given_amount(ask)
    if cost is None:
        for name in ("provider", "model", "input_tokens", "max_tokens"):
            if ask.get(name) is None:
                raise invalid(name, "is required, or estimated_cost")
        usage = {"input_tokens": ask["input_tokens"], "output_tokens": ask["max_tokens"]}
        item = {"provider": ask["provider"], "model": ask["model"], "usage": usage}
        found = estimate_item(item, fake.prices.view, now=fake.now())
        if found["total_cost"] is None:
            text = "is required where no price is known"
            raise Refusal(422, "COST_001", f"estimated_cost {text}", {"estimated_cost": text})
        cost = Decimal(str(found["total_cost"]))
        ask["currency"] = found["currency"]
    try:
        return ask, Amounts(to_e10(cost, "estimated_cost"), 1, tokens)
    except DomainError as error:
        raise invalid("estimated_cost", error.message) from None


def get_reservation(fake: FakeServer, request: Request, reservation_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.budgets.reservation(reservation_id)


def settle(fake: FakeServer, request: Request, reservation_id: str) -> Reply:
    given = _fields(fake, request)
    ask = fake.budgets.open_ask(reservation_id, SETTLED, given)
    if ask is not None:
        row = _spent(fake, ask, given)
        fake.ledger.append(row, given)
        cost = row["total_cost"] or Decimal(0)
        fake.budgets.end(reservation_id, SETTLED, given, cost, row["id"])
        fake.recorded(row)
    return 200, fake.budgets.ended(reservation_id)


def _spent(fake: FakeServer, ask: Mapping[str, Any], given: Mapping[str, Any]) -> Row:
    """The call that a settlement records."""
    call = {name: ask[name] for name in LABELS if ask.get(name) is not None}
    call.update({name: ask[name] for name in ("provider", "model") if ask.get(name)})
    call.update(given)
    if given.get("cost") is not None:
        return owned(fake, cost_call({"model": "unspecified", **call}, fake.now()))
    if given.get("usage") is None and given.get("response") is None:
        text = "cost is required, or usage or response"
        raise Refusal(422, "VALIDATION_ERROR", text)
    row = owned(fake, usage_call(call, fake.now()))
    rerated(fake, row)
    return row


def release(fake: FakeServer, request: Request, reservation_id: str) -> Reply:
    given = _fields(fake, request)
    if fake.budgets.open_ask(reservation_id, RELEASED, given) is not None:
        fake.budgets.end(reservation_id, RELEASED, given, Decimal(0), None)
    return 200, fake.budgets.ended(reservation_id)


# --- alerts ------------------------------------------------------------------------------------


def list_alerts(fake: FakeServer, request: Request) -> Reply:
    return _page(fake.alerts.list(_only(request, ALERT_FILTERS)), request)


def get_alert(fake: FakeServer, request: Request, alert_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.alerts.one(alert_id)


def alert_history(fake: FakeServer, request: Request, alert_id: str) -> Reply:
    return _page(fake.alerts.one(alert_id)["history"], request)


def act(fake: FakeServer, request: Request, alert_id: str, verb: str) -> Reply:
    return 200, fake.alerts.act(alert_id, verb, _fields(fake, request))


def post_rule(fake: FakeServer, request: Request) -> Reply:
    return 201, fake.alerts.add_rule(_fields(fake, request))


def list_rules(fake: FakeServer, request: Request) -> Reply:
    return _page(list(fake.alerts.rules.values()), request)


def get_rule(fake: FakeServer, request: Request, rule_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.alerts.rule(rule_id)


def put_rule(fake: FakeServer, request: Request, rule_id: str) -> Reply:
    return 200, fake.alerts.change_rule(rule_id, _fields(fake, request))


def delete_rule(fake: FakeServer, request: Request, rule_id: str) -> Reply:  # noqa: ARG001
    del fake.alerts.rules[fake.alerts.rule(rule_id)["id"]]
    return 204, None


def post_channel(fake: FakeServer, request: Request) -> Reply:
    return 201, fake.alerts.add_channel(_fields(fake, request))


def list_channels(fake: FakeServer, request: Request) -> Reply:
    return _page([alerts.shown_channel(row) for row in fake.alerts.channels.values()], request)


def get_channel(fake: FakeServer, request: Request, named: str) -> Reply:  # noqa: ARG001
    return 200, alerts.shown_channel(fake.alerts.channel(named))


def put_channel(fake: FakeServer, request: Request, named: str) -> Reply:
    return 200, fake.alerts.change_channel(named, _fields(fake, request))


def delete_channel(fake: FakeServer, request: Request, named: str) -> Reply:  # noqa: ARG001
    del fake.alerts.channels[fake.alerts.channel(named)["id"]]
    return 204, None


def try_channel(fake: FakeServer, request: Request, named: str) -> Reply:  # noqa: ARG001
    row = fake.alerts.channel(named)
    results = [{"delivered": True, "detail": "the fake sends nothing", "status": None}]
    named_so = {"channel_id": row["id"], "channel_name": row["name"]}
    return 200, {**named_so, "delivered": True, "results": results}


# --- webhooks ----------------------------------------------------------------------------------


def post_webhook(fake: FakeServer, request: Request) -> Reply:
    return 201, fake.webhooks.add(_fields(fake, request))


def list_webhooks(fake: FakeServer, request: Request) -> Reply:
    return _page([webhooks.shown(row) for row in fake.webhooks.endpoints.values()], request)


def webhook_events(fake: FakeServer, request: Request) -> Reply:  # noqa: ARG001
    return _page(webhooks.catalogue(), request)


def get_webhook(fake: FakeServer, request: Request, webhook_id: str) -> Reply:  # noqa: ARG001
    return 200, webhooks.shown(fake.webhooks.endpoint(webhook_id))


def put_webhook(fake: FakeServer, request: Request, webhook_id: str) -> Reply:
    return 200, fake.webhooks.change(webhook_id, _fields(fake, request))


def delete_webhook(fake: FakeServer, request: Request, webhook_id: str) -> Reply:  # noqa: ARG001
    fake.webhooks.remove(webhook_id)
    return 204, None


def rotate_secret(fake: FakeServer, request: Request, webhook_id: str) -> Reply:
    return 200, fake.webhooks.rotate(webhook_id, _fields(fake, request))


def try_webhook(fake: FakeServer, request: Request, webhook_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.webhooks.test(webhook_id)


def list_deliveries(fake: FakeServer, request: Request, webhook_id: str) -> Reply:
    wanted = _only(request, ("status", "event"))
    return _page(fake.webhooks.deliveries(webhook_id, wanted), request)


def get_delivery(
    fake: FakeServer,
    request: Request,  # noqa: ARG001
    webhook_id: str,
    delivery_id: str,
) -> Reply:
    return 200, fake.webhooks.delivery(webhook_id, delivery_id)


def redeliver(
    fake: FakeServer,
    request: Request,  # noqa: ARG001
    webhook_id: str,
    delivery_id: str,
) -> Reply:
    return 202, fake.webhooks.redeliver(webhook_id, delivery_id)


def replay(fake: FakeServer, request: Request, webhook_id: str) -> Reply:
    return 202, {"replayed": fake.webhooks.replay(webhook_id, _fields(fake, request))}


# --- what follows from a request ---------------------------------------------------------------


def tell(fake: FakeServer, recorded: Sequence[Row]) -> None:
    """The events of new calls, and of budgets that reached something since the last look, with the
    alerts of these."""
    for row in recorded:
        fake.webhooks.publish("usage.submitted", row)
        if row["total_cost"] is not None:
            fake.webhooks.publish("cost.created", row)
    for budget, level in list(fake.budgets.reached()):
        fake.alerts.of_budget(budget, level)
        names = ("enforcement", "currency", "amount", "spent", "requests", "tokens",
                 "utilization", "period_start", "period_end")  # fmt: skip
        data = {name: budget[name] for name in names}
        data |= {"budget_id": budget["id"], "budget_name": budget["name"]}
        if level is None:
            fake.webhooks.publish("budget.exceeded", data)
        else:
            fake.webhooks.publish("budget.threshold_exceeded", {**data, "threshold": level})


_BUDGET = f"{API}/budgets/(?!current$|check$|reserve$){ID}"
_HELD = f"{API}/budgets/reservations/{ID}"
_RULE, _CHANNEL = f"{API}/alerts/rules/{ID}", f"{API}/alerts/channels/{ID}"
_ALERT = f"{API}/alerts/(?!rules$|channels$){ID}"
_HOOK = f"{API}/webhooks/(?!events$){ID}"
CONTROL = routed(
    ("POST", f"{API}/budgets", post_budget),
    ("GET", f"{API}/budgets", list_budgets),
    ("GET", f"{API}/budgets/current", current_budget),
    ("POST", f"{API}/budgets/check", check_budget),
    ("POST", f"{API}/budgets/reserve", reserve),
    ("GET", _HELD, get_reservation),
    ("POST", f"{_HELD}/settle", settle),
    ("POST", f"{_HELD}/release", release),
    ("GET", _BUDGET, get_budget),
    ("PUT", _BUDGET, put_budget),
    ("PATCH", _BUDGET, put_budget),
    ("PUT", f"{API}/budgets/{ID}/enforcement", put_budget),
    ("DELETE", _BUDGET, delete_budget),
    ("GET", f"{API}/budgets/{ID}/alerts", budget_alerts),
    ("GET", f"{API}/alerts", list_alerts),
    ("POST", f"{API}/alerts/rules", post_rule),
    ("GET", f"{API}/alerts/rules", list_rules),
    ("GET", _RULE, get_rule),
    ("PUT", _RULE, put_rule),
    ("PATCH", _RULE, put_rule),
    ("DELETE", _RULE, delete_rule),
    ("POST", f"{API}/alerts/channels", post_channel),
    ("GET", f"{API}/alerts/channels", list_channels),
    ("GET", _CHANNEL, get_channel),
    ("PUT", _CHANNEL, put_channel),
    ("PATCH", _CHANNEL, put_channel),
    ("DELETE", _CHANNEL, delete_channel),
    ("POST", f"{_CHANNEL}/test", try_channel),
    ("GET", _ALERT, get_alert),
    ("GET", f"{API}/alerts/{ID}/history", alert_history),
    ("POST", f"{API}/alerts/{ID}/(acknowledge|snooze|resolve|comments)", act),
    ("POST", f"{API}/webhooks", post_webhook),
    ("GET", f"{API}/webhooks", list_webhooks),
    ("GET", f"{API}/webhooks/events", webhook_events),
    ("GET", _HOOK, get_webhook),
    ("PUT", _HOOK, put_webhook),
    ("PATCH", _HOOK, put_webhook),
    ("DELETE", _HOOK, delete_webhook),
    ("POST", f"{_HOOK}/rotate-secret", rotate_secret),
    ("POST", f"{_HOOK}/test", try_webhook),
    ("GET", f"{_HOOK}/deliveries", list_deliveries),
    ("GET", f"{_HOOK}/deliveries/{ID}", get_delivery),
    ("POST", f"{_HOOK}/deliveries/{ID}/redeliver", redeliver),
    ("POST", f"{_HOOK}/replay", replay),
)
