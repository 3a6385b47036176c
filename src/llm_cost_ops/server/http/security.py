"""Headers of every answer, and the two questions about where a request came to and from."""

from __future__ import annotations

from collections.abc import Sequence

API_VERSION = b"v1"
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-api-version", API_VERSION),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),  # the filter it switches off was itself a hole
    # "no-referrer" would make browsers send `Origin: null` with the forms of our own pages
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE = (b"cache-control", b"no-store")
CONTENT_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
)


def security_headers(
    present: Sequence[tuple[bytes, bytes]], *, https: bool
) -> list[tuple[bytes, bytes]]:
    """What has to be added to the headers of an answer; what it already says itself stands."""
    added = list(ALWAYS)
    names = {name for name, _ in present}
    if b"cache-control" not in names:
        added.append(NO_STORE)
    if b"content-security-policy" not in names:
        added.append(CONTENT_POLICY)
    if https:
        added.append(_HSTS)
    return added


def host_allowed(host: bytes | None, allowed: Sequence[str]) -> bool:
    """Whether a Host header is one of ours; `*.example.com` allows its subdomains."""
    if "*" in allowed:
        return True
    if host is None:
        return False
    name = _without_port(host.decode("latin-1").strip().lower())
    for pattern in allowed:
        wanted = pattern.lower()
        if name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:])):
            return True
    return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
