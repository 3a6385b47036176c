"""Single calls with their lines, the entries they are made of, and whose they are."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.pricing import cards
from tests.server.analytics.reading import API, ask, exact
from tests.support.application import Application
from tests.support.factories import make_call, record_calls, rerate_call, void_calls

READS = [
    "/costs", "/costs?stream=true", "/costs?group_by=model", "/costs/records", "/usage/history",
    "/costs/aggregate?group_by=model,day&metrics=p50,stddev,tokens", "/costs/summary",
    "/costs/breakdown?dimensions=user_id", "/analytics", "/analytics?interval=day",
    "/analytics/summary",
]  # fmt: skip


def record(application: Application, *calls: dict[str, Any]) -> list[str]:
    made = [make_call(organization_id=application.organization_id, **call) for call in calls]
    return record_calls(application.database, made)


def test_a_call_shows_the_lines_of_its_cost(application: Application) -> None:
    million = 1_000_000
    prices = {
        "input_tokens": KindPrice(Decimal("2.5"), million),
        "cache_read_tokens": KindPrice(Decimal("1.25"), million),
        "output_tokens": KindPrice(Decimal(10), million),
    }
    card = RateCard("prc_test", "openai", "gpt-4o", prices)
    discount = [Adjustment("adj_1", "negotiated", Decimal("0.9"), None, "contract")]
    version = cards.version_id(card, discount)
    with write(application.database) as session:
        cards.keep(session, [(version, cards.card_text(card, discount))], 0)
    [call_id] = record(
        application,
        {"cost": "0.003285", "list_cost_e10": 36_500_000, "price_version": version,
         "price_rule": "exact", "input_tokens": 1_000, "cached_tokens": 400,
         "output_tokens": 165},
    )  # fmt: skip
    found = ask(application, f"/costs/{call_id}")
    lines = {(line["kind"], line["quantity"], line["price"]) for line in found["lines"]}
    assert lines == {
        ("input_tokens", 600, Decimal("2.25")),
        ("cache_read_tokens", 400, Decimal("1.125")),
        ("output_tokens", 165, Decimal(9)),
    }
    assert sum(line["amount"] for line in found["lines"]) == found["total_cost"]
    assert found["list_cost"] == Decimal("0.00365")
    assert found["missing_kinds"] == []
    assert ask(application, f"/usage/{call_id}") == found


def test_a_cost_that_its_caller_stated_has_no_lines(application: Application) -> None:
    [call_id] = record(application, {"cost": "3", "source": "manual", "raw_usage": '{"a": 1}'})
    found = ask(application, f"/costs/{call_id}")
    assert (found["total_cost"], found["source"], found["lines"]) == (3, "manual", [])
    assert found["raw_usage"] == {"a": 1}


def test_entries_add_up_to_the_call(application: Application) -> None:
    organization = application.organization_id
    call_id, other = record(application, {"cost": "1", "input_tokens": 7}, {"cost": "50"})
    rerate_call(application.database, call_id, "2.5", organization_id=organization)
    rerate_call(application.database, call_id, None, organization_id=organization)
    rerate_call(application.database, call_id, "4", organization_id=organization)
    entries = ask(application, f"/costs/{call_id}/entries")["data"]
    assert [(e["kind"], e["cost"], e["cost_status"]) for e in entries] == [
        ("call", 1, "priced"),
        ("rerate", Decimal("1.5"), "priced"),
        ("rerate", Decimal("-2.5"), "unpriced"),
        ("rerate", 4, "priced"),
    ]
    assert {entry["record_id"] for entry in entries} == {call_id}
    assert sum(entry["cost"] for entry in entries) == 4
    assert ask(application, f"/costs/{call_id}")["total_cost"] == 4
    void_calls(application.database, [call_id], organization)
    entries = ask(application, f"/costs/{call_id}/entries")["data"]
    assert (entries[-1]["kind"], sum(entry["cost"] for entry in entries)) == ("void", 0)
    assert sum(entry["prompt_tokens"] for entry in entries) == 0
    assert application.get(f"{API}/costs/{call_id}").status_code == 404
    assert [row["id"] for row in ask(application, "/costs")["data"]] == [other]


@pytest.mark.parametrize("path", ["/costs/{}", "/usage/{}", "/costs/{}/entries"])
def test_unknown_foreign_and_voided_calls_are_not_found_alike(
    application: Application, path: str
) -> None:
    other = application.another()
    [mine], [foreign] = record(application, {}), record(other, {})
    assert application.get(f"{API}{path.format(mine)}").status_code == 200
    answers = [
        application.get(f"{API}{path.format(call_id)}")
        for call_id in (foreign, "usg_0000000000000000000000000A", "x", "a" * 300)
    ]
    errors = [{**answer.json()["error"], "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert [error["code"] for error in errors] == ["NOT_FOUND"] * len(answers)
    assert errors[0] == errors[1]


@pytest.mark.parametrize("path", READS)
def test_a_read_shows_only_its_own_organization(application: Application, path: str) -> None:
    other = application.another()
    secret = {"cost": "7777", "model_name": "secret-model", "user_id": "secret-user",
              "usage": {"input_tokens": 5, "input_audio_tokens": 5}}  # fmt: skip
    before = application.get(f"{API}{path}").text
    record(other, secret, {**secret, "cost": None})
    assert application.get(f"{API}{path}").text == before
    assert "7777" not in before
    assert "secret" in other.get(f"{API}{path}").text or "7777" in other.get(f"{API}{path}").text


@pytest.mark.parametrize("path", READS)
def test_naming_another_organization_is_forbidden(
    sqlite_application: Application, path: str
) -> None:
    mark = "&" if "?" in path else "?"
    other = sqlite_application.another().organization_id
    answer = sqlite_application.get(f"{API}{path}{mark}organization_id={other}")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "ORGANIZATION_MISMATCH"
    own = sqlite_application.organization_id
    assert sqlite_application.get(f"{API}{path}{mark}organization_id={own}").status_code == 200


def test_queries_in_a_body_are_scoped_too(application: Application) -> None:
    other = application.another()
    [foreign] = record(other, {"cost": "9"})
    for body in ({"filters": {"id": foreign}}, {"filters": {"organization_id": {"ne": "x"}}}):
        answer = application.post(f"{API}/costs/query", json=body)
        assert exact(answer)["data"] == []
    body = {"queries": [{"organization_id": other.organization_id}]}
    assert application.post(f"{API}/costs/query", json=body).status_code == 403


def test_amounts_are_numbers_with_their_exact_digits(application: Application) -> None:
    [call_id] = record(application, {"cost": "12345678.0123456789"})
    text = application.get(f"{API}/costs/{call_id}").text
    assert '"total_cost":12345678.0123456789,' in text
    assert json.loads(text, parse_float=Decimal)["cost"] == Decimal("12345678.0123456789")
