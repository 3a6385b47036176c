"""Made-up calls: the same for the same seed, shaped like the records that applications send."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Any

Models = tuple[tuple[str, str, int], ...]
MODELS: Models = (
    ("openai", "gpt-4o", 30),
    ("openai", "gpt-4o-mini", 25),
    ("openai", "gpt-4.1", 10),
    ("anthropic", "claude-sonnet-4-5", 15),
    ("anthropic", "claude-haiku-4-5", 10),
    ("google", "gemini-2.5-pro", 5),
    ("mistral", "mistral-large-2512", 5),
)
MANY_MODELS: Models = tuple(
    (provider, model, weight)
    for provider, models in (
        ("openai", "gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-5 gpt-5-mini"),
        ("openai", "gpt-5-nano gpt-5.1 gpt-5.2 gpt-5.4 gpt-5.4-mini o3 o3-mini o4-mini"),
        ("anthropic", "claude-haiku-4-5 claude-sonnet-4-5 claude-sonnet-4-6 claude-opus-4-5"),
        ("anthropic", "claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5"),
        ("google", "gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-3.5-flash"),
        ("google", "gemini-3.1-pro-preview gemini-3.6-flash gemini-3.7-flash"),
        ("mistral", "mistral-large-2512 mistral-medium-3-5 mistral-small-2603 codestral-2508"),
        ("cohere", "command-a command-r command-r-plus"),
        ("groq", "llama-3.3-70b-versatile llama-3.1-8b-instant openai/gpt-oss-120b"),
    )
    for weight, model in enumerate(models.split(), start=1)
)
"""40 models, as a large organization would use."""
_FEATURES = ("search", "chat", "summary", "translation")
_ENVIRONMENTS = ("production", "staging")
PROJECTS = 20
USERS = 500
LONG_PROMPT = 260_000


def usage_record(
    chance: random.Random, number: int, at: datetime, models: Models = MODELS
) -> dict[str, Any]:
    """One usage record of about 340 bytes; a twentieth of the Gemini calls has a long prompt, which
    another price tier applies to."""
    provider, model, _ = chance.choices(models, cum_weights=_bounds(models))[0]
    prompt = chance.randrange(40, 6000)
    if provider == "google" and chance.random() < 0.05:
        prompt += LONG_PROMPT
    completion = chance.randrange(5, 1500)
    record: dict[str, Any] = {
        "event_id": f"evt-{number:012d}",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "provider": provider,
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "project_id": f"project-{chance.randrange(PROJECTS):02d}",
        "user_id": f"user-{chance.randrange(USERS):04d}",
        "environment": chance.choice(_ENVIRONMENTS),
        "latency_ms": chance.randrange(80, 9000),
        "metadata": {
            "customer": f"customer-{chance.randrange(50):02d}",
            "feature": chance.choice(_FEATURES),
        },
    }
    if chance.random() < 0.5:
        record["cached_tokens"] = prompt // 2
    if model in ("gpt-4.1", "gemini-2.5-pro"):
        record["reasoning_tokens"] = completion // 3
    return record


@lru_cache
def _bounds(models: Models) -> list[int]:
    return list(accumulate(weight for _, _, weight in models))


def batches(
    count: int,
    size: int,
    *,
    seed: int = 1,
    over: timedelta = timedelta(hours=1),
    until: datetime,
    models: Models = MODELS,
) -> list[list[dict[str, Any]]]:
    """`count` batches of `size` records with ids of their own, spread over the time before
    `until`: in order when `over` is short (traffic), at random when it is long (a backfill)."""
    chance = random.Random(seed)
    total = count * size
    shuffled = over > timedelta(days=1)
    made: list[list[dict[str, Any]]] = []
    for batch in range(count):
        records: list[dict[str, Any]] = []
        for place in range(size):
            number = batch * size + place
            part = chance.random() if shuffled else number / total
            records.append(usage_record(chance, number, until - over * (1 - part), models))
        made.append(records)
    return made


def body_of(records: list[dict[str, Any]]) -> bytes:
    """A body of `POST /usage/batch`."""
    return json.dumps({"records": records}, separators=(",", ":")).encode()


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
