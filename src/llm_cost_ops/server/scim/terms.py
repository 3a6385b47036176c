"""Between what clients send and what the library reads: payloads, versions, faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    PatchOp,
    Resource,
    ResponseParameters,
    SCIMException,
    SearchRequest,
)

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.http.problems import Problem, problem_of
from llm_cost_ops.server.scim.asked import Answer, Asked
from llm_cost_ops.server.scim.bounds import MAX_COUNT, MAX_FILTER, MAX_PATCH_OPERATIONS
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.resources import POLICY

R = TypeVar("R", bound="Resource[Any]")
_TAKEN = frozenset({"A user with this", "A team of this", "A team with this"})


@contextmanager
def in_scim_terms() -> Generator[None]:
    """Turn what the library and the rooms below refuse into problems with SCIM's keywords."""
    try:
        yield
    except SCIMException as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):  # its own text repeats the rejected input
            raise _first(cause) from None
        raise refusal(int(error.status), error.detail, error.scim_type or None) from None
    except ValidationError as error:
        raise _first(error) from None
    except DomainError as error:
        problem = problem_of(error, "POST")
        taken = error.message.startswith(tuple(_TAKEN))
        if problem.status == 409 and taken:
            raise refusal(409, error.message, "uniqueness") from None
        raise problem from None


def _first(error: ValidationError) -> Problem:
    told = Error.from_validation_errors(error)[0]
    return refusal(told.status or 400, told.detail or "The request is not valid.", told.scim_type)


def version_of(resource: Resource[Any]) -> str:
    """The version of a resource: a digest of all that a client sees of it. Weak, because
    attributes may be left out of an answer."""
    seen = resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    seen.pop("meta", None)
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def check_version(asked: Asked, resource: Resource[Any]) -> None:
    """Raises Problem 412 when the resource is not of a version that the request is for."""
    if asked.if_match is not None and not _matches(asked.if_match, version_of(resource)):
        raise refusal(412, "The resource was changed meanwhile: read it again.")


def _matches(header: str, version: str) -> bool:
    wanted = {each.strip().removeprefix("W/") for each in header.split(",")}
    return "*" in wanted or version.removeprefix("W/") in wanted


def shown(asked: Asked, resource: Resource[Any], status: int = 200) -> Answer:
    """A resource as it is answered: 304 without it when the client has this version."""
    version = version_of(resource)
    location = resource.meta.location if resource.meta else None
    if status == 200 and asked.if_none_match and _matches(asked.if_none_match, version):
        return Answer(304, etag=version, location=location)
    parameters = response_parameters(type(resource), asked.query)
    return Answer(status, dumped(resource, parameters, version), version, location)


def dumped(
    resource: Resource[Any],
    parameters: ResponseParameters[Any] | None,
    version: str | None = None,
) -> dict[str, Any]:
    """A resource with the attributes that were asked for."""
    if resource.meta is not None:
        resource.meta.version = version or version_of(resource)
    return resource.model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters
    )


def response_parameters(
    model: type[Resource[Any]], query: Mapping[str, str]
) -> ResponseParameters[Any]:
    """Which attributes a client wants. Raises what `in_scim_terms` reads."""
    wanted = {name: query[name] for name in ("attributes", "excludedAttributes") if query.get(name)}
    _check_lengths(wanted)
    kind: Any = ResponseParameters
    return kind[model].model_validate(wanted)


def search_of(model: Any, query: Mapping[str, Any]) -> SearchRequest[Any]:
    """A query. A page has at most MAX_COUNT resources. Raises what `in_scim_terms` reads."""
    given = {
        name: query[name]
        for name in (
            "attributes",
            "excludedAttributes",
            "filter",
            "sortBy",
            "sortOrder",
            "startIndex",
            "count",
        )
        if query.get(name) not in (None, "")
    }
    _check_lengths(given)
    for name in ("startIndex", "count"):
        given[name] = _whole(name, given.get(name, MAX_COUNT if name == "count" else 1))
    kind: Any = SearchRequest
    found: SearchRequest[Any] = kind[model].model_validate(given)
    found.count = min(MAX_COUNT if found.count is None else found.count, MAX_COUNT)
    return found


def _whole(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return value
    text = str(value)
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
        raise refusal(400, f"{name} must be a whole number", "invalidValue")
    if len(text) > 9:
        raise refusal(400, f"{name} must be below 1000000000", "invalidValue")
    return int(text)


def _check_lengths(query: Mapping[str, object]) -> None:
    for name, value in query.items():
        if isinstance(value, str) and len(value) > MAX_FILTER:
            keyword = "invalidFilter" if name == "filter" else "invalidValue"
            raise refusal(400, f"{name} has more than {MAX_FILTER} characters", keyword)


def resource_of(model: type[R], body: Mapping[str, Any], context: Context) -> R:
    """The resource of a body. Raises what `in_scim_terms` reads."""
    return model.model_validate(dict(body), scim_ctx=context, scim_policy=POLICY)


def patched(resource: R, body: Mapping[str, Any]) -> R:
    """A copy of the resource with the operations of a PATCH applied. Raises what `in_scim_terms`
    reads."""
    operations = next((v for k, v in body.items() if k.lower() == "operations"), None)
    if isinstance(operations, list):
        _check_operations(operations)  # pyright: ignore[reportUnknownArgumentType]
    kind: Any = PatchOp
    operation = kind[type(resource)].model_validate(
        dict(body), scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY
    )
    made = resource.model_copy(deep=True)
    operation.patch(made, POLICY)
    return made


def _check_operations(operations: list[Any]) -> None:
    if len(operations) > MAX_PATCH_OPERATIONS:
        raise refusal(413, f"A PATCH has at most {MAX_PATCH_OPERATIONS} operations.")
    for each in operations:
        path = each.get("path") if isinstance(each, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(path, str) and len(path) > MAX_FILTER:
            raise refusal(400, f"path has more than {MAX_FILTER} characters", "invalidPath")


def given(body: Mapping[str, Any], name: str) -> Any:
    """An attribute of a payload, whose names are read in any case; None when it is absent."""
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


Work = Callable[[], Answer]
