"""`track_cost`: record what a function's LLM calls used, without getting in their way."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, cast

from llm_cost_ops.client.amount import exact
from llm_cost_ops.client.async_client import AsyncCostOpsClient
from llm_cost_ops.client.catalog import provider_of
from llm_cost_ops.client.fields import Attribution
from llm_cost_ops.client.sync_client import CostOpsClient
from llm_cost_ops.exceptions import ConfigurationError, ConflictError, ValidationError

P = ParamSpec("P")
R = TypeVar("R")
P_call = ParamSpec("P_call")
R_co = TypeVar("R_co", covariant=True)

LOG = logging.getLogger("llm_cost_ops.track")
UNIQUE_ID_LENGTH = 20
MAX_DEPTH = 20


class Tracking:
    """What became of the calls of one decorated function."""

    def __init__(self) -> None:
        self.recorded = 0
        self.duplicates = 0
        self.failed = 0
        self.last_error: Exception | None = None
        self._lock = Lock()

    def note(self, error: Exception | None) -> None:
        with self._lock:
            if error is None:
                self.recorded += 1
            elif isinstance(error, ConflictError):
                self.duplicates += 1
            else:
                self.failed += 1
                self.last_error = error


class Tracked(Protocol[P_call, R_co]):
    """The decorated function; `tracking` counts its calls."""

    tracking: Tracking

    def __call__(self, *args: P_call.args, **kwargs: P_call.kwargs) -> R_co: ...

    def __get__(self, instance: object, owner: Any = None, /) -> Callable[..., R_co]: ...


def track_cost(
    client: CostOpsClient | AsyncCostOpsClient,
    model: str | None = None,
    *,
    provider: str | None = None,
    api_flavor: str | None = None,
    strict: bool = False,
    **attribution: Unpack[Attribution],
) -> Callable[[Callable[P, R]], Tracked[P, R]]:
    """Decorate a function that makes one LLM call and returns `(content, usage)` or the response.

    What it returns is passed on untouched; the usage is read here, and only counts, model, tier and
    response id are sent, never content. `attribution` goes into each record (user_id, project_id,
    tags, metadata, ...). `provider` is known by the model's name where it can be.

    Without `strict` a record that fails is logged, counted in `function.tracking` and otherwise
    ignored: the function's caller must not pay for it. A response seen before (a cached answer)
    counts as a duplicate. An async function may use either client; a synchronous function needs
    CostOpsClient. Generators are refused: collect the stream and return its usage. The record is
    sent before the function returns, so give the client a `timeout` that its callers can bear.
    """
    if model is not None and provider is None and provider_of(model) is None:
        raise ConfigurationError(f"whose model is {model!r}? give track_cost a provider")

    def record_of(result: object, seconds: float) -> dict[str, Any]:
        record = read_result(result, model, provider, api_flavor)
        return {**record, "latency_ms": round(seconds * 1000), **attribution}

    def decorate(function: Callable[P, R]) -> Tracked[P, R]:
        tracking = Tracking()
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                "track_cost cannot follow a generator: return its usage instead"
            )
        if inspect.iscoroutinefunction(function):
            wrapper = _wrap_async(client, function, record_of, tracking, strict)
        elif isinstance(client, CostOpsClient):
            wrapper = _wrap_sync(client, function, record_of, tracking, strict)
        else:
            raise ConfigurationError("a synchronous function needs a CostOpsClient to be tracked")
        tracked = cast("Tracked[P, R]", wrapper)
        tracked.tracking = tracking
        return tracked

    return decorate


RecordOf = Callable[[object, float], dict[str, Any]]


def _wrap_sync(
    client: CostOpsClient,
    function: Callable[P, R],
    record_of: RecordOf,
    tracking: Tracking,
    strict: bool,
) -> Callable[P, R]:
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        try:
            client.usage.create(record_of(result, time.perf_counter() - start))
        except Exception as error:
            _failed(function, error, tracking, strict)
        else:
            tracking.note(None)
        return result

    return wrapper


def _wrap_async(
    client: CostOpsClient | AsyncCostOpsClient,
    function: Callable[P, Awaitable[Any]],
    record_of: RecordOf,
    tracking: Tracking,
    strict: bool,
) -> Callable[P, Coroutine[Any, Any, Any]]:
    async def store(record: dict[str, Any]) -> None:
        if isinstance(client, AsyncCostOpsClient):
            await client.usage.create(record)
        else:
            import asyncio

            await asyncio.to_thread(client.usage.create, record)

    @wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        start = time.perf_counter()
        result = await function(*args, **kwargs)
        try:
            await store(record_of(result, time.perf_counter() - start))
        except Exception as error:
            _failed(function, error, tracking, strict)
        else:
            tracking.note(None)
        return result

    return wrapper


def _failed(
    function: Callable[..., object], error: Exception, tracking: Tracking, strict: bool
) -> None:
    tracking.note(error)
    if isinstance(error, ConflictError):
        LOG.info("%s: this response was recorded before", function.__qualname__)
        return
    if strict:
        raise error
    LOG.warning("%s: usage not recorded: %s", function.__qualname__, error)


def read_result(
    result: object, model: str | None, provider: str | None, api_flavor: str | None
) -> dict[str, Any]:
    """The usage record of what a tracked function returned.

    Raises ValidationError when it reports no usage, or one that cannot be true.
    """
    from llm_cost_ops.core.errors import DomainError
    from llm_cost_ops.core.providers.extract import extract

    body = _body_of(result)
    named = model or body.get("model")
    owner = provider or (provider_of(named) if isinstance(named, str) else None)
    if owner is None:
        raise ConfigurationError("the provider of this call is not known: give track_cost one")
    try:
        found = extract(owner, {"model": named, **body}, api_flavor)
    except DomainError as error:
        raise ValidationError(
            error.message, field_errors=error.field_errors, status_code=0, code=error.code
        ) from error
    if not found.usage:
        raise ConfigurationError("the usage is zero in every kind: nothing to record")
    response_id = found.response_id or ""
    return {
        "provider": owner,
        "model": model or found.model,
        "usage": found.usage,
        # Some local servers count from chatcmpl-1 again and again; only a long id is an identity.
        "event_id": response_id if len(response_id) >= UNIQUE_ID_LENGTH else None,
        "service_tier": found.service_tier,
        "region": found.region,
        "processing": found.processing,
    }


def _body_of(result: object) -> dict[str, Any]:
    if isinstance(result, tuple):
        parts = cast("tuple[object, ...]", result)
        usage = _fields(parts[-1]) if parts else {}
        return usage if isinstance(usage.get("usage"), dict) else {"usage": usage}
    return _fields(result)


def _fields(value: object) -> dict[str, Any]:
    found = _plain(value)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _plain(value: object, depth: int = 0) -> Any:
    """Provider objects as the JSON they came from: mappings, pydantic models, plain objects."""
    if isinstance(value, float):
        return exact(value)
    if depth > MAX_DEPTH or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): _plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in cast("list[Any]", value)]
    for name in ("model_dump", "to_dict", "dict"):
        dump = getattr(value, name, None)
        if callable(dump):
            return _plain(dump(), depth + 1)
    return _plain(vars(value), depth + 1) if hasattr(value, "__dict__") else None
