"""Hosts and headers."""

from __future__ import annotations

import pytest

from llm_cost_ops.server.http.security import host_allowed, security_headers


@pytest.mark.parametrize(
    ("host", "allowed", "answer"),
    [
        (b"anything", ("*",), True),
        (None, ("*",), True),
        (None, ("api.example.com",), False),
        (b"api.example.com", ("api.example.com",), True),
        (b"API.Example.com:8443", ("api.example.com",), True),
        (b"api.example.com.evil.org", ("api.example.com",), False),
        (b"evil-api.example.com", ("api.example.com",), False),
        (b"a.example.com", ("*.example.com",), True),
        (b"a.b.example.com:80", ("*.example.com",), True),
        (b"example.com", ("*.example.com",), False),
        (b"evilexample.com", ("*.example.com",), False),
        (b"[::1]:8080", ("[::1]",), True),
        (b"[::2]:8080", ("[::1]",), False),
    ],
)
def test_hosts(host: bytes | None, allowed: tuple[str, ...], answer: bool) -> None:
    assert host_allowed(host, allowed) is answer


def test_what_an_answer_says_itself_stands() -> None:
    own = [(b"cache-control", b"max-age=60"), (b"content-security-policy", b"default-src 'self'")]
    names = [name for name, _ in security_headers(own, https=True)]
    assert b"cache-control" not in names
    assert b"content-security-policy" not in names
    assert b"strict-transport-security" in names
