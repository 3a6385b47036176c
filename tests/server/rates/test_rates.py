"""Exchange rates over HTTP, on every database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core import jsontext
from tests.support.application import Application
from tests.support.calls import accepted, send

PATH = "/exchange-rates"
URL = f"/api/v1{PATH}"
RATE = {
    "from_currency": "USD",
    "to_currency": "EUR",
    "date": "2026-10-31",
    "rate": "0.92134567890123456789",
    "source": "ECB",
}
HEADER = "from_currency,to_currency,date,rate,source\n"


def converted(app: Application, day: str, amount: str = "10", pair: str = "USD EUR") -> Any:
    one, other = pair.split()
    answer = app.get(
        f"{URL}/convert?amount={amount}&from_currency={one}&to_currency={other}&date={day}"
    )
    assert answer.status_code == 200, answer.text
    return jsontext.loads(answer.text)


def actions(app: Application) -> list[str]:
    rows = accepted(app.get("/api/v1/audit?limit=100"))["data"]
    return [row["action"] for row in rows if row["action"].startswith("exchange_rate")]


def test_rates_are_given_used_and_taken_back(application: Application) -> None:
    made = accepted(send(application, PATH, RATE), 201)
    assert accepted(send(application, PATH, RATE), 201)["id"] == made["id"]  # the same again
    later = {**RATE, "date": "2026-11-30", "rate": 2}
    other = accepted(send(application, PATH, later), 201)
    refused = send(application, PATH, {**RATE, "rate": "0.93"})
    assert refused.status_code == 409
    assert "0.92134567890123456789 of 'ECB'" in refused.json()["error"]["message"]
    assert converted(application, "2026-10-30")["converted"] is None
    answer = converted(application, "2026-11-29", "1.0000000001")
    assert answer["converted"] == Decimal("0.9213456790")
    assert answer["rate"] == Decimal("0.92134567890123456789")
    assert (answer["rate_date"], answer["source"]) == ("2026-10-31", "ECB")
    assert answer["rate_id"] == made["id"]
    assert converted(application, "2026-11-30")["converted"] == 20
    assert converted(application, "2026-11-30", pair="EUR USD")["rate"] is None
    assert converted(application, "2026-11-30", pair="EUR EUR")["converted"] == 10
    listed = accepted(application.get(f"{URL}?from_currency=USD&start_date=2026-11-01"))["data"]
    assert [row["id"] for row in listed] == [other["id"]]
    assert application.request("DELETE", f"{URL}/{made['id']}").status_code == 204
    assert application.request("DELETE", f"{URL}/{made['id']}").status_code == 404
    assert application.get(f"{URL}/{made['id']}").status_code == 404
    assert converted(application, "2026-11-29")["rate"] is None
    assert sorted(actions(application)) == [
        "exchange_rate.created", "exchange_rate.created", "exchange_rate.deleted",
    ]  # fmt: skip


def test_an_amount_is_rounded_once(sqlite_application: Application) -> None:
    app = sqlite_application
    rupiah = {**RATE, "to_currency": "IDR", "rate": 16000}
    accepted(send(app, PATH, rupiah), 201)
    tiny = converted(app, "2026-11-29", "0.00000000004", "USD IDR")
    assert (tiny["amount"], tiny["converted"]) == (Decimal("4E-11"), Decimal("6.4E-7"))
    same = converted(app, "2026-11-29", "1.00000000005", "USD USD")
    assert (same["amount"], same["converted"]) == (Decimal("1.00000000005"), 1)
    none = converted(app, "2026-11-29", "1.00000000005", "EUR USD")
    assert (none["amount"], none["converted"]) == (Decimal("1.00000000005"), None)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (
            "/convert?amount=1&amount=2&from_currency=USD&to_currency=EUR&date=2026-11-29",
            {"amount": "must be given once"},
        ),
        (
            "?start_date=2026-11-01&start_date=2026-11-02&day=1&day=1",
            {"start_date": "must be given once", "day": "is not a known parameter"},
        ),
    ],
)
def test_of_two_values_of_a_name_none_is_chosen(
    sqlite_application: Application, query: str, fields: dict[str, str]
) -> None:
    refused = sqlite_application.get(f"{URL}{query}")
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field_errors"] == fields


def test_a_file_is_taken_whole_or_not_at_all(application: Application) -> None:
    good = HEADER + "USD,EUR,2026-10-30,0.92,ECB\r\n\r\nUSD,GBP,2026-10-30,0.78,ECB\r\n"
    imported = accepted(send(application, f"{PATH}/import", {"csv": "\ufeff" + good}), 200)
    assert imported == {"created": 2, "unchanged": 0}
    again = accepted(send(application, f"{PATH}/import", {"csv": good}), 200)
    assert again == {"created": 0, "unchanged": 2}
    more = good + "USD,CHF,2026-10-30,0,ECB\nUSD,CHF,soon,1,ECB\nUSD,SEK,2026-10-30,9,\n"
    refused = send(application, f"{PATH}/import", {"csv": more})
    assert refused.status_code == 422
    faults = refused.json()["error"]["field_errors"]
    assert sorted(faults) == ["line 5", "line 6", "line 7"]
    taken = HEADER + "USD,SEK,2026-10-30,9,ECB\nUSD,EUR,2026-10-30,0.93,ECB\n"
    refused = send(application, f"{PATH}/import", {"csv": taken})
    assert list(refused.json()["error"]["field_errors"]) == ["line 3"]
    assert len(accepted(application.get(URL))["data"]) == 2
    assert actions(application) == ["exchange_rate.imported"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from_currency": "usd"}, "from_currency"),
        ({"to_currency": "USD"}, "to_currency"),
        ({"date": "2026-13-01"}, "date"),
        ({"date": "2026-1-1"}, "date"),
        ({"rate": "0"}, "rate"),
        ({"rate": None}, "rate"),
        ({"rate": True}, "rate"),
        ({"source": "two\nlines"}, "source"),
        ({"source": ""}, "source"),
    ],
)
def test_what_is_no_rate_is_refused_with_its_field(
    sqlite_application: Application, change: dict[str, object], field: str
) -> None:
    refused = send(sqlite_application, PATH, {**RATE, **change})
    assert refused.status_code == 422, refused.text
    assert list(refused.json()["error"]["field_errors"]) == [field]
    assert accepted(sqlite_application.get(URL))["data"] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("from,to,date\nUSD,EUR,2026-10-30\n", "line 1"),
        (HEADER, "line 2"),
        (HEADER + "USD,EUR,2026-10-30,1,ECB,more\n", "line 2"),
        (HEADER + 'USD,EUR,2026-10-30,1,"ECB\n', "line 2"),
        (HEADER + "USD,EUR,2026-10-30,1,a\nUSD,EUR,2026-10-30,1,b\n", "line 3"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(
    sqlite_application: Application, text: str, line: str
) -> None:
    refused = send(sqlite_application, f"{PATH}/import", {"csv": text})
    assert refused.status_code == 422, refused.text
    assert list(refused.json()["error"]["field_errors"]) == [line]


def test_short_names_of_columns_will_do(sqlite_application: Application) -> None:
    text = "Date,From,To,Rate,Source\n2026-10-30,USD,EUR,0.9,ECB\n"
    made = accepted(send(sqlite_application, f"{PATH}/import", {"csv": text}), 200)
    assert made == {"created": 1, "unchanged": 0}
