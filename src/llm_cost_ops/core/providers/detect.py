"""Which shape a body has, found by what it holds.

A given flavour is tried first and must exist, but the body decides: callers name flavours after
endpoints, and one endpoint answers in several forms.
"""

from __future__ import annotations

from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, at_path
from llm_cost_ops.core.providers.shapes import Profile, Shape, refuse_flavour
from llm_cost_ops.core.providers.toolcalls import count_images

_BY_USAGE_KEY = (
    ("inputTokens", "converse"),
    ("outputTokens", "converse"),
    ("total_input_tokens", "gemini.interactions"),
    ("billed_units", "cohere"),
    ("tokens", "cohere.tokens"),
    ("prompt_audio_seconds", "transcription.mistral"),
    ("total_tokens", "embeddings"),
    ("text_tokens", "embeddings"),
)
_BY_BODY = (
    "bedrock.metrics",
    "bedrock.headers",
    "bedrock.log",
    "bedrock.titan",
    "bedrock.llama",
    "ollama",
    "cohere.meta",
    "ocr",
    "cursor",
    "chat.groq_stream",
)
_BY_LISTS = ("replicate", "meta.metrics", "watsonx", "gemini.predictions")
"""Tried last: lists under common names, whose items may turn out to hold no counts."""


def shape_of(profile: Profile, body: Body, flavour: str | None) -> Shape:
    """The shape to read a body by. Raises UsageError when there is no usage in a known form."""
    if flavour is not None:
        candidates = profile.flavours.get(flavour)
        if candidates is None:
            refuse_flavour(profile)
        for shape in candidates:
            if shape.fits(body):
                return shape
    usage = body.get("usage")
    name = _by_usage(profile, body, cast("Body", usage)) if isinstance(usage, dict) else None
    if name is None and "usageMetadata" in body:
        name = _by_usage_metadata(profile, body)
    if name is None:
        name = _by_body(profile, body)
    if name is None:
        raise UsageError("usage", _missing(body))
    return profile.shapes[name]


def _by_usage_metadata(profile: Profile, body: Body) -> str | None:
    if at_path(body, ("usageMetadata", "responseTokenCount")) is not None:
        return "gemini.live"
    return "gemini" if profile.shapes["gemini"].fits(body) else None


def _missing(body: Body) -> str:
    usage = body.get("usage")
    if usage is not None and not isinstance(usage, dict):
        return "must be an object"
    return "is in no known form" if usage else "is missing: the response reports no usage"


def _by_usage(profile: Profile, body: Body, usage: Body) -> str | None:
    if "prompt_audio_seconds" in usage and "text" in body and usage["prompt_audio_seconds"]:
        return "transcription.mistral"
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return "chat" if "completion_tokens" in usage or "choices" in body else "embeddings"
    if "billable_audio_seconds" in usage:
        return "realtime.x-ai"
    if "input_token_details" in usage or "output_token_details" in usage:
        return "realtime"
    if "input_tokens" in usage or "output_tokens" in usage:
        return _by_input_tokens(profile, body, usage)
    if "seconds" in usage:
        return "transcription.duration" if usage.get("type") == "duration" else "live"
    for key, name in _BY_USAGE_KEY:
        if usage.get(key) is not None:
            return name
    return None


def _by_input_tokens(profile: Profile, body: Body, usage: Body) -> str:
    details = usage.get("input_tokens_details")
    if (
        "cache_read_input_tokens" in usage
        or "cache_creation_input_tokens" in usage
        or ("cache_creation" in usage and details is None)
        or body.get("type") == "message"
    ):
        return "anthropic"
    if isinstance(details, dict) and "output" not in body:
        names = cast("Body", details)
        if "image_tokens" in names or "text_tokens" in names:
            return "images"
    if details is not None or "output" in body or body.get("object") == "response":
        return "responses"
    return profile.prefers


def _by_body(profile: Profile, body: Body) -> str | None:
    for name in _BY_BODY:
        if profile.shapes[name].fits(body):
            return _annotated(body) if name == "ocr" else name
    result = at_path(body, ("result", "usage"))
    if isinstance(result, dict):
        return "workers" if "prompt_tokens" in result else "workers.decisions"
    name = _by_content(body)
    if name is not None:
        return name
    return next((name for name in _BY_LISTS if profile.shapes[name].fits(body)), None)


def _annotated(body: Body) -> str:
    return "ocr" if body.get("document_annotation") is None else "ocr_annotated"


def _by_content(body: Body) -> str | None:
    """Forms that report no usage: timed transcripts, counted images, moderation verdicts."""
    if body.get("duration") is not None and "text" in body:
        return "transcription.verbose"
    if count_images(body):
        return "images.counted"
    return "moderations" if _holds_verdicts(body.get("results")) else None


def _holds_verdicts(results: object) -> bool:
    if not isinstance(results, list) or not results:
        return False
    return all(
        isinstance(item, dict) and "category_scores" in item
        for item in cast("list[object]", results)
    )
