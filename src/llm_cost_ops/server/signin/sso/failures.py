"""How a sign-in by an identity provider fails: what the person is told, and what the log says."""

from __future__ import annotations

from llm_cost_ops.server.http.problems import Problem


class SsoFailed(Problem):
    """401: nobody is signed in. `reason` is for the audit log; the text is for the person, and
    says nothing of who else there is."""

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(
            401,
            "SSO_FAILED",
            message or "The identity provider's answer cannot be accepted. Begin again.",
        )
        self.reason = reason


class IdpUnavailable(Problem):
    """503: the provider does not answer, or not as one does. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            503,
            "SERVICE_UNAVAILABLE",
            "The identity provider does not answer. Try again in a moment.",
            headers={"Retry-After": "5"},
        )
        self.reason = reason


def stale() -> SsoFailed:
    """The answer belongs to no sign-in that this browser began, or to one of long ago."""
    return SsoFailed("state", "This sign-in is out of date, or cookies are off. Begin again.")


def stranger() -> SsoFailed:
    """The same for who is unknown and for who is disabled."""
    return SsoFailed(
        "unknown", "You are no user of this organization. Ask an administrator to add you."
    )
