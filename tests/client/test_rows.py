from __future__ import annotations

import asyncio
import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.client.amount import Amount
from llm_cost_ops.client.pages import BatchResult, Page
from llm_cost_ops.client.rows import CostRecord, Row, UsageRecord
from llm_cost_ops.client.wire import decode
from llm_cost_ops.exceptions import ValidationError


def test_fields_are_keys_and_attributes() -> None:
    row = UsageRecord({"id": "usg_1", "provider": "openai"}, model="gpt-4")
    assert row.id == row["id"] == row.get("id") == "usg_1"
    assert row.model == "gpt-4"
    assert row.get("nothing") is None
    assert row.get("nothing", 7) == 7
    with pytest.raises(AttributeError, match="UsageRecord has no field 'nothing'"):
        _ = row.nothing
    with pytest.raises(KeyError):
        row["nothing"]
    with pytest.raises(AttributeError):
        row.model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("known", ["cost", "amount", "total_cost", "calculated_cost"])
def test_the_names_of_a_cost_stand_for_each_other(known: str) -> None:
    row = CostRecord({known: Decimal("0.5")})
    for name in ("cost", "amount", "total_cost", "calculated_cost"):
        assert getattr(row, name) == row[name] == row.get(name) == Decimal("0.5")


def test_tokens_too_and_an_unknown_cost_is_not_zero() -> None:
    assert CostRecord({"total_tokens": 5}).tokens_used == 5
    assert CostRecord({"total_cost": None}).amount is None
    with pytest.raises(AttributeError):
        _ = CostRecord({"id": "x"}).cost


def test_numbers_of_an_answer_are_exact_amounts() -> None:
    text = b'{"total_cost": 12345678901.0000000001, "avg": 0, "sum": "0.10", "latency": 1.5}'
    row = Row(decode(text))
    assert row.total_cost == Decimal("12345678901.0000000001")
    assert type(row.total_cost) is type(row.avg) is type(row.sum) is type(row.latency) is Amount
    assert row.sum == Decimal("0.10")


def test_metadata_is_the_callers_own_plain_json() -> None:
    row = CostRecord(decode(b'{"metadata": {"temperature": 0.7, "cost": "0.1", "items": [1.5]}}'))
    assert type(row.metadata) is dict
    assert json.dumps(row.metadata) == '{"temperature": 0.7, "cost": "0.1", "items": [1.5]}'


def test_nested_objects_are_rows() -> None:
    row = Row({"predictions": [{"value": Decimal(1)}], "tokens": {"input_tokens": 3}})
    assert row.predictions[-1].value == 1
    assert row.tokens.input_tokens == 3


def test_a_method_of_dict_is_not_shadowed() -> None:
    row = Row({"items": [1], "values": 2})
    assert dict(row.items()) == {"items": [1], "values": 2}
    assert row["items"] == [1]


def test_to_dict_survives_json() -> None:
    row = CostRecord(
        decode(b'{"cost": 0.0450000000, "big": 12345678901.1234567891, "metadata": {"a": [0.5]}}')
    )
    assert json.loads(json.dumps([row.to_dict()])) == [
        {"cost": 0.045, "big": "12345678901.1234567891", "metadata": {"a": [0.5]}}
    ]


def test_copies_and_pickles() -> None:
    row = CostRecord({"id": "1", "cost": Decimal("0.1"), "metadata": {"a": 1}})
    for same in (copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))):  # noqa: S301
        assert same == row
        assert type(same) is CostRecord


def page(*rows: dict[str, Any], **kwargs: Any) -> Page[CostRecord]:
    return Page((CostRecord(row) for row in rows), **kwargs)


def test_a_page_is_a_list() -> None:
    rows = page({"id": "1"}, {"id": "2"}, has_more=True, next_cursor="c2")
    assert rows.data is rows
    assert rows.items is rows
    assert len(rows) == 2
    assert rows[0].id == "1"
    assert rows.has_more is rows.has_next is True
    assert rows.next_cursor == "c2"
    assert not page()


def test_a_page_can_be_awaited() -> None:
    rows = page({"id": "1"})

    async def read() -> Page[CostRecord]:
        return await rows

    assert asyncio.run(read()) is rows


def test_total_of_a_page() -> None:
    unpriced = {"total_cost": None, "currency": "USD"}
    assert page({"total_cost": Decimal("0.1")}, unpriced).total_cost == Decimal("0.1")
    assert page().total_cost == 0
    assert page({"cost": Decimal("0.1")}, total_cost=Decimal("9.5")).total_cost == Decimal("9.5")


def test_amounts_of_two_currencies_are_not_added() -> None:
    rows = page({"cost": Decimal(1), "currency": "EUR"}, {"cost": Decimal(2), "currency": "USD"})
    assert rows.totals == {"EUR": 1, "USD": 2}
    with pytest.raises(ValueError, match="EUR, USD"):
        _ = rows.total_cost


def test_a_batch_tells_each_fate() -> None:
    result = BatchResult(
        [
            UsageRecord({"index": 0, "status": "created", "id": "usg_1"}),
            UsageRecord({"index": 1, "status": "duplicate", "id": "usg_0"}),
        ]
    )
    assert (result.submitted, result.created, result.duplicates, result.failed) == (2, 1, 1, 0)
    assert result.raise_for_failures() is result
    assert result.data is result


def test_a_refused_record_can_be_raised() -> None:
    error = {"code": "VALIDATION_ERROR", "field_errors": {"prompt_tokens": "is required"}}
    result = BatchResult(
        [
            UsageRecord({"index": 0, "status": "created"}),
            UsageRecord({"index": 1, "status": "invalid", "error": error}),
            UsageRecord(
                {"index": 2, "status": "conflict", "error": {"message": "another payload"}}
            ),
            UsageRecord({"index": 3, "status": "invalid", "error": "too old"}),
        ]
    )
    with pytest.raises(ValidationError, match="3 of 4") as caught:
        result.raise_for_failures()
    assert caught.value.field_errors == {
        "records[1]": "prompt_tokens is required",
        "records[2]": "another payload",
        "records[3]": "too old",
    }
    assert caught.value.completed is result
