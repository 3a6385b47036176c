from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from llm_cost_ops import track_cost
from llm_cost_ops.exceptions import ConfigurationError, ServerError, ValidationError
from llm_cost_ops.testing import FakeServer

USAGE = SimpleNamespace(prompt_tokens=1000, completion_tokens=500, total_tokens=1500)
RESPONSE = {
    "id": "chatcmpl-9aBcDeFgHiJkLmNoPqRsT",
    "object": "chat.completion",
    "model": "unit-1",
    "service_tier": "default",
    "choices": [{"message": {"content": "a private answer"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 200},
    },
}


class Model:
    """Like a pydantic model of a provider's SDK."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    def model_dump(self) -> dict[str, Any]:
        return self._body


def calling(fake: FakeServer, result: Any, **options: Any) -> Any:
    """A tracked function that returns `result`."""
    options = {"model": "unit-1", "provider": "openai", **options}

    @track_cost(fake.client(), **options)
    def generate(prompt: str) -> Any:
        """Ask a model."""
        return result

    return generate


@pytest.mark.parametrize(
    "usage",
    [
        USAGE,
        vars(USAGE),
        Model(vars(USAGE)),
        Model({"usage": vars(USAGE)}),
        SimpleNamespace(usage=USAGE, model="other"),
    ],
    ids=["object", "dict", "model", "response", "namespace"],
)
def test_content_and_usage_are_passed_on_and_recorded(fake: FakeServer, usage: Any) -> None:
    result = ("Hello", usage)
    generate = calling(fake, result)
    assert generate("Hi") is result
    (row,) = fake.rows
    assert row["total_cost"] == Decimal("0.025")
    assert (row["model"], row["provider"], row["total_tokens"]) == ("unit-1", "openai", 1500)
    assert row["latency_ms"] >= 0
    assert (generate.tracking.recorded, generate.tracking.failed) == (1, 0)
    assert generate.__name__ == "generate"
    assert generate.__doc__ == "Ask a model."


@pytest.mark.parametrize("response", [RESPONSE, Model(RESPONSE)], ids=["dict", "model"])
def test_a_response_is_read_and_its_content_stays_here(fake: FakeServer, response: Any) -> None:
    calling(fake, response, model=None)("Hi")
    (row,) = fake.rows
    assert row["usage"] == {"input_tokens": 1000, "cache_read_tokens": 200, "output_tokens": 500}
    assert row["event_id"] == RESPONSE["id"]
    assert row["model"] == "unit-1"
    assert b"private" not in fake.requests[0].body


def test_the_provider_is_known_by_the_model() -> None:
    fake = FakeServer()
    calling(fake, ("x", USAGE), model="gpt-4", provider=None)("Hi")
    calling(fake, ("x", {"input_tokens": 10, "output_tokens": 5}), model="claude-3-opus-20240229",
            provider=None)("Hi")  # fmt: skip
    assert [row["provider"] for row in fake.rows] == ["openai", "anthropic"]
    assert [row["cost_status"] for row in fake.rows] == ["priced", "priced"]
    with pytest.raises(ConfigurationError, match="whose model is 'llama-3'"):
        track_cost(fake.client(), model="llama-3")


def test_attribution_goes_into_each_record(fake: FakeServer) -> None:
    calling(fake, ("x", USAGE), user_id="u", tags=["t"], metadata={"feature": "chat"})("Hi")
    (row,) = fake.rows
    assert (row["user_id"], row["tags"], row["metadata"]) == ("u", ["t"], {"feature": "chat"})


@pytest.mark.parametrize(
    "result",
    [
        "no usage",
        None,
        5,
        ("x", None),
        ("x", {}),
        (),
        {"usage": {}},
        MagicMock(),
        ("x", {"usage": 5}),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, MagicMock) else repr(given),
)
def test_a_result_without_usage_is_passed_on_and_counted(
    fake: FakeServer, caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    generate = calling(fake, result)
    assert generate("Hi") is result
    assert (generate.tracking.recorded, generate.tracking.failed) == (0, 1)
    assert "usage not recorded" in caplog.text
    assert not fake.rows


def test_a_failing_server_costs_the_caller_nothing(
    fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    generate = calling(fake, ("x", USAGE))
    fake.fail_next(500, times=4)
    assert generate("Hi") == ("x", USAGE)
    assert generate.tracking.failed == 1
    assert isinstance(generate.tracking.last_error, ServerError)
    assert "usage not recorded: injected 500" in caplog.text
    generate("Hi")
    assert generate.tracking.recorded == 1


def test_strict_raises(fake: FakeServer) -> None:
    generate = calling(fake, ("x", USAGE), strict=True)
    fake.fail_next(500, times=4)
    with pytest.raises(ServerError):
        generate("Hi")
    with pytest.raises(ValidationError, match="reports no usage"):
        calling(fake, ("x", {}), strict=True)("Hi")
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    with pytest.raises(ConfigurationError, match="zero in every kind"):
        calling(fake, ("x", zero), strict=True)("Hi")


def test_an_error_of_the_function_is_its_own(fake: FakeServer) -> None:
    @track_cost(fake.client(), model="gpt-4")
    def generate() -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        generate()
    assert not fake.requests
    assert generate.tracking.failed == 0


def test_a_response_seen_before_is_recorded_once(
    fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for user in ("a", "b"):
        generate = calling(fake, RESPONSE, user_id=user, strict=True)
        assert generate("Hi") is RESPONSE
    assert len(fake.rows) == 1
    assert (generate.tracking.duplicates, generate.tracking.failed) == (1, 0)
    assert "was recorded before" in caplog.text


@pytest.mark.parametrize(
    ("response_id", "count"), [("chatcmpl-1", 2), ("x" * 19, 2), ("x" * 20, 1)]
)
def test_a_short_response_id_is_no_identity(fake: FakeServer, response_id: str, count: int) -> None:
    for _ in range(2):
        calling(fake, {**RESPONSE, "id": response_id})("Hi")
    assert len(fake.rows) == count


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_coroutines_with_either_client(fake: FakeServer, kind: str) -> None:
    async def run() -> Any:
        client = fake.client() if kind == "sync" else fake.async_client()

        @track_cost(client, model="unit-1", provider="openai")
        async def generate(prompt: str) -> tuple[str, Any]:
            await asyncio.sleep(0)
            return prompt, USAGE

        results = await asyncio.gather(*(generate(str(n)) for n in range(5)))
        fake.fail_next(400)
        await generate("refused")
        assert (generate.tracking.recorded, generate.tracking.failed) == (5, 1)
        if kind == "async":
            await client.http_client.aclose()  # type: ignore[union-attr]
        return results

    assert [content for content, _ in asyncio.run(run())] == list("01234")
    assert len(fake.rows) == 5


def test_what_cannot_be_tracked_is_refused_at_once(fake: FakeServer) -> None:
    def stream() -> Iterator[int]:
        yield 1

    async def astream() -> AsyncIterator[int]:
        yield 1

    def plain() -> int:
        return 1

    for function in (stream, astream):
        with pytest.raises(ConfigurationError, match="generator"):
            track_cost(fake.client(), model="gpt-4")(function)
    with pytest.raises(ConfigurationError, match="needs a CostOpsClient"):
        track_cost(fake.async_client(), model="gpt-4")(plain)


def test_methods_can_be_tracked(fake: FakeServer) -> None:
    class Bot:
        @track_cost(fake.client(), model="unit-1", provider="openai")
        def ask(self, text: str) -> tuple[str, Any]:
            return text, USAGE

    assert Bot().ask("a")[0] == "a"
    assert len(fake.rows) == 1
