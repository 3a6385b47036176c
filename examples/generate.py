"""Make the two bundled example files: the same bytes each time.

    python examples/generate.py

`responses.jsonl` holds raw provider responses in envelopes, `usage.jsonl` usage records: thirty
invented days (2026-10-20 to 2026-11-19, UTC) of an invented shop. Nothing in them happened; ids
are made up, and where a response has text it is a placeholder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

FIRST_DAY = datetime(2026, 10, 20, tzinfo=UTC)
DAYS = 31
RESPONSES = 252
RECORDS = 250
SEED = 20261119

Body = dict[str, object]
Call = dict[str, object]

PLACES = (
    # project, team, features, users
    ("storefront", "web", ("product-descriptions", "translation", "image-alt-text"), (1, 7)),
    ("support", "support", ("chat-assistant", "ticket-triage", "voice-notes"), (8, 15)),
    ("search", "platform", ("query-rewrite", "search-rerank", "embeddings"), (16, 19)),
    ("analytics", "data", ("weekly-report", "invoice-reading", "code-review"), (20, 24)),
)
ENVIRONMENTS = ("production",) * 8 + ("staging", "development")
SONNET_ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
WEIGHT_OF_HOUR = (1, 1, 1, 1, 1, 1, 2, 4, 7, 9, 9, 8, 7, 8, 9, 9, 8, 6, 4, 3, 3, 2, 2, 1)


def moment(random: Random) -> datetime:
    """Mostly working hours of working days."""
    while True:
        day = FIRST_DAY + timedelta(days=random.randrange(DAYS))
        if day.weekday() < 5 or random.random() < 0.3:
            break
    hour = random.choices(range(24), WEIGHT_OF_HOUR)[0]
    return day + timedelta(hours=hour, milliseconds=random.randrange(3_600_000))


def attributes(random: Random) -> Call:
    """Who made the call, and what for."""
    project, team, features, (first, last) = random.choice(PLACES)
    feature = random.choice(features)
    tags = [feature.split("-")[0], random.choice(("interactive", "background"))]
    return {
        "project_id": project,
        "team_id": team,
        "user_id": f"user-{random.randint(first, last):03d}",
        "environment": random.choice(ENVIRONMENTS),
        "feature": feature,
        "latency_ms": int(random.lognormvariate(6.8, 0.7)),
        "tags": tags,
        "metadata": {
            "customer": f"customer-{random.randint(1, 12):02d}",
            "prompt_version": random.randint(1, 5),
        },
    }


def size(random: Random, middle: int) -> int:
    return max(1, int(random.lognormvariate(0, 0.8) * middle))


def part(random: Random, whole: int, step: int = 128) -> int:
    """A cached part of a prompt, in whole blocks."""
    return int(whole * random.uniform(0.3, 0.95)) // step * step


def token(random: Random, prefix: str) -> str:
    return f"{prefix}{random.getrandbits(96):024x}"


def chat(random: Random, model: str, when: datetime, prompt: int, output: int) -> Body:
    """The body of OpenAI's chat completions, which many providers share."""
    choice = {"index": 0, "finish_reason": "stop"}
    return {
        "id": token(random, "chatcmpl-"),
        "object": "chat.completion",
        "created": int(when.timestamp()),
        "model": model,
        "choices": [{**choice, "message": {"role": "assistant", "content": "(left out)"}}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
        },
    }


def openai_chat(random: Random, when: datetime) -> Call:
    model = random.choice(("gpt-5.4-mini", "gpt-5.4-mini", "gpt-5.4"))
    prompt, output = size(random, 1800), size(random, 260)
    body = chat(random, model, when, prompt, output)
    cached = part(random, prompt) if prompt > 1024 and random.random() < 0.6 else 0
    body["usage"] |= {  # type: ignore[operator]
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": output // 3, "audio_tokens": 0},
    }
    return {"provider": "openai", "response": {**body, "service_tier": "default"}}


def openai_responses(
    random: Random, when: datetime, *, searches: int = 0, tier: str = "default"
) -> Call:
    given, made = size(random, 4200), size(random, 700)
    output: list[Body] = [
        {"type": "web_search_call", "id": token(random, "ws_"), "status": "completed"}
        for _ in range(searches)
    ]
    output.append({"type": "message", "id": token(random, "msg_"), "role": "assistant"})
    return {
        "provider": "openai",
        "response": {
            "id": token(random, "resp_"),
            "object": "response",
            "created_at": int(when.timestamp()),
            "model": "gpt-5.4",
            "service_tier": tier,
            "output": output,
            "usage": {
                "input_tokens": given,
                "input_tokens_details": {"cached_tokens": part(random, given)},
                "output_tokens": made,
                "output_tokens_details": {"reasoning_tokens": made // 2},
                "total_tokens": given + made,
            },
        },
    }


def openai_embeddings(random: Random, _when: datetime) -> Call:
    tokens = size(random, 9000)
    return {
        "provider": "openai",
        "event_id": token(random, "emb_"),
        "response": {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
    }


def openai_batch(random: Random, when: datetime) -> Call:
    call = openai_chat(random, when)
    return {**call, "processing": "batch"}


def openai_audio(random: Random, when: datetime) -> Call:
    prompt, output = size(random, 900), size(random, 300)
    body = chat(random, "gpt-4o-audio-preview", when, prompt, output)
    body["usage"] |= {  # type: ignore[operator]
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": prompt * 3 // 4},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": output // 2},
    }
    return {"provider": "openai", "response": body}


def anthropic(
    random: Random, _when: datetime, *, model: str = "claude-sonnet-4-5-20250929", short: int = 0,
    long: int = 0, searches: int = 0, tier: str = "standard", geo: str = "not_available",
) -> Call:  # fmt: skip
    read = size(random, 6000) if short or long else 0
    return {
        "provider": "anthropic",
        **({"processing": "batch"} if tier == "batch" else {}),
        "response": {
            "id": token(random, "msg_"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "(left out)"}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": size(random, 900),
                "cache_creation_input_tokens": short + long,
                "cache_read_input_tokens": read,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": short,
                    "ephemeral_1h_input_tokens": long,
                },
                "output_tokens": size(random, 420),
                "server_tool_use": {"web_search_requests": searches},
                "service_tier": tier,
                "inference_geo": geo,
            },
        },
    }


