"""Envelopes around a response, taken off to read it: batch lines, events, SDK dumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, at_path

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
