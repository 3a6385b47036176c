"""Hostile values in every field of every body and in every parameter of every operation (fault
rows 16 and 17): refused by name or kept as they are, and never a fault of the server."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from llm_cost_ops.server.db.urls import DatabaseKind
from tests.support.application import Application
from tests.support.made import made
from tests.support.operations import Called, fresh, operations

JSON = {"Content-Type": "application/json"}
HOLE = "hole-in-the-body"
EVERY = 5
"""Each value is put in every fifth field, each field gets every fifth value: all of both take part,
in a minute instead of many."""
EVERY_ON_SERVERS = 15
"""What is refused before a database is asked is refused alike on all of them."""
MALFORMED = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "lone surrogate": rb'"\ud800"',
    "surrogates the wrong way round": rb'"\udc00\ud800"',
    "duplicate keys": b'{"a": 1, "a": 2}',
    "5,000 digits": b"9" * 5000,
    "huge exponent": b"1E+999999",
    "small exponent": b"1E-999999",
    "not UTF-8": b'"\xff"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "bare NUL": b'"\x00"',
    "100,000 brackets": b"[" * 100_000,
    "nested too deep": b"[" * 80 + b"]" * 80,
}
"""In the place of a value these make a body that is no strict JSON."""
ODD = {
    "null": None,
    "a truth": True,
    "empty": "",
    "a negative": -1,
    "beyond 64 bits": 2**64,
    "an object": {"": {"": [None]}},
    "a list": [{}, [], "x"],
    "a quote": "'; DROP TABLE usage_records; --",
    "an operator": {"$gt": ""},
    "a template": "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "a filter": "*)(uid=*))(|(uid=*",
    "a path": "../../etc/passwd%00",
    "a backslash": 'a\\"b\\',
    "wildcards": "%_\\%",
    "a formula": '=HYPERLINK("x")',
    "far plane": "\U0001f4b8" * 64,
    "grows in lower case": "\u0130" * 255,
    "a direction": "a\u202eb",
    "a NUL": "a\x00b",
    "a NUL within": {"a\x00": ["\x00"]},
    "full-width digits": "\uff11\uff12",
    "very long": "x" * 5000,
}
"""Strict JSON that means nothing, or more than it should, where it is put."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to each value inside of a value."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The body with a value in this place."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def keyed(body: Any, path: tuple[Any, ...], name: str) -> Any:
    """The body with a further key in the object in this place; None where there is no object."""
    changed = copy.deepcopy(body)
    inner = changed
    for step in path:
        inner = inner[step]
    if not isinstance(inner, dict):
        return None
    inner[name] = 1
    return changed


def turn(values: dict[str, Any], number: int, every: int = EVERY) -> list[tuple[str, Any]]:
    """The values whose turn it is in this place; all of them where a whole body is replaced."""
    listed = list(values.items())
    return listed if number == 0 else listed[number % every :: every]


def every_of(application: Application) -> int:
    return EVERY if application.database.kind is DatabaseKind.SQLITE else EVERY_ON_SERVERS


def bodies(application: Application) -> Iterator[tuple[Called, Any]]:
    for called in operations(application):
        for body in called.operation.bodies:
            yield called, body


def test_the_bodies_are_taken_as_they_are(sqlite_application: Application) -> None:
    """Or else the tests below would look at the first refusal alone."""
    ids = made(sqlite_application)
    for called, body in bodies(sqlite_application):
        answer = sqlite_application.request(called.method, called.at(ids), json=fresh(body))
        assert answer.status_code in (200, 201, 202), (called, answer.text)


@pytest.mark.check(17)
@pytest.mark.slow
def test_what_is_not_strict_json_is_refused_in_every_field(
    sqlite_application: Application,
) -> None:
    ids = made(sqlite_application)
    for called, body in bodies(sqlite_application):
        for number, path in enumerate(places(body)):
            text = json.dumps(put(fresh(body), path, HOLE)).encode()
            for what, written in turn(MALFORMED, number):
                content = text.replace(f'"{HOLE}"'.encode(), written)
                answer = sqlite_application.request(
                    called.method, called.at(ids), content=content, headers=JSON
                )
                where = (called, path, what)
                if answer.status_code == 207:  # of a batch only this record is refused
                    results = answer.json()["results"]
                    assert "invalid" in {result["status"] for result in results}, where
                else:
                    assert answer.status_code in (400, 422), (*where, answer.text)
                assert len(answer.content) < 4000


@pytest.mark.check(18)
@pytest.mark.check(9)
@pytest.mark.slow
def test_odd_values_in_every_field(application: Application) -> None:
    ids, every = made(application), every_of(application)
    for called, body in bodies(application):
        for number, path in enumerate(places(body)):
            odd: dict[str, Any] = {}
            for name, value in turn(ODD, number, every):
                odd[name] = put(fresh(body), path, value)
                more = keyed(fresh(body), path, value) if isinstance(value, str) else None
                odd |= {} if more is None else {f"{name} as a key": more}
            for name, asked in odd.items():
                answer = application.request(called.method, called.at(ids), json=asked)
                assert answer.status_code < 500, (called, path, name, answer.text)
    assert application.get("/api/v1/ledger/verify").json()["ok"] is True
    for path in ("costs", "pricing", "imports", "pricing/deployments", "pricing/adjustments"):
        assert application.get(f"/api/v1/{path}").status_code == 200