def gemini(
    random: Random, when: datetime, *, model: str = "gemini-2.5-flash", middle: int = 2500
) -> Call:
    prompt, made, thought = size(random, middle), size(random, 300), size(random, 200)
    return {
        "provider": "google",
        "response": {
            "responseId": token(random, ""),
            "modelVersion": model,
            "createTime": when.isoformat().replace("+00:00", "Z"),
            "candidates": [{"index": 0, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": prompt,
                "candidatesTokenCount": made,
                "thoughtsTokenCount": thought,
                "totalTokenCount": prompt + made + thought,
            },
        },
    }


def bedrock(random: Random, _when: datetime, *, model: str, cached: bool) -> Call:
    given, made = size(random, 1500), size(random, 300)
    read = size(random, 3000) if cached else 0
    return {
        "provider": "aws",
        "model": model,
        "region": "us-east-1",
        "event_id": token(random, "br_"),
        "response": {
            "stopReason": "end_turn",
            "metrics": {"latencyMs": size(random, 900)},
            "usage": {
                "inputTokens": given,
                "outputTokens": made,
                "totalTokens": given + made + read,
                "cacheReadInputTokens": read,
                "cacheWriteInputTokens": 0,
            },
        },
    }


def cohere_rerank(random: Random, _when: datetime) -> Call:
    return {
        "provider": "cohere",
        "model": "rerank-v3.5",
        "response": {
            "id": token(random, ""),
            "results": [],
            "meta": {"billed_units": {"search_units": random.randint(1, 4)}},
        },
    }


def openai_like(provider: str, model: str, **more: Callable[[int, int], object]) -> Maker:
    """A provider with OpenAI's body; `more` gives further members of the usage."""

    def make(random: Random, when: datetime) -> Call:
        prompt, output = size(random, 1400), size(random, 320)
        body = chat(random, model, when, prompt, output)
        body["usage"] |= {name: value(prompt, output) for name, value in more.items()}  # type: ignore[operator]
        return {"provider": provider, "response": body}

    return make


Maker = Callable[[Random, datetime], Call]

# How often, and what. The first round uses each once, so that every kind is there.
MAKERS: tuple[tuple[int, Maker], ...] = (
    (30, openai_chat),
    (10, openai_responses),
    (2, lambda r, t: openai_responses(r, t, searches=2)),
    (4, lambda r, t: openai_responses(r, t, tier="flex")),
    (3, lambda r, t: openai_responses(r, t, tier="priority")),
    (10, openai_embeddings),
    (8, openai_batch),
    (2, openai_audio),
    (16, anthropic),
    (6, lambda r, t: anthropic(r, t, short=size(r, 2500))),
    (5, lambda r, t: anthropic(r, t, long=size(r, 5000), model="claude-opus-4-5-20251101")),
    (3, lambda r, t: anthropic(r, t, searches=r.randint(1, 3))),
    (4, lambda r, t: anthropic(r, t, tier="batch", model="claude-haiku-4-5-20251001")),
    (3, lambda r, t: anthropic(r, t, geo="us", model="claude-sonnet-4-6")),
    (14, gemini),
    (2, lambda r, t: gemini(r, t, model="gemini-2.5-pro", middle=260_000)),
    (5, lambda r, t: bedrock(r, t, model=SONNET_ON_BEDROCK, cached=True)),
    (4, lambda r, t: bedrock(r, t, model="amazon.nova-lite-v1:0", cached=False)),
    (8, openai_like("azure", "gpt-4o-2024-11-20")),
    (4, cohere_rerank),
    (6, openai_like("mistral", "mistral-large-2512")),
    (3, openai_like("x-ai", "grok-4.3", num_sources_used=lambda _p, _c: 0)),
    (6, openai_like("deepseek", "deepseek-v4-pro",
                    prompt_cache_hit_tokens=lambda p, _c: p // 2,
                    prompt_cache_miss_tokens=lambda p, _c: p - p // 2)),
    (6, openai_like("groq", "llama-3.3-70b-versatile", total_time=lambda _p, c: c / 400)),
    (3, openai_like("perplexity", "sonar", search_context_size=lambda _p, _c: "low")),
    (4, openai_like("openrouter", "anthropic/claude-haiku-4.5",
                    cost=lambda p, c: round((p + 5 * c) / 1_000_000, 7))),
    (3, openai_like("together", "openai/gpt-oss-120b")),
    (2, openai_like("cerebras", "gpt-oss-120b")),
    (1, openai_like("vllm", "example-internal-7b")),
)  # fmt: skip


def responses() -> list[Call]:
    random = Random(SEED)
    rounds = [maker for _, maker in MAKERS]
    weights = [weight for weight, _ in MAKERS]
    picked = rounds + random.choices(rounds, weights, k=RESPONSES - len(rounds))
    calls: list[Call] = []
    for make in picked:
        when = moment(random)
        calls.append({"timestamp": stamp(when), **make(random, when), **attributes(random)})
    return sorted(calls, key=lambda call: str(call["timestamp"]))


PRICED = (
    # weight, provider, model, typical prompt and completion
    (10, "openai", "gpt-5.4-mini", 1500, 250),
    (6, "openai", "gpt-4.1", 3200, 400),
    (4, "openai", "gpt-5-nano", 700, 120),
    (5, "openai", "text-embedding-3-large", 6000, 0),
    (8, "anthropic", "claude-sonnet-4-5", 2600, 500),
    (5, "anthropic", "claude-haiku-4-5", 1200, 260),
    (8, "google", "gemini-2.5-flash", 2200, 300),
    (3, "google", "gemini-2.5-pro", 5200, 800),
    (4, "aws", "amazon.nova-pro-v1:0", 1800, 300),
    (3, "azure", "gpt-4o", 1500, 280),
    (3, "mistral", "mistral-small-latest", 1400, 220),
    (3, "cohere", "command-r-plus", 1600, 240),
    (2, "deepseek", "deepseek-v4-flash", 2400, 500),
    (2, "groq", "openai/gpt-oss-20b", 900, 200),
    (1, "x-ai", "grok-4.3", 2000, 420),
)


def token_record(random: Random) -> Call:
    weights = [row[0] for row in PRICED]
    _, provider, model, middle, made = random.choices(PRICED, weights)[0]
    prompt = size(random, middle)
    completion = size(random, made) if made else 0
    record: Call = {
        "provider": provider,
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if provider in ("openai", "anthropic", "google") and made and prompt > 1024:
        record["cached_tokens"] = part(random, prompt)
    if model in ("gpt-5.4-mini", "gemini-2.5-pro", "gpt-5-nano"):
        record["reasoning_tokens"] = completion // 4
    if model in ("gpt-5.4-mini", "claude-haiku-4-5") and random.random() < 0.2:
        record["processing"] = "batch"
    return record


KINDS: tuple[Callable[[Random], Call], ...] = (
    lambda r: {"provider": "groq", "model": "whisper-large-v3",
               "usage": {"audio_seconds": r.randint(30, 9000) / 10}},
    lambda r: {"provider": "openai", "model": "gpt-image-1",
               "usage": {"input_tokens": size(r, 60), "output_tokens": 1056,
                         "output_image_tokens": 1056}},
    lambda r: {"provider": "anthropic", "model": "claude-opus-4-5", "service_tier": "standard",
               "usage": {"input_tokens": 24_000, "cache_read_tokens": 18_000,
                         "cache_write_tokens": 4_000, "cache_write_5m_tokens": 1_000,
                         "cache_write_1h_tokens": 3_000, "output_tokens": size(r, 900),
                         "web_searches": 1}},
    lambda r: {"provider": "openai", "model": "gpt-5.4", "service_tier": "flex",
               "usage": {"input_tokens": size(r, 8000), "output_tokens": size(r, 1200)}},
    lambda r: {"provider": "mistral", "model": "mistral-ocr-2505",
               "usage": {"input_document_pages": r.randint(1, 30)}},
    lambda r: {"provider": "openai", "model": "gpt-77-preview",
               "prompt_tokens": size(r, 500), "completion_tokens": size(r, 100)},
)  # fmt: skip


def usage() -> list[Call]:
    random = Random(SEED + 1)
    records: list[Call] = []
    for number in range(RECORDS):
        when = moment(random)
        # The first records are one of each kind that tokens alone do not describe.
        make = KINDS[number] if number < len(KINDS) else token_record
        records.append(
            {
                "event_id": token(random, "evt_"),
                "timestamp": stamp(when),
                **make(random),
                **attributes(random),
            }
        )
    return sorted(records, key=lambda record: str(record["timestamp"]))


def stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def files() -> dict[str, str]:
    """The text of each file by its name."""
    made = {"responses.jsonl": responses(), "usage.jsonl": usage()}
    return {
        name: "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        for name, rows in made.items()
    }


if __name__ == "__main__":
    for file_name, text in files().items():
        (Path(__file__).parent / file_name).write_text(text, encoding="utf-8")
