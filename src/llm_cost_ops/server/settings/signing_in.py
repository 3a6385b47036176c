"""Settings of signing in as a person: passwords, sessions, and how guessing is slowed."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """`[sign_in]`: passwords, sessions and links of people."""

    argon2_time_cost: int = setting(
        3,
        "Passes of argon2id over its memory. Passwords are hashed again at the next sign-in when "
        "this or one of the next two has changed.",
        low=1,
        high=100,
    )
    argon2_memory_kib: int = setting(
        65_536,
        "Memory of argon2id for one password in KiB; as many are checked at once as there are "
        "cores.",
        low=8,
        high=4 * 2**20,
    )
    argon2_parallelism: int = setting(
        4,
        "Lanes of argon2id.",
        low=1,
        high=64,
    )
    session_idle_minutes: int = setting(
        60,
        "A session that is not used for so long ends.",
        low=1,
        high=1_440,
    )
    session_hours: int = setting(
        24,
        "A session ends so long after the sign-in, used or not.",
        low=1,
        high=24,
    )
    free_attempts: int = setting(
        5,
        "Failed attempts for one account before each further one has to wait.",
        low=1,
        high=100,
    )
    free_attempts_per_address: int = setting(
        20,
        "Failed attempts from one IP address before each further one has to wait.",
        low=1,
        high=100_000,
    )
    longest_wait_seconds: int = setting(
        900,
        "The wait doubles from one second up to this: nobody is locked out for good.",
        low=1,
        high=86_400,
    )
    reset_link_minutes: int = setting(
        60,
        "How long a link for a new password works.",
        low=1,
        high=60,
    )
