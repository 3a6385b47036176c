"""Signatures of webhooks, against the vectors of the public specification."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
VECTOR = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""standard-webhooks/standard-webhooks, the tests of its libraries."""


def matches(
    *secrets: str,
    signatures: str = VECTOR,
    timestamp: str = str(AT),
    body: bytes = BODY,
    message: str = MESSAGE,
    now_s: int = AT,
) -> bool:
    return signature.standard_matches(
        secrets or (SECRET,), message, timestamp, body, signatures, now_s=now_s
    )


def test_the_vector_of_the_specification() -> None:
    assert signature.standard(SECRET, MESSAGE, AT, BODY) == VECTOR
    assert matches()


def test_one_of_several_signatures_is_enough() -> None:
    other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    assert matches(signatures=f"{other} v2,{other[3:]} {VECTOR}")
    assert matches("whsec_" + base64.b64encode(b"x" * 24).decode(), SECRET)
    assert not matches(signatures=other)
    assert not matches(signatures=VECTOR.replace("v1,", "v2,"))
    assert not matches(signatures=VECTOR.removeprefix("v1,"))
    assert not matches(signatures="")


def test_what_was_changed_on_the_way() -> None:
    assert not matches(body=BODY + b" ")
    assert not matches(message=MESSAGE + "x")
    assert not matches(timestamp=str(AT + 1))
    assert not matches("whsec_" + base64.b64encode(b"x" * 24).decode())


@pytest.mark.parametrize(("away", "good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_time_within_five_minutes(away: int, good: bool) -> None:
    assert matches(now_s=AT + away) is good


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "٣", "9" * 21, "9" * 20])
def test_what_is_no_time(text: str) -> None:
    assert not matches(timestamp=text)


def test_a_secret_of_another_form_is_its_own_key() -> None:
    plain = "your-webhook-secret"
    assert signature.key_of(plain) == plain.encode()
    shown = signature.standard_secret(plain)
    assert signature.key_of(shown) == plain.encode()
    assert signature.standard_secret(shown) == shown
    one = signature.standard(plain, MESSAGE, AT, BODY)
    assert one == signature.standard(shown, MESSAGE, AT, BODY)
    with pytest.raises(ValueError, match="base64"):
        signature.key_of("whsec_not base64")


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40))
def test_the_plain_signature_is_the_hash_of_the_body_alone(body: bytes, secret: str) -> None:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert signature.plain(secret, body) == expected
    assert signature.plain_matches(secret, body, expected)
    assert signature.plain_matches(secret, body, f"sha256={expected}")
    assert not signature.plain_matches(secret, body + b"x", expected)
    assert not signature.plain_matches(secret, body, "ü")
    assert signature.timed(secret, 5, body) == signature.plain(secret, b"5." + body)