PARAMETERS = (
    "",
    "'; DROP TABLE usage_records; --",
    'a"b\\',
    "{{7*7}}",
    "%00",
    "\x01\x7f",
    "\U0001f4b8",
    "9" * 30,
    "-1",
    "1E+999999",
    "NaN",
    "\uff11",
    "x" * 300,
    "../../etc/passwd",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01",
    "metadata.'\"\\",
    "tag:%_",
    "[]",
)


@pytest.mark.check(9)
@pytest.mark.slow
def test_odd_values_in_every_parameter(application: Application) -> None:
    ids, every = made(application), every_of(application)
    for start, called in enumerate(operations(application)):
        if called.method != "GET":
            continue
        for number, parameter in enumerate(called.parameters, start):
            for value in PARAMETERS[number % every :: every]:
                if parameter["in"] == "path":
                    asked = called.at({**ids, parameter["name"]: quote(value, safe="%")})
                    answer = application.get(asked)
                else:
                    answer = application.get(called.at(ids), params={parameter["name"]: value})
                assert answer.status_code < 500, (called, parameter["name"], value, answer.text)


@pytest.mark.check(9)
@pytest.mark.slow
def test_odd_values_in_every_filter(application: Application) -> None:
    """Names and values of filters, also those of metadata, become SQL on each database."""
    made(application)
    odd = [value for value in ODD.values() if isinstance(value, str)]
    for field in ("model", "provider", "tags", "metadata.a", "project_id"):
        for relation in ("eq", "ne", "in", "contains"):
            for value in odd:
                given = [value] if relation == "in" else value
                asked = {"filters": [{"field": field, "operator": relation, "value": given}]}
                answer = application.post("/api/v1/costs/query", json=asked)
                assert answer.status_code < 500, (asked, answer.text)
    for key in (*odd, "a.b", "$", "[*]", "**", "a\x01", "\x7f", " ", "\u2028"):
        for asked in (
            {"filters": {f"metadata.{key}": "x"}},
            {"filters": {f"metadata.{key}": {"exists": True}}},
            {"group_by": [f"metadata.{key}"]},
            {"group_by": [f"tag:{key}"]},
            {"order_by": [key]},
            {"fields": [key]},
            {"metrics": [key], "group_by": ["model"]},
        ):
            answer = application.post("/api/v1/costs/query", json=asked)
            assert answer.status_code < 500, (asked, answer.text)


@pytest.mark.check(18)
@pytest.mark.parametrize(("count", "status"), [(1000, 422), (1001, 400)])
def test_the_parameters_of_a_url_are_counted(
    sqlite_application: Application, count: int, status: int
) -> None:
    query = "&".join(f"a{n}=1" for n in range(count))
    answer = sqlite_application.get(f"/api/v1/costs?{query}")
    assert answer.status_code == status


def conditions(count: int, values: int = 1) -> dict[str, Any]:
    listed = [f"m{n}" for n in range(values)]
    return {"filters": [{"field": "model", "operator": "in", "value": listed}] * count}


@pytest.mark.check(18)
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (conditions(100), 200),
        (conditions(101), 422),
        (conditions(10, 1000), 200),
        (conditions(11, 1000), 422),
        ({"filters": {"tags": ["a"] * 101}}, 422),
        ({"queries": [conditions(101)]}, 422),
    ],
    ids=["100 conditions", "101", "10,000 values", "11,000", "101 tags", "101 of many"],
)
def test_conditions_are_counted(
    application: Application, asked: dict[str, Any], status: int
) -> None:
    answer = application.post("/api/v1/costs/query", json=asked)
    assert answer.status_code == status, answer.text
    if status == 422:
        assert "filters" in str(answer.json()["error"]["field_errors"])


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 1, "completion_tokens": 1, "note\x00": 1},
        {"prompt_tokens": 1, "completion_tokens": 1, "details": {"note": "a\x00b"}},
    ],
)
def test_a_nul_in_the_usage_of_a_response_is_left_out(
    application: Application, usage: dict[str, Any]
) -> None:
    """PostgreSQL stores none in JSON; what the call used and cost is recorded all the same."""
    body = {"provider": "openai", "response": {"model": "gpt-4o", "usage": usage}}
    single = application.post("/api/v1/usage", json=body)
    assert (single.status_code, single.json()["total_tokens"]) == (201, 2)
    good = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1, "completion_tokens": 1}
    both = application.post("/api/v1/usage/batch", json=[body, good])
    assert [item["status"] for item in both.json()["results"]] == ["created", "created"]
    written_out = {"prompt_tokens": 1, "completion_tokens": 1, "note\\u0000": "\\u0000"}
    body["response"] = {"model": "gpt-4o", "usage": written_out}
    assert application.post("/api/v1/usage", json=body).status_code == 201
