"""Usage blocks as inclusive counts per usage kind, for logs that keep the block but not the body.

Logs and exports mix the conventions of the providers, so which counts contain which is decided
here per source, and stated in the record's metadata where a source leaves it open.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.importers.fields import count_of, object_of, text_of

# A region that says nothing about the price: any, or a model that does not offer the choice.
_NO_REGION = frozenset({"not_available", "global"})


def without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if count}


def anthropic_counts(usage: Mapping[str, object]) -> dict[str, int]:
    """Anthropic's block: the parts of the input are disjoint, thinking is inside the output.

    Where the lifetimes do not add up to the cache writes, the rest is left without one.
    """
    written = object_of(usage.get("cache_creation"), "usage.cache_creation")
    tools = object_of(usage.get("server_tool_use"), "usage.server_tool_use")
    output = object_of(usage.get("output_tokens_details"), "usage.output_tokens_details")
    short = _count(written, "ephemeral_5m_input_tokens")
    long = _count(written, "ephemeral_1h_input_tokens")
    write = max(_count(usage, "cache_creation_input_tokens"), short + long)
    read = _count(usage, "cache_read_input_tokens")
    return without_zeros(
        {
            "input_tokens": _count(usage, "input_tokens") + read + write,
            "cache_read_tokens": read,
            "cache_write_tokens": write,
            "cache_write_5m_tokens": short,
            "cache_write_1h_tokens": long,
            "output_tokens": _count(usage, "output_tokens"),
            "output_reasoning_tokens": _count(output, "thinking_tokens"),
            "web_searches": _count(tools, "web_search_requests"),
        }
    )


def anthropic_terms(usage: Mapping[str, object]) -> dict[str, str | None]:
    """What of an Anthropic block selects the price: the served tier, batch and the region."""
    tier = text_of(usage.get("service_tier"), "usage.service_tier")
    geo = text_of(usage.get("inference_geo"), "usage.inference_geo")
    fast = text_of(usage.get("speed"), "usage.speed") == "fast"
    return {
        "service_tier": "fast" if fast else (None if tier == "batch" else tier),
        "processing": "batch" if tier == "batch" else None,
        "region": None if geo in _NO_REGION else geo,
    }


def openai_counts(usage: Mapping[str, object]) -> tuple[dict[str, int], bool]:
    """An OpenAI-shaped block, as gateways keep it for every provider: prompt and completion contain
    their details.

    The second value says that this could not be true: more tokens were read from or written to the
    cache than the prompt holds. Such a block keeps the cache apart, and the parts are added up.
    """
    given = object_of(usage.get("prompt_tokens_details"), "usage.prompt_tokens_details")
    made = object_of(usage.get("completion_tokens_details"), "usage.completion_tokens_details")
    tools = object_of(usage.get("server_tool_use"), "usage.server_tool_use")
    times = object_of(
        given.get("cache_creation_token_details"), "usage.cache_creation_token_details"
    )
    short = _count(times, "ephemeral_5m_input_tokens")
    long = _count(times, "ephemeral_1h_input_tokens")
    read = max(_count(given, "cached_tokens"), _count(usage, "cache_read_input_tokens"))
    write = max(
        _count(given, "cache_creation_tokens"),
        _count(given, "cache_write_tokens"),
        _count(usage, "cache_creation_input_tokens"),
        short + long,
    )
    total, apart = inclusive_input(_count(usage, "prompt_tokens", "input_tokens"), read, write)
    counts = {
        "input_tokens": total,
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "input_audio_tokens": _count(given, "audio_tokens"),
        "input_image_tokens": _count(given, "image_tokens"),
        "input_video_tokens": _count(given, "video_tokens"),
        "input_tool_tokens": _count(given, "tool_use_tokens"),
        "output_tokens": _count(usage, "completion_tokens", "output_tokens"),
        "output_reasoning_tokens": _count(made, "reasoning_tokens"),
        "output_audio_tokens": _count(made, "audio_tokens"),
        "output_image_tokens": _count(made, "image_tokens"),
        "web_searches": max(
            _count(given, "web_search_requests"), _count(tools, "web_search_requests")
        ),
    }
    return without_zeros(counts), apart


def inclusive_input(prompt: int, read: int, write: int) -> tuple[int, bool]:
    """All input tokens, from a prompt count that should contain the cache but may not.

    Some logs added the reads and not the writes, others neither; only an impossible count shows it.
    """
    if prompt >= read + write:
        return prompt, False
    return (prompt + write if prompt >= read > 0 else prompt + read + write), True


def _count(block: Mapping[str, object], *names: str) -> int:
    for name in names:
        found = count_of(block.get(name), f"usage.{name}")
        if found is not None:
            return found
    return 0
