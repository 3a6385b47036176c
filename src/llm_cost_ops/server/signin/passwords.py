"""Passwords as they are stored: argon2id; a check takes as long for nobody as for somebody.

One check takes tens of MiB and most of a core, so callers let no more run at once than there are
cores (`desk.run`).
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from llm_cost_ops.server.settings.signing_in import SignInSettings

MAX_BYTES = 1_024


class Passwords:
    """Hashes and checks passwords with the parameters of the settings."""

    def __init__(self, settings: SignInSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
            type=Type.ID,
        )
        self._nobody = _hash_of_nobody(
            settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism
        )

    def hash(self, password: str) -> str:
        """The text to store. The caller has checked the policy."""
        return self._hasher.hash(password)

    def fits(self, stored: str | None, password: str) -> bool:
        """Whether it is the password. Without a stored one the answer is no, and takes as long."""
        try:
            self._hasher.verify(self._nobody if stored is None else stored, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than those of the settings."""
        return self._hasher.check_needs_rehash(stored)


@lru_cache(maxsize=8)
def _hash_of_nobody(time_cost: int, memory_kib: int, parallelism: int) -> str:
    """The hash of a password that nobody knows."""
    hasher = PasswordHasher(time_cost, memory_kib, parallelism, type=Type.ID)
    return hasher.hash(secrets.token_hex(16))


def digest(secret: str) -> str:
    """What is stored of a random secret of at least 128 bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
