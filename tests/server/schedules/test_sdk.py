"""`client.export.schedule` and `client.export.schedules`, against a server that listens."""

from __future__ import annotations

import asyncio

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.client.cache import ResponseCache
from llm_cost_ops.exceptions import NotFoundError, ValidationError
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]


@pytest.fixture
def client(live_server: LiveServer) -> CostOpsClient:
    organization_id, key = live_server.new_organization()
    return CostOpsClient(key, live_server.base_url, organization_id=organization_id)


def test_as_the_guide_says(client: CostOpsClient) -> None:
    schedule = client.export.schedule(
        organization_id=client.settings.organization_id,
        format="excel",
        frequency="daily",
        time="09:00",
        timezone="America/New_York",
        delivery={"type": "email", "recipients": ["finance@example.com"]},
    )
    assert schedule.id.startswith("dsc_")
    assert schedule.parameters == {"format": "excel"}
    assert schedule.destinations == [{"type": "email", "recipients": ["finance@example.com"]}]
    assert (schedule.period, schedule.paused) == ("yesterday", False)


def test_a_life(client: CostOpsClient) -> None:
    calls = client.export.schedules
    made = client.export.schedule(cron="0 7 * * 1-5", delivery="download", provider="openai")
    assert [each.id for each in calls.list()] == [made.id]
    assert calls.update(made.id, name="weekdays").name == "weekdays"
    assert calls.pause(made.id).next_run_at is None
    assert calls.resume(made.id).next_run_at is not None
    run = calls.run(made.id)
    assert [each.id for each in calls.runs(made.id)] == [run.id]
    assert calls.get_run(run.id).id == run.id
    with pytest.raises(NotFoundError):
        calls.download(f"drn_{0:026}")
    calls.delete(made.id)
    with pytest.raises(NotFoundError):
        calls.get(made.id)


def test_reports_are_scheduled_as_exports_are(client: CostOpsClient) -> None:
    made = client.reports.schedule(
        type="executive", frequency="weekly", day="friday", delivery="download"
    )
    assert (made.what, made.day, made.period) == ("report", "friday", "last-week")
    assert [each.id for each in client.export.schedules.list(what="report")] == [made.id]


def test_of_the_asynchronous_client(client: CostOpsClient) -> None:
    async def scheduled() -> str:
        async with AsyncCostOpsClient(
            client.settings.api_key, client.settings.base_url
        ) as asynchronous:
            made = await asynchronous.export.schedule(frequency="weekly", delivery="download")
            return (await asynchronous.export.schedules.get(made.id)).day or ""

    assert asyncio.run(scheduled()) == "monday"


def test_what_is_refused_names_its_field(client: CostOpsClient) -> None:
    with pytest.raises(ValidationError) as refused:
        client.export.schedule(frequency="daily", delivery={"type": "email", "recipients": ["x"]})
    assert "delivery.recipients" in refused.value.field_errors


def test_what_becomes_of_a_run_is_asked_each_time(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a client that remembers answers: another one changes the schedule meanwhile."""
    organization_id, key = live_server.new_organization()
    caching = CostOpsClient(
        key, live_server.base_url, organization_id=organization_id, enable_caching=True
    )
    other = CostOpsClient(key, live_server.base_url).export.schedules
    calls = caching.export.schedules
    made = caching.export.schedule(frequency="daily", delivery="download")
    run = calls.run(made.id)
    assert calls.get(made.id).paused is False
    other.pause(made.id)
    assert calls.get(made.id).paused is True
    other.delete(made.id)
    with pytest.raises(NotFoundError):
        calls.get(made.id)
    assert calls.get_run(run.id).id == run.id

    def remembered(*_: object) -> None:
        raise AssertionError("what becomes of a run is not remembered")

    monkeypatch.setattr(ResponseCache, "get", remembered)
    assert calls.get_run(run.id).id == run.id
