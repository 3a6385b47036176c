"""Documented names, bounded labels, and one exposition for several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_cost_ops.server.http.metrics import MAX_USER_LABELS, Metrics, expose


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def metrics(time: Time) -> Metrics:
    made = Metrics(version="1.2.3", monotonic=time)
    made.know_models(["gpt-4o", "claude-3-opus"])
    return made


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return parse(metrics.expose()[0])


def parse(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def one(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, tuple(sorted(labels.items()))))


def test_requests_count_by_route_template_and_outcome(metrics: Metrics) -> None:
    metrics.request("GET", "/api/v1/costs/{record_id}", 200, 0.03)
    metrics.request("GET", "/api/v1/costs/{record_id}", 404, 0.03)
    metrics.request("GET", "/api/v1/costs/{record_id}", 503, 3)
    name = "llm_cost_ops_api_requests_total"
    where = {"method": "GET", "endpoint": "/costs/{record_id}"}
    assert one(metrics, name, **where, status="success", code="200") == 1
    assert one(metrics, name, **where, status="error", code="404") == 1
    assert one(metrics, name, **where, status="error", code="503") == 1
    bucket = "llm_cost_ops_request_duration_seconds_bucket"
    assert one(metrics, bucket, **where, le="0.025") == 0
    assert one(metrics, bucket, **where, le="0.05") == 2
    assert one(metrics, bucket, **where, le="2.0") == 2
    assert one(metrics, bucket, **where, le="+Inf") == 3


def test_callers_cannot_make_labels(metrics: Metrics) -> None:
    for number in range(500):
        metrics.request(f"X{number}", None, 404, 0.1)
        metrics.entries_created("org-a", [(f"model-{number}", f"user-{number}", 5)])
    text = metrics.expose()[0].decode()
    assert "user-" not in text
    assert "model-1" not in text
    assert "org-a" not in text
    name = "llm_cost_ops_api_requests_total"
    labels = {"method": "other", "endpoint": "other", "status": "error", "code": "404"}
    assert one(metrics, name, **labels) == 500
    entries = "llm_cost_ops_entries_created_total"
    assert one(metrics, entries, model="other", user_id="") == 500


@pytest.mark.parametrize(
    ("cost_e10", "bucket"),
    [(0, "0.001"), (10**7, "0.001"), (10**7 + 1, "0.01"), (10**12, "100.0"), (10**12 + 1, "+Inf")],
)
def test_costs_fall_into_the_documented_buckets(
    metrics: Metrics, cost_e10: int, bucket: str
) -> None:
    metrics.entries_created("org-a", [("gpt-4o", None, cost_e10)])
    name = "llm_cost_ops_cost_amount_bucket"
    found = {
        dict(labels)["le"]: value
        for (sample, labels), value in samples(metrics).items()
        if sample == name and dict(labels)["model"] == "gpt-4o"
    }
    bounds = list(found)
    assert bounds == ["0.001", "0.01", "0.1", "1.0", "10.0", "100.0", "+Inf"]
    assert [found[b] for b in bounds] == [float(bounds.index(bucket) <= i) for i in range(7)]
    total = one(metrics, "llm_cost_ops_cost_amount_sum", model="gpt-4o")
    assert total == pytest.approx(cost_e10 / 10**10)


def test_an_unpriced_call_is_an_entry_without_a_cost(metrics: Metrics) -> None:
    metrics.entries_created("org-a", [("gpt-4o", None, None), ("gpt-4o", None, 10**10)])
    assert one(metrics, "llm_cost_ops_entries_created_total", model="gpt-4o", user_id="") == 2
    assert one(metrics, "llm_cost_ops_cost_amount_count", model="gpt-4o") == 1


def test_outcomes_of_ingest(metrics: Metrics) -> None:
    metrics.ingested(created=3, duplicate=2, conflict=1)
    metrics.ingested(invalid=4)
    name = "llm_cost_ops_ingest_records_total"
    outcomes = {"created": 3, "duplicate": 2, "conflict": 1, "invalid": 4}
    assert {outcome: one(metrics, name, outcome=outcome) for outcome in outcomes} == outcomes


def test_users_are_active_for_a_quarter_of_an_hour(metrics: Metrics, time: Time) -> None:
    metrics.entries_created(
        "org-a", [("m", "u1", 1), ("m", "u1", 1), ("m", "u2", 1), ("m", None, 1)]
    )
    metrics.entries_created("org-b", [("m", "u1", 1)])
    assert one(metrics, "llm_cost_ops_active_users") == 3
    time.now_s = 800
    metrics.entries_created("org-b", [("m", "u1", 1)])
    time.now_s = 901
    assert one(metrics, "llm_cost_ops_active_users") == 1


def test_gauges_are_refreshed_before_each_scrape(metrics: Metrics) -> None:
    ages = iter([1.0, 46.0])

    def refresh() -> None:
        metrics.price_book_age(next(ages))
        metrics.connections({"in_use": 2, "idle": 3})

    metrics.before_scrape(refresh)
    assert one(metrics, "llm_cost_ops_price_book_age_days") == 1
    assert one(metrics, "llm_cost_ops_price_book_age_days") == 46


def test_the_version_is_told(metrics: Metrics) -> None:
    assert one(metrics, "llm_cost_ops_build_info", version="1.2.3") == 1


def test_user_labels_are_capped_where_they_are_switched_on(time: Time) -> None:
    metrics = Metrics(version="1", monotonic=time, user_labels=True)
    metrics.know_models(["m"])
    metrics.entries_created("o", [("m", f"u{n}", 1) for n in range(MAX_USER_LABELS + 5)])
    name = "llm_cost_ops_entries_created_total"
    assert one(metrics, name, model="m", user_id="u0") == 1
    assert one(metrics, name, model="m", user_id="other") == 5


WORKER = """
import sys
from llm_cost_ops.server.http.metrics import Metrics
metrics = Metrics(version="1", monotonic=lambda: 0.0)
metrics.know_models(["gpt-4o"])
metrics.request("GET", "/health", 200, 0.01)
metrics.entries_created("o", [("gpt-4o", "u", 10**10)])
metrics.before_scrape(lambda: metrics.connections({"idle": 2}))
metrics.refresh()
print("done", flush=True)
sys.stdin.read()
"""


def test_one_exposition_for_several_processes(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"done\n"
        found = parse(expose(None, str(tmp_path))[0])
    finally:
        for worker in workers:
            worker.communicate()
    assert found["llm_cost_ops_entries_created_total", (("model", "gpt-4o"), ("user_id", ""))] == 2
    assert found["llm_cost_ops_cost_amount_sum", (("model", "gpt-4o"),)] == 2
    assert found["llm_cost_ops_database_connections", (("state", "idle"),)] == 4
    assert found["llm_cost_ops_active_users", ()] == 1
