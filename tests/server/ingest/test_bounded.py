"""Numbers without bound inside of raw responses, whichever door they come through."""

from __future__ import annotations

import pytest

from tests.support.application import Application

RESPONSE = (
    '{"provider": "openai", "response": {"model": "gpt-4o", "usage": '
    '{"prompt_tokens": 1, "completion_tokens": 1, "note": NUMBER}}}'
)


@pytest.mark.parametrize("number", ["1E+999999", "1E-999999", "0." + "1" * 5000, "9" * 5000])
@pytest.mark.parametrize(
    ("path", "form", "media_type"),
    [
        ("usage", "%s", "json"),
        ("usage/batch", "[%s]", "json"),
        ("usage/batch", '{"records": [%s]}', "json"),
        ("usage/batch", "%s\n", "x-ndjson"),
    ],
)
def test_a_number_that_a_database_cannot_hold_is_refused_in_a_response(
    sqlite_application: Application, path: str, form: str, media_type: str, number: str
) -> None:
    answer = sqlite_application.post(
        f"/api/v1/{path}",
        content=form % RESPONSE.replace("NUMBER", number),
        headers={"Content-Type": f"application/{media_type}"},
    )
    assert answer.status_code == 400, answer.text
    assert sqlite_application.get("/api/v1/costs").json()["data"] == []
    whole = form % RESPONSE.replace("NUMBER", "1E+2")
    taken = sqlite_application.post(
        f"/api/v1/{path}", content=whole, headers={"Content-Type": f"application/{media_type}"}
    )
    assert taken.status_code in (200, 201), taken.text
