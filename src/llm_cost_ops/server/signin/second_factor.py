"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes.

A code is accepted once: the step of time it belongs to is kept, and only later ones are taken. The
one before and the one after the present step are good, too, for clocks that are half a minute off.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass

from pyotp import random_base32
from pyotp.totp import TOTP
from sqlalchemy import delete, func, insert, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.signin.passwords import digest
from llm_cost_ops.server.signin.tables import recovery_codes, second_factors

PURPOSE = "second factors"
"""The name of the key that seals their secrets."""
ISSUER = "LLM Cost Ops"
STEP_S = 30
WINDOW = 1
DIGITS = 6
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_US = 1_000_000
_FACTOR = second_factors.c
_CODE = recovery_codes.c


class SecondFactorError(DomainError):
    """A change of the second factor that does not fit its state."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that is shown once, and as an address that apps read in a QR code."""

    secret: str
    uri: str


def enroll(
    session: WriteSession, vault: Vault, account_id: str, email: str, *, now_us: int
) -> Enrolment:
    """A new secret, which is asked for once it is confirmed. Raises SecondFactorError when there is
    a confirmed one, and NoSecretKey."""
    if is_on(session, account_id):
        raise SecondFactorError("The second factor is on. Turn it off first.")
    secret = random_base32()
    session.execute(delete(second_factors).where(_FACTOR.account_id == account_id))
    session.execute(
        insert(second_factors),
        {
            "account_id": account_id,
            "secret": vault.seal(secret, account_id),
            "last_step": 0,
            "created_at": now_us,
            "confirmed_at": None,
        },
    )
    return Enrolment(secret, TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER))


def confirm(
    session: WriteSession, vault: Vault, account_id: str, code: str, *, now_us: int
) -> list[str] | None:
    """Turn the second factor on; the recovery codes, which are shown once. None for a wrong code.
    Raises SecondFactorError when there is nothing to confirm."""
    confirmed = session.execute(
        select(_FACTOR.confirmed_at).where(_FACTOR.account_id == account_id)
    ).first()
    if confirmed is None or confirmed[0] is not None:
        raise SecondFactorError("There is no second factor to confirm.")
    if not accept_code(session, vault, account_id, code, now_us=now_us):
        return None
    session.execute(
        update(second_factors).where(_FACTOR.account_id == account_id).values(confirmed_at=now_us)
    )
    return new_recovery_codes(session, account_id, now_us=now_us)


def turn_off(session: WriteSession, account_id: str) -> bool:
    """Whether there was one."""
    was_on = is_on(session, account_id)
    session.execute(delete(second_factors).where(_FACTOR.account_id == account_id))
    session.execute(delete(recovery_codes).where(_CODE.account_id == account_id))
    return was_on


def is_on(session: ReadSession, account_id: str) -> bool:
    """Whether a code is asked for at sign-in."""
    statement = select(_FACTOR.account_id).where(
        _FACTOR.account_id == account_id, _FACTOR.confirmed_at.is_not(None)
    )
    return session.execute(statement).first() is not None


def accept_code(
    session: WriteSession, vault: Vault, account_id: str, code: str, *, now_us: int
) -> bool:
    """Whether the code is right now and was not accepted before; of several who send it at once,
    one succeeds."""
    row = (
        session.execute(select(second_factors).where(_FACTOR.account_id == account_id))
        .mappings()
        .first()
    )
    given = re.sub(r"\s", "", code)
    if row is None or not re.fullmatch(rf"[0-9]{{{DIGITS}}}", given):
        return False
    totp = TOTP(vault.open(row["secret"], account_id))
    present = now_us // _US // STEP_S
    for step in range(present - WINDOW, present + WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step), given):
            taken = session.execute(
                update(second_factors)
                .where(_FACTOR.account_id == account_id, _FACTOR.last_step < step)
                .values(last_step=step)
            )
            return taken.rowcount == 1
    return False


def new_recovery_codes(session: WriteSession, account_id: str, *, now_us: int) -> list[str]:
    """New codes of 80 random bits, which are shown once; the old ones end."""
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    session.execute(delete(recovery_codes).where(_CODE.account_id == account_id))
    session.execute(
        insert(recovery_codes),
        [
            {
                "account_id": account_id,
                "digest": _digest_of(account_id, code),
                "created_at": now_us,
                "used_at": None,
            }
            for code in codes
        ],
    )
    return codes


def use_recovery_code(session: WriteSession, account_id: str, code: str, *, now_us: int) -> bool:
    """Whether the code was one that is good and was not used."""
    used = session.execute(
        update(recovery_codes)
        .where(
            _CODE.account_id == account_id,
            _CODE.digest == _digest_of(account_id, code),
            _CODE.used_at.is_(None),
        )
        .values(used_at=now_us)
    )
    return used.rowcount == 1


def recovery_codes_left(session: ReadSession, account_id: str) -> int:
    """How many were not used."""
    statement = select(func.count()).where(_CODE.account_id == account_id, _CODE.used_at.is_(None))
    return int(session.scalar(statement))


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode("ascii").lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _digest_of(account_id: str, code: str) -> str:
    return digest(f"{account_id}:{re.sub(r'[^a-z2-7]', '', code.lower())}")
