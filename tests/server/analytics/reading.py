"""Asking the app's reads, with exact numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx

from tests.support.application import Application

API = "/api/v1"


def exact(answer: httpx.Response) -> Any:
    """The JSON of an answer that went well, fractions as decimals."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def ask(application: Application, path: str, **parameters: Any) -> Any:
    """`GET` a read. Lists repeat the parameter; `__` in a name stands for a dot."""
    given = {name.replace("__", "."): value for name, value in parameters.items()}
    return exact(application.get(f"{API}{path}", params=given))


def refusal(application: Application, path: str, **parameters: Any) -> tuple[str, dict[str, str]]:
    """Code and field errors of a read that is refused with 422."""
    given = {name.replace("__", "."): value for name, value in parameters.items()}
    answer = application.get(f"{API}{path}", params=given)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    return error["code"], error.get("field_errors", {})


def post(application: Application, path: str, body: Any) -> Any:
    """`POST` a read."""
    return exact(application.post(f"{API}{path}", json=body))
