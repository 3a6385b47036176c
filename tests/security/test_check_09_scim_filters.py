"""Check 9: what stands in a SCIM filter, an order or a path is a value and never a statement."""

from __future__ import annotations

import pytest

from tests.support.application import Application
from tests.support.scim import Provider

pytestmark = pytest.mark.check(9)

TEXTS = (
    "' OR '1'='1", "'; DROP TABLE users; --", '" or userName pr or title eq "', "%", "_", "\\",
    "') UNION SELECT digest FROM api_keys --", "1; SELECT pg_sleep(5)", "{{7*7}}", "${7*7}",
    "\u202e", "' AND SLEEP(5) #", "*)(uid=*", "\x7f", "\U0001f4b0" * 50,
)  # fmt: skip


def test_texts_in_every_place(sqlite_application: Application) -> None:
    provider = Provider.of(sqlite_application)
    provider.user()
    own = sqlite_application
    for text in TEXTS:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        for query in (
            {"filter": f'userName eq "{quoted}"'},
            {"filter": f'displayName co "{quoted}"'},
            {"filter": text},
            {"sortBy": text},
            {"attributes": text},
            {"startIndex": text},
            {"count": text},
        ):
            answer = own.request("GET", "/scim/v2/Users", key=provider.token, params=query)
            assert answer.status_code in (200, 400), (query, answer.text)
            if answer.status_code == 200 and "filter" in query:
                assert answer.json()["totalResults"] == 0
        operation = {"op": "replace", "path": text, "value": "x"}
        assert provider.patch("/Users/nobody", operation).status_code == 404
    assert provider.get("/Users").json()["totalResults"] == 1
