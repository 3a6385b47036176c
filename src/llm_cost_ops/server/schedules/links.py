"""Links that fetch one file without signing in: signed by the installation, and ending.

A link names a run, the organization it is of and when it ends; its signature is an HMAC under a key
derived for this purpose alone. It opens one file of one organization and nothing else, and not
longer than the file is kept. Without a secret key there are none.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from llm_cost_ops.server.settings import Settings

PURPOSE = b"llm-cost-ops links to delivered files"
_SECOND_US = 1_000_000


class Links:
    """Makes and checks signatures. The first key signs, all of them check."""

    def __init__(self, keys: Sequence[str], public_url: str | None, lives_s: int) -> None:
        self._keys = [HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(k.encode()) for k in keys]
        self._public_url = public_url
        self._lives_us = lives_s * _SECOND_US

    @classmethod
    def of(cls, settings: Settings) -> Links:
        """Those of an installation."""
        security = settings.security
        keys = [
            *security.encryption_keys,
            *filter(None, (security.secret_key,)),
            *security.previous_secret_keys,
        ]
        lives_s = settings.schedules.link_days * 24 * 3600
        return cls(keys, settings.server.public_url, lives_s)

    def link(
        self, organization_id: str, run_id: str, *, now_us: int, kept_until_us: int
    ) -> tuple[str, int] | None:
        """A link and when it ends (microseconds), or None where none can be made."""
        if not self._keys or self._public_url is None:
            return None
        until_s = min(now_us + self._lives_us, kept_until_us) // _SECOND_US
        signature = _signature(self._keys[0], organization_id, run_id, until_s)
        query = f"organization={organization_id}&expires={until_s}&signature={signature}"
        root = self._public_url.rstrip("/")
        return f"{root}/api/v1/exports/deliveries/{run_id}?{query}", until_s * _SECOND_US

    def good(
        self, organization_id: str, run_id: str, until_s: int, signature: str, now_us: int
    ) -> bool:
        """Whether we signed this, and it has not ended. Takes as long whatever is wrong."""
        given = signature.encode("utf-8", "replace")
        fits = [
            hmac.compare_digest(_signature(key, organization_id, run_id, until_s).encode(), given)
            for key in self._keys
        ]
        return any(fits) and now_us < until_s * _SECOND_US


def _signature(key: bytes, organization_id: str, run_id: str, until_s: int) -> str:
    text = f"{organization_id}\n{run_id}\n{until_s}".encode()
    return hmac.new(key, text, sha256).hexdigest()
