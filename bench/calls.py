"""Made-up calls: the same for the same seed, shaped like the records that applications send."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

MODELS = (
    ("openai", "gpt-4o", 30),
    ("openai", "gpt-4o-mini", 25),
    ("openai", "gpt-4.1", 10),
    ("anthropic", "claude-sonnet-4-5", 15),
    ("anthropic", "claude-haiku-4-5", 10),
    ("google", "gemini-2.5-pro", 5),
    ("mistral", "mistral-large-2512", 5),
)
_WEIGHTS = [weight for _, _, weight in MODELS]
_FEATURES = ("search", "chat", "summary", "translation")
_ENVIRONMENTS = ("production", "staging")
PROJECTS = 20
USERS = 500
LONG_PROMPT = 260_000


def usage_record(chance: random.Random, number: int, at: datetime) -> dict[str, Any]:
    """One usage record of about 340 bytes; a twentieth of the Gemini calls has a long prompt, which
    another price tier applies to."""
    provider, model, _ = chance.choices(MODELS, _WEIGHTS)[0]
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


def batches(
    count: int, size: int, *, seed: int = 1, over: timedelta = timedelta(hours=1), until: datetime
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
            records.append(usage_record(chance, number, until - over * (1 - part)))
        made.append(records)
    return made


def body_of(records: list[dict[str, Any]]) -> bytes:
    """A body of `POST /usage/batch`."""
    return json.dumps({"records": records}, separators=(",", ":")).encode()


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
