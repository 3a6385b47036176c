"""`POST /api/v1/usage`: every spelling of one call, what is answered, and how faults are named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.calls import (
    assert_proven,
    body_of,
    count,
    error,
    put,
    send,
    set_price,
    usage,
)

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "choices": [{"message": {"role": "assistant", "content": "a secret answer"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 400},
    },
}


def test_a_call_is_priced_and_answered_as_a_flat_row(application: Application) -> None:
    set_price(application)
    sent = usage("e1", user_id="u", project_id="p", tags=["x"], metadata={"a": 1}, latency_ms=12)
    answer = send(application, "/usage", sent)
    row = body_of(answer)
    assert answer.status_code == 201
    for name in ("calculated_cost", "total_cost", "cost", "amount"):
        assert row[name] == Decimal("0.006")
    assert '"total_cost":0.006' in answer.text
    shown = {name: row[name] for name in ("event_id", "user_id", "project_id", "tags", "metadata")}
    assert shown == {
        "event_id": "e1", "user_id": "u", "project_id": "p", "tags": ["x"], "metadata": {"a": 1},
    }  # fmt: skip
    assert (row["total_tokens"], row["currency"], row["cost_status"]) == (1500, "USD", "priced")
    assert row["timestamp"] == "2025-06-15T12:00:00Z"
    assert row["price_version"].startswith("price_")
    assert row["organization_id"] == application.organization_id
    assert assert_proven(application, "0.006").records == 1


def test_the_same_call_again_is_a_duplicate_with_the_original_id(application: Application) -> None:
    first = send(application, "/usage", usage("e1"))
    again = send(application, "/usage", usage("e1"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert body_of(again)["id"] == body_of(first)["id"]
    assert body_of(again)["result"] == "duplicate"
    assert count(application, "usage_records") == 1


def test_another_payload_under_the_same_id_is_a_conflict(application: Application) -> None:
    send(application, "/usage", usage("e1"))
    refused = error(send(application, "/usage", usage("e1", prompt_tokens=2)), 409, "CONFLICT")
    assert refused["field_errors"] == {"event_id": "was already recorded with another payload"}
    assert count(application, "usage_records", "input_tokens = 1000") == 1
    assert count(application, "audit_log", "action = 'usage.conflict'") == 1
    assert_proven(application)


def test_without_an_event_id_every_call_is_its_own(sqlite_application: Application) -> None:
    ids = {body_of(send(sqlite_application, "/usage", usage()))["id"] for _ in range(3)}
    assert len(ids) == 3
    assert {i for i in ids if i.startswith("usg_")} == ids


def test_the_same_id_of_another_source_is_another_call(application: Application) -> None:
    for source in ("api", "proxy"):
        assert send(application, "/usage", usage("e1", source=source)).status_code == 201


@pytest.mark.parametrize(
    "spelled",
    [
        {"model": "gpt-4o", "prompt_tokens": 1000, "completion_tokens": 500},
        {"model_id": "gpt-4o", "input_tokens": 1000, "output_tokens": 500},
        {"model_name": "gpt-4o", "inputTokens": 1000, "outputTokens": 500},
        {"model": "gpt-4o", "tokens_prompt": 1000, "tokens_completion": 500},
        {"model": {"name": "gpt-4o"}, "promptTokens": 1000, "completionTokens": 500},
        {"modelId": "gpt-4o", "promptTokens": 1000, "completionTokens": 500, "totalTokens": 1500},
        {"model": "gpt-4o", "usage": {"input_tokens": 1000, "output_tokens": 500}},
        {"model": "gpt-4o", "prompt_tokens": 1000, "input_tokens": 1000, "output_tokens": 500},
    ],
    ids=lambda spelled: ",".join(spelled),
)
def test_every_documented_spelling_is_the_same_call(
    sqlite_application: Application, spelled: dict[str, Any]
) -> None:
    answer = send(sqlite_application, "/usage", {"provider": "openai", **spelled})
    row = body_of(answer)
    assert answer.status_code == 201, row
    assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("gpt-4o", 1000, 500)


def test_camel_case_and_long_names_reach_their_columns(sqlite_application: Application) -> None:
    app = sqlite_application
    sent = {
        "provider": "openai", "model": "gpt-4o", "promptTokens": 10, "completionTokens": 5,
        "cachedTokens": 4, "cacheWriteTokens": 3, "reasoningTokens": 2, "latencyMs": 7,
        "organizationId": app.organization_id, "projectId": "p", "teamId": "t", "userId": "u",
        "apiKeyId": "k", "environment": "prod", "feature": "f", "eventId": "e",
    }  # fmt: skip
    row = body_of(send(app, "/usage", sent))
    columns = (
        "cached_tokens", "cache_write_tokens", "reasoning_tokens", "latency_ms", "project_id",
        "team_id", "user_id", "api_key_id", "environment", "feature", "event_id",
    )  # fmt: skip
    assert [row[name] for name in columns] == [4, 3, 2, 7, "p", "t", "u", "k", "prod", "f", "e"]


def test_other_kinds_of_usage_are_kept_and_shown(application: Application) -> None:
    set_price(application, "tts", prices={"audio_seconds": {"price": "0.36", "per": 3600}})
    sent = usage(
        model="tts", prompt_tokens=None, completion_tokens=None, usage={"audio_seconds": "1.5"}
    )
    row = body_of(send(application, "/usage", sent))
    assert row["usage"] == {"audio_seconds": Decimal("1.5")}
    assert (row["total_cost"], row["total_tokens"]) == (Decimal("0.00015"), 0)
    assert_proven(application, "0.00015")


def test_of_a_raw_response_only_its_usage_is_kept(application: Application) -> None:
    sent = {"provider": "openai", "response": CHAT, "timestamp": "2025-06-15T12:00:00Z"}
    row = body_of(send(application, "/usage", sent))
    assert (row["model"], row["prompt_tokens"], row["cached_tokens"]) == (
        "gpt-4o-2024-08-06", 1000, 400,
    )  # fmt: skip
    assert (row["service_tier"], row["cost_status"]) == ("standard", "priced")
    stored = application.get(f"/api/v1/costs/{row['id']}").text
    assert "chatcmpl-1" in stored
    assert "secret" not in stored
    assert count(application, "usage_records", "response_id = 'chatcmpl-1'") == 1


@pytest.mark.parametrize(
    ("geo", "sent", "region", "cost"),
    [
        ("us", "us-east-1", "us", "3.3"),
        ("not_available", "us-east-1", "us-east-1", "3"),
        ("not_available", "us", "us", "3.3"),
    ],
)
def test_the_region_that_a_response_reports_stands(
    sqlite_application: Application, geo: str, sent: str, region: str, cost: str
) -> None:
    counts = {"input_tokens": 1_000_000, "output_tokens": 0, "inference_geo": geo}
    body = {"type": "message", "model": "claude-sonnet-4-6", "usage": counts}
    call = {"provider": "anthropic", "response": body, "region": sent}
    row = body_of(send(sqlite_application, "/usage", call))
    assert (row["region"], row["total_cost"]) == (region, Decimal(cost))


def test_a_response_whose_splits_overlap_unclearly_is_recorded(application: Application) -> None:
    usage_block = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"audio_tokens": 500, "cached_tokens": 800},
    }
    body = {**CHAT, "model": "gpt-4o-audio-preview", "usage": usage_block}
    answer = send(application, "/usage", {"provider": "openai", "response": body})
    assert answer.status_code == 201
    assert body_of(answer)["cost_status"] == "partially_priced"
    assert_proven(application)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"usage": {"input_tokens": 1}}, "must not be given together with counts"),
        ({"prompt_tokens": 1}, "must not be given together with counts"),
        ({"completion_tokens": 1}, "must not be given together with counts"),
        ({"cached_tokens": 1}, "must not be given together with counts"),
        ({"reasoning_tokens": 1}, "must not be given together with counts"),
    ],
)
def test_counts_beside_a_response_are_refused(
    sqlite_application: Application, extra: dict[str, Any], message: str
) -> None:
    answer = send(sqlite_application, "/usage", {"provider": "openai", "response": CHAT, **extra})
    assert error(answer, 422)["field_errors"] == {"response": message}


@pytest.mark.parametrize(
    "extra", [{"completion_tokens": 1}, {"cached_tokens": 1}, {"cache_write_tokens": 0}]
)
def test_counts_beside_usage_are_refused(
    sqlite_application: Application, extra: dict[str, Any]
) -> None:
    sent = {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}, **extra}
    fields = error(send(sqlite_application, "/usage", sent), 422)["field_errors"]
    assert list(fields) == ["usage"]


@pytest.mark.parametrize("total", [4, 6])
def test_a_total_must_be_the_sum_whatever_the_counts_come_from(
    sqlite_application: Application, total: int
) -> None:
    sent = {"provider": "openai", "model": "gpt-4o", "total_tokens": total}
    plain = {**sent, "prompt_tokens": 3, "completion_tokens": 2}
    kinds = {**sent, "usage": {"input_tokens": 3, "output_tokens": 2}}
    for record in (plain, kinds):
        fields = error(send(sqlite_application, "/usage", record), 422)["field_errors"]
        assert list(fields) == ["total_tokens"]
    assert send(sqlite_application, "/usage", {**kinds, "total_tokens": 5}).status_code == 201


INSANE = "must not hold control characters or surrounding spaces"
ORGANIZATION = {"organization_id": "org-somebody-else"}


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"provider": None}, "provider", "is required"),
        ({"model": None}, "model", "is required"),
        ({"prompt_tokens": None}, "prompt_tokens", "is required"),
        ({"completion_tokens": None}, "completion_tokens", "is required"),
        ({"prompt_tokens": 0, "completion_tokens": 0}, "prompt_tokens", "must be greater than 0"),
        ({"prompt_tokens": -1}, "prompt_tokens", "must be greater than 0"),
        (
            {"completion_tokens": -1},
            "completion_tokens",
            "must be greater than or equal to 0",
        ),
        ({"prompt_tokens": "5"}, "prompt_tokens", "must be an integer"),
        ({"prompt_tokens": True}, "prompt_tokens", "must be an integer"),
        ({"prompt_tokens": Decimal("5.5")}, "prompt_tokens", "must be an integer"),
        ({"cached_tokens": 1001}, "cached_tokens", "must not exceed prompt_tokens"),
        (
            {"cached_tokens": 600, "cache_write_tokens": 401},
            "cache_write_tokens",
            "must not exceed prompt_tokens less cached_tokens",
        ),
        ({"reasoning_tokens": 501}, "reasoning_tokens", "must not exceed completion_tokens"),
        (
            {"provider": "nobody"},
            "provider",
            "must be one of: openai, anthropic, google, azure, aws, cohere, mistral",
        ),
        ({"timestamp": "15.06.2025"}, "timestamp", "must be in ISO 8601 format (YYYY-MM-DD)"),
        ({"processing": "weekly"}, "processing", "must be one of: realtime, batch"),
        ({"colour": "red"}, "colour", "is not a known field"),
        ({"metadata": []}, "metadata", "must be an object"),
        ({"event_id": "a\u0000"}, "event_id", INSANE),
        ({"tags": [" a"]}, "tags", INSANE),
        ({"input_tokens": 7}, "prompt_tokens", "is given twice with different values"),
    ],
)  # fmt: skip
def test_faults_are_named_in_the_documented_words(
    sqlite_application: Application, change: dict[str, Any], field: str, text: str
) -> None:
    refused = error(send(sqlite_application, "/usage", usage(**change)), 422, "VALIDATION_ERROR")
    assert refused["field_errors"] == {field: text}
    assert count(sqlite_application, "usage_records") == 0


def test_embeddings_have_no_completion_and_images_no_prompt(
    sqlite_application: Application,
) -> None:
    assert send(sqlite_application, "/usage", usage(completion_tokens=0)).status_code == 201
    assert send(sqlite_application, "/usage", usage(prompt_tokens=0)).status_code == 201


@pytest.mark.parametrize("value", [None, [], "text", 5, [{"provider": "openai"}]])
def test_what_is_no_object_is_no_usage_record(
    sqlite_application: Application, value: object
) -> None:
    refused = error(send(sqlite_application, "/usage", value), 422, "USAGE_001")
    assert refused["message"] == "Invalid usage record format"


def test_another_organization_is_refused_with_403(application: Application) -> None:
    for path in ("/usage", "/usage/batch"):
        sent = usage("e", **ORGANIZATION)
        body = sent if path == "/usage" else [usage("good"), sent]
        error(send(application, path, body), 403, "ORGANIZATION_MISMATCH")
    assert count(application, "usage_records") == 0


def test_strict_pricing_refuses_what_has_no_price(sqlite_application: Application) -> None:
    refused = error(
        send(sqlite_application, "/usage?strict=true", usage(model="no-such-model")),
        422,
        "COST_001",
    )
    assert refused["message"] == ("Pricing table not found for openai/no-such-model on 2025-06-15")
    flag = error(send(sqlite_application, "/usage?strict=perhaps", usage()), 422)
    assert flag["field_errors"] == {"strict": "must be true or false"}


def test_a_key_that_may_only_read_cannot_write(sqlite_application: Application) -> None:
    reader = sqlite_application.new_key("read:costs")
    error(send(sqlite_application, "/usage", usage(), key=reader), 403)


def test_a_custom_provider_is_known_to_its_organization_only(application: Application) -> None:
    from llm_cost_ops.server.db.session import write
    from llm_cost_ops.server.identity.providers import register_provider

    other = application.another()
    with write(application.database) as session:
        register_provider(session, application.organization_id, "acme", now_us=0)
    prices = {"input_tokens": {"price": 1, "per": 1000}}
    set_price(application, "m", provider="acme", prices=prices)
    mine = send(application, "/usage", usage(provider="acme", model="m", completion_tokens=0))
    assert body_of(mine)["total_cost"] == 1
    error(send(other, "/usage", usage(provider="acme", model="m")), 422)


def test_a_deployment_is_priced_as_its_model_and_what_waited_is_too(
    application: Application,
) -> None:
    call = usage("e1", provider="azure", model="our-chat")
    assert body_of(send(application, "/usage", call))["cost_status"] == "unpriced"
    named = put(
        application, "/pricing/deployments",
        {"provider": "azure", "deployment": "Our-Chat", "model": "gpt-4o"},
    )  # fmt: skip
    assert body_of(named)["priced_records"] == 1
    later = body_of(send(application, "/usage", {**call, "event_id": "e2"}))
    assert (later["cost_status"], later["price_rule"]) == ("priced", "deployment")
    first = body_of(send(application, "/usage", call))
    assert first["total_cost"] == later["total_cost"] > 0
    assert_proven(application, first["total_cost"] * 2)
