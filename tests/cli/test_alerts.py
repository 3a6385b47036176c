"""`alerts`: rules, channels and alerts on the local database and on a server."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run, call
from tests.support.live import LiveServer

CHANNEL = ("alerts", "channels", "create", "--name", "ops", "--type", "email",
           "--to", "ops@example.com")  # fmt: skip


def alerted(run: Run) -> str:
    """The id of the alert of a budget that is used up."""
    thresholds = ("--thresholds", "50")
    assert run("budgets", "create", "--name", "b", "--amount", "0.01", *thresholds).code == 0
    fields = {name: value for name, value in call(1).items() if name != "timestamp"}
    assert run("ingest", "-f", "-", stdin=json.dumps(fields).encode()).code == 0
    assert run("worker", "--once").code == 0
    (row,) = run("alerts", "list", "-o", "json").rows()
    return row["id"]


@pytest.mark.usefixtures("ledger")
class TestLocal:
    def test_an_alert_is_listed_shown_and_taken_care_of(self, run: Run) -> None:
        assert run("alerts", "list").code == 0
        alert = alerted(run)
        table = run("alerts", "list", "--status", "open", "--severity", "info", "--type", "budget")
        assert "Budget b has reached 50 %" in table.out
        shown = run("alerts", "show", alert).out
        assert "Spent      " in shown
        assert "1. gpt-4o" in shown
        assert "fired: " in shown
        assert "acknowledged" in run("alerts", "ack", alert, "--comment", "mine").out
        snoozed = run("alerts", "snooze", alert, "-o", "json").json()
        assert snoozed["status"] == "snoozed"
        again = run("alerts", "snooze", alert, "--minutes", "5", "-o", "json").json()
        assert again["snoozed_until"] < snoozed["snoozed_until"]
        assert run("alerts", "resolve", alert, "-o", "json").json()["status"] == "resolved"
        assert run("alerts", "ack", alert).code == 4
        assert run("alerts", "list", "--status", "open", "-o", "json").rows() == []
        assert run("alerts", "list", "-o", "csv").out.count("\n") == 2
        assert run("alerts", "show", "alt_00000000000000000000000000").code != 0

    def test_rules(self, run: Run) -> None:
        assert run(*CHANNEL).code == 0
        made = run(
            "alerts", "rules", "create", "--name", "dear", "--type", "call_cost", "--channels",
            "ops", "--scope", "team_id=a", "--scope", "team_id=b", "--set", "threshold=10",
            "--set", "cooldown_minutes=5", "--set", "quiet_hours.start=22:00",
            "--set", "quiet_hours.end=07:00", "-o", "json",
        ).json()  # fmt: skip
        assert made["scope"] == {"team_id": ["a", "b"]}
        assert made["quiet_hours"] == {"start": "22:00", "end": "07:00", "timezone": "UTC"}
        rule = made["id"]
        changed = run("alerts", "rules", "update", rule, "--set", "enabled=false", "--set",
                      "cooldown_minutes=", "-o", "json").json()  # fmt: skip
        assert (changed["enabled"], "cooldown_minutes" in changed) == (False, False)
        assert "call_cost" in run("alerts", "rules", "list").out
        assert "dear" in run("alerts", "rules", "show", rule).out
        for wrong in ("threshold", "=5", "cooldown_minutes=x"):
            assert run("alerts", "rules", "update", rule, "--set", wrong).code == 2
        create = ("alerts", "rules", "create", "--name", "x", "--type", "digest")
        assert run(*create, "--scope", "x").code == 2
        assert run(*create, "--set", "colour=red").code == 2
        assert run("alerts", "rules", "delete", rule).code == 0
        assert (
            "No rules." in run("alerts", "rules", "list").out + run("alerts", "rules", "list").err
        )

    def test_channels(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        assert run(*CHANNEL).code == 0
        slack = ("alerts", "channels", "create", "--name", "chat", "--type", "slack",
                 "--severities", "critical,warning", "--no-default")  # fmt: skip
        assert run(*slack, "--url", "env:NO_SUCH_VARIABLE").code == 2
        monkeypatch.setenv("CHAT_URL", "https://hooks.example.com/services/canary")
        made = run(*slack, "--url", "env:CHAT_URL", "-o", "json")
        assert made.code == 0
        assert "canary" not in made.out
        shown = run("alerts", "channels", "show", "chat", "-o", "json").json()
        assert (shown["default"], shown["severities"]) == (False, ["critical", "warning"])
        assert "chat" in run("alerts", "channels", "list").out
        assert run("alerts", "channels", "delete", "chat").code == 0
        assert run("alerts", "channels", "show", "chat").code != 0

    def test_a_test_that_cannot_arrive_fails(self, run: Run) -> None:
        assert run(*CHANNEL).code == 0
        ran = run("alerts", "test", "ops")  # there is no mail server
        assert ran.code == 1
        assert "did not arrive" in ran.out
        assert run("alerts", "test", "nobody").code == 4


def test_on_a_server(run: Run, live_server: LiveServer) -> None:
    remote = ("--api-url", live_server.base_url, "--api-key", live_server.new_organization()[1])
    assert run(*CHANNEL, *remote).code == 0
    assert len(run("alerts", "channels", "list", "-o", "json", *remote).rows()) == 1
    assert run("alerts", "list", "-o", "json", *remote).rows() == []
