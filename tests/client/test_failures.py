from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops import exceptions as errors
from llm_cost_ops.client.failures import error_from
from llm_cost_ops.client.response import Response

NOW = datetime(2026, 3, 15, tzinfo=UTC)


def failure(status: int, body: Any, **headers: str) -> errors.APIError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from(
        Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, content), NOW
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.APIError),
        (401, errors.AuthenticationError),
        (402, errors.BudgetExceededError),
        (403, errors.PermissionDenied),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (413, errors.APIError),
        (422, errors.APIError),
        (429, errors.RateLimitError),
        (499, errors.APIError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_the_status_makes_the_kind(status: int, kind: type[errors.APIError]) -> None:
    error = failure(
        status, {"error": {"code": "X_1", "message": "went wrong", "request_id": "req_1"}}
    )
    assert type(error) is kind
    assert (error.status_code, error.code, error.message) == (status, "X_1", "went wrong")
    assert error.request_id == "req_1"
    assert error.response.json()["error"]["code"] == "X_1"
    assert str(error) == "went wrong"


@pytest.mark.parametrize("status", [400, 422])
def test_fields_at_fault_make_a_validation_error(status: int) -> None:
    fields = {"prompt_tokens": "must be greater than 0"}
    error = failure(status, {"error": {"code": "VALIDATION_ERROR", "field_errors": fields}})
    assert type(error) is errors.ValidationError
    assert error.field_errors == error.errors == fields
    assert error.message == "prompt_tokens must be greater than 0"
    assert str(error) == error.message
    assert error.status_code == status


def test_the_text_of_a_validation_error_names_the_fields() -> None:
    fields = {"format": "must be one of: csv, json", "nope": "is not a known parameter"}
    error = failure(
        422, {"error": {"message": "The request is not valid.", "field_errors": fields}}
    )
    assert error.message == "The request is not valid."
    assert str(error) == (
        "The request is not valid. "
        "(format: must be one of: csv, json; nope: is not a known parameter)"
    )
    told = {"message": "line 3 date must be a day; nothing was imported",
            "field_errors": {"line 3": "date must be a day"}}  # fmt: skip
    assert str(failure(422, {"error": told})) == told["message"]


def test_fields_with_another_status_do_not() -> None:
    error = failure(409, {"error": {"code": "CONFLICT", "field_errors": {"event_id": "taken"}}})
    assert type(error) is errors.ConflictError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "Cost entry not found"}, "Cost entry not found"),
        ({"message": "no such thing"}, "no such thing"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": {}}, "HTTP 404"),
        ({"error": None}, "HTTP 404"),
        ({}, "HTTP 404"),
        ([], "HTTP 404"),
        (b"", "HTTP 404"),
        (b"<html>404</html>", "HTTP 404"),
        (b"\xff\xfe", "HTTP 404"),
    ],
)
def test_every_documented_form_of_an_error_is_read(body: Any, message: str) -> None:
    error = failure(404, body, x_request_id="req_9")
    assert type(error) is errors.NotFoundError
    assert error.message == message
    assert error.request_id == "req_9"


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_body_breaks_the_reader(status: int, body: bytes) -> None:
    error = failure(status, body)
    assert isinstance(error, errors.APIError)
    assert error.status_code == status
    assert error.message


def test_the_tree_of_errors_is_the_documented_one() -> None:
    for kind in (
        errors.AuthenticationError,
        errors.PermissionDenied,
        errors.NotFoundError,
        errors.ConflictError,
        errors.ValidationError,
        errors.RateLimitError,
        errors.ServerError,
    ):
        assert issubclass(kind, errors.APIError)
    assert issubclass(errors.APIError, errors.CostOpsError)
    assert issubclass(errors.TimeoutError, errors.NetworkError)
    assert issubclass(errors.NetworkError, errors.CostOpsError)
    assert not issubclass(errors.NetworkError, errors.APIError)
    assert errors.AuthorizationError is errors.PermissionDenied
    assert errors.ResourceNotFoundError is errors.NotFoundError


def test_every_error_has_an_int_status_even_without_an_answer() -> None:
    for error in (errors.CostOpsError("x"), errors.NetworkError("x"), errors.TimeoutError("x")):
        assert error.status_code == 0
        assert not error.status_code >= 500
        assert error.response is None
        assert error.code is None


def test_errors_can_be_pickled() -> None:
    error = failure(422, {"error": {"message": "bad", "field_errors": {"a": "b"}}})
    error.response = None
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is errors.ValidationError
    assert (again.message, again.field_errors, again.status_code) == ("bad", {"a": "b"}, 422)
