"""Which shape a body has: envelopes taken off, then the shape found by what the body holds.

A given flavour is tried first and must exist, but the body decides: callers name flavours after
endpoints, and one endpoint answers in several forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.shapes import Body, Profile, Shape, at_path, refuse_flavour

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
_MAX_ENVELOPES = 4


class Opened:
    """A body without its envelopes: `body` reports the usage, `outer` is what was received."""

    __slots__ = ("body", "outer", "processing")

    def __init__(self, body: Body, outer: Body, processing: str | None) -> None:
        self.body = body
        self.outer = outer
        self.processing = processing


def open_envelopes(received: Body) -> Opened:
    """Take off batch lines, events and wrappers. Raises UsageError when a batch item failed."""
    body, processing = received, None
    for _ in range(_MAX_ENVELOPES):
        if isinstance(body.get("usage"), dict):
            break
        for opener in _OPENERS:
            opened = opener(body)
            if opened is not None:
                body, batch = opened
                processing = "batch" if batch else processing
                break
        else:
            break
    return Opened(body, received, processing)


_Opened = tuple[Body, bool] | None


def _batch_line(body: Body) -> _Opened:
    """`{custom_id, response: {status_code, body}}` of OpenAI and those that follow it."""
    if "custom_id" not in body or "response" not in body:
        return None
    response = body["response"]
    if not isinstance(response, dict):
        raise UsageError("response", "the batch line holds an error, not a response")
    inner = cast("Body", response).get("body", cast("object", response))
    if not isinstance(inner, dict):
        raise UsageError("response.body", "must be an object")
    return cast("Body", inner), True


def _batch_result(body: Body) -> _Opened:
    """`{custom_id, result: {type, message}}` of Anthropic."""
    result = body.get("result")
    if "custom_id" not in body or not isinstance(result, dict):
        return None
    message = cast("Body", result).get("message")
    if not isinstance(message, dict):
        raise UsageError("result", "the batch result did not succeed, so it has no usage")
    return cast("Body", message), True


def _batch_answer(body: Body) -> _Opened:
    """`{batch_result: {response: {<method>: body}}}` of xAI."""
    response = at_path(body, ("batch_result", "response"))
    if not isinstance(response, dict):
        return None
    inner = next(iter(cast("Body", response).values()), None)
    return (cast("Body", inner), True) if isinstance(inner, dict) else None


def _model_output(body: Body) -> _Opened:
    """`{recordId, modelInput, modelOutput}` of Bedrock batch inference."""
    output = body.get("modelOutput")
    return (cast("Body", output), True) if isinstance(output, dict) else None


def _wrapped_response(body: Body) -> _Opened:
    """Events `{type, response}`, and batch lines of Gemini `{key, response}`."""
    response = body.get("response")
    if not isinstance(response, dict):
        return None
    batch = "usageMetadata" in response and ("key" in body or "processed_time" in body)
    return cast("Body", response), batch


def _wrapped_event(body: Body) -> _Opened:
    """ConverseStream `{metadata}`, Cohere `{delta}`, Interactions `{interaction}`, `{body}`."""
    for key in ("metadata", "delta", "interaction", "body"):
        inner = body.get(key)
        if isinstance(inner, dict) and isinstance(cast("Body", inner).get("usage"), dict):
            return cast("Body", inner), False
    return None


def _http_headers(body: Body) -> _Opened:
    """Headers as boto3 returns them, lower-cased so that the shape can name them."""
    if "headers" in body and isinstance(body["headers"], dict):
        headers = cast("Body", body["headers"])
        if all(name == name.lower() for name in headers):
            return None
    else:
        found = at_path(body, ("ResponseMetadata", "HTTPHeaders"))
        headers = cast("Body", found) if isinstance(found, dict) else body
        if not any(name.lower().startswith("x-amzn-bedrock-") for name in headers):
            return None
    kept = {name.lower(): value for name, value in headers.items()}
    kept = {name: value for name, value in kept.items() if name.startswith("x-amzn-")}
    return {**body, "headers": kept}, False


def _snake_case(body: Body) -> _Opened:
    """The google-genai SDK dumps snake_case; the wire form is camelCase."""
    block = body.get("usage_metadata")
    if not isinstance(block, dict):
        return None
    wire: dict[str, object] = {"usageMetadata": _camel(cast("object", block), 0)}
    for ours, theirs in (("modelVersion", "model_version"), ("responseId", "response_id")):
        wire[ours] = body.get(theirs)
    candidates = body.get("candidates")
    if isinstance(candidates, list):
        wire["candidates"] = [
            {"groundingMetadata": _camel(at_path(item, ("grounding_metadata",)), 0)}
            for item in cast("list[object]", candidates)
        ]
    return wire, False


def _camel(value: object, depth: int) -> object:
    if isinstance(value, dict) and depth < 4:
        pairs = cast("Body", value).items()
        return {_camel_name(name): _camel(item, depth + 1) for name, item in pairs}
    if isinstance(value, list) and depth < 4:
        return [_camel(item, depth + 1) for item in cast("list[object]", value)]
    return cast("object", value)


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


_OPENERS: tuple[Callable[[Body], _Opened], ...] = (
    _batch_line,
    _batch_result,
    _batch_answer,
    _model_output,
    _wrapped_response,
    _wrapped_event,
    _http_headers,
    _snake_case,
)


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
    if "prompt_audio_seconds" in usage and "choices" not in body and usage["prompt_audio_seconds"]:
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
    if (
        "cache_read_input_tokens" in usage
        or "cache_creation_input_tokens" in usage
        or body.get("type") == "message"
    ):
        return "anthropic"
    details = usage.get("input_tokens_details")
    if isinstance(details, dict) and "output" not in body:
        names = cast("Body", details)
        if "image_tokens" in names or "text_tokens" in names:
            return "images"
    if details is not None or "output" in body or "output_tokens_details" in usage:
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
    if _holds(body.get("data"), ("url", "b64_json")):
        return "images.counted"
    if _holds(body.get("results"), ("category_scores", "categories")):
        return "moderations"
    return None


def _holds(items: object, keys: tuple[str, ...]) -> bool:
    """Whether every item of a non-empty list has one of the keys."""
    return (
        isinstance(items, list)
        and bool(cast("list[object]", items))
        and all(
            isinstance(item, dict) and any(key in item for key in keys)
            for item in cast("list[object]", items)
        )
    )
