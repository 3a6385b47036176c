"""What a type checker sees. `assert_type` is checked when the tests are type-checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from llm_cost_ops import (
    AsyncCostOpsClient,
    CostOpsClient,
    CostRecord,
    Page,
    UsageRecord,
    track_cost,
)
from llm_cost_ops.client.pages import BatchResult
from llm_cost_ops.client.resources.usage import AsyncUsage, Usage
from llm_cost_ops.client.rows import CostSummary, Estimate


def synchronous(client: CostOpsClient) -> None:
    assert_type(client.usage.create(provider="openai", model="m", prompt_tokens=1), UsageRecord)
    assert_type(client.usage.batch_create([]), BatchResult[UsageRecord])
    assert_type(client.costs.list(model=["a"], limit=5), Page[CostRecord])
    assert_type(client.costs.list_stream(), Iterator[CostRecord])
    assert_type(client.costs.summary(period="today"), CostSummary)
    assert_type(client.costs.delete("id"), None)
    assert_type(client.estimate(provider="openai", model="m", prompt_tokens=1), Estimate)
    assert_type(client.estimate([{}]), Page[Estimate])


def asynchronous(client: AsyncCostOpsClient) -> None:
    _ = assert_type(client.usage.create({}), Coroutine[Any, Any, UsageRecord])
    _ = assert_type(client.costs.list(), Coroutine[Any, Any, Page[CostRecord]])
    assert_type(client.costs.list_stream(), AsyncIterator[CostRecord])


def decorated(client: CostOpsClient) -> None:
    @track_cost(client, model="gpt-4")
    def generate(prompt: str) -> tuple[str, int]:
        return prompt, 0

    assert_type(generate("x"), tuple[str, int])
    assert_type(generate.tracking.failed, int)


def test_the_functions_above_are_for_the_type_checker() -> None:
    checks: list[Callable[..., None]] = [synchronous, asynchronous, decorated]
    assert all(callable(check) for check in checks)


def test_methods_keep_their_names_and_documentation() -> None:
    client = CostOpsClient(api_key="k")
    assert client.usage.create.__name__ == "create"
    assert "Record one call" in (client.usage.create.__doc__ or "")
    assert Usage.create.__doc__ == client.usage.create.__doc__ == AsyncUsage.create.__doc__
    assert "Iterate over" in (Usage.list_stream.__doc__ or "")
