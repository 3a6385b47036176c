"""`webhooks`: registered, changed, tested and looked at on the local database and on a server."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.support.live import LiveServer

URL = "https://hooks.invalid/costs"
CREATE = ("webhooks", "create", "--url", URL, "-e", "cost.created", "-e", "budget.threshold")


def walk(run: Run, *server: str) -> None:
    """The life of a webhook by commands."""

    def said(*arguments: str, code: int = 0) -> str:
        ran = run(*arguments, *server)
        assert ran.code == code, ran.err
        return ran.out

    made = run(*CREATE, "--secret", "your-webhook-secret", "-o", "json", *server).json()
    assert made["secret"] == "your-webhook-secret"
    own = made["id"]
    table = said("webhooks", "list")
    assert URL in table
    assert "your-webhook-secret" not in table
    assert said("webhooks", "list", "-o", "csv").count("\n") == 2
    assert "cost.created, budget.threshold" in said("webhooks", "get", own)
    assert "budget.exceeded" in said("webhooks", "update", own, "-e", "budget.exceeded")
    assert "disabled (user)" in said("webhooks", "disable", own)
    assert "(enabled)" in said("webhooks", "enable", own)
    assert "whsec_" in said("webhooks", "rotate-secret", own, "--overlap-hours", "1")
    assert "could not be resolved" in said("webhooks", "test", own, code=1)
    rows = run("webhooks", "deliveries", own, "-o", "json", *server).rows()
    assert [row["status"] for row in rows] == ["failed"]
    assert "webhook.test" in said("webhooks", "deliveries", own, "--status", "failed")
    assert "attempts: 1" in said("webhooks", "delivery", own, rows[0]["id"])
    assert "pending" in said("webhooks", "redeliver", own, rows[0]["id"])
    start = ("--start", "2026-01-01T00:00:00Z")
    assert "0 to be sent again." in said("webhooks", "replay", own, *start)
    assert "budget.threshold_exceeded" in said("webhooks", "events")
    said("webhooks", "delete", own)
    assert "No webhooks." in said("webhooks", "list") + run("webhooks", "list", *server).err


@pytest.mark.usefixtures("ledger")
def test_on_the_local_database(run: Run) -> None:
    walk(run)
    refused = run("webhooks", "create", "--url", "http://127.0.0.1/")
    assert refused.code != 0
    assert "not a public one" in refused.err


def test_on_a_server(run: Run, live_server: LiveServer) -> None:
    _, key = live_server.new_organization()
    walk(run, "--api-url", live_server.base_url, "--api-key", key)
