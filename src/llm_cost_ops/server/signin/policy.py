"""Which passwords are taken: long ones that are not easy to guess. Nothing is asked of their
characters (NIST SP 800-63B 5.1.1.2, ASVS 6.2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.signin.passwords import MAX_BYTES

MIN_CHARACTERS = 12
REST = 8
"""As many characters beside common or known words make a password of its own."""
_MIN_WORD = 4
_PRODUCT: tuple[str, ...] = ("llmcostops", "costops", "llmcost")
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm",
         "1qaz2wsx3edc4rfv5tgb6yhn7ujm")  # fmt: skip
_LEET = str.maketrans("013457@$!", "oleastasi")


class PasswordRefused(DomainError):
    """A password that is too short, too long or too easy to guess."""


def check_password(password: str, context: Iterable[str] = (), *, field: str = "password") -> None:
    """Raises PasswordRefused. `context` are names that come to mind: of the person, the
    organization; parts of at least four letters count."""
    if len(password) < MIN_CHARACTERS:
        raise PasswordRefused(f"must have at least {MIN_CHARACTERS} characters", field=field)
    if len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise PasswordRefused(f"must have at most {MAX_BYTES} bytes", field=field)
    if "\x00" in password or any("\ud800" <= c <= "\udfff" for c in password):
        raise PasswordRefused("has characters that are not text", field=field)
    plain = unicodedata.normalize("NFKC", password).casefold()
    if plain in _common() or _is_pattern(plain) or _is_mostly_common(plain):
        raise PasswordRefused("is one of those that are guessed first", field=field)
    bare = _bare(plain)
    for word in _words(context):
        if word in bare and len(bare.replace(word, "")) < REST:
            raise PasswordRefused(
                "must not be made of a name, an e-mail address or the product", field=field
            )


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _words(context: Iterable[str]) -> set[str]:
    found: set[str] = set(_PRODUCT)
    for text in context:
        plain = unicodedata.normalize("NFKC", text).casefold()
        parts = re.split(r"[\W_]+", plain)
        found.update(word for word in (*parts, _bare(plain)) if len(word) >= _MIN_WORD)
    return found


def _is_pattern(plain: str) -> bool:
    """One short piece again and again, or a run along the keyboard or the alphabet."""
    if re.fullmatch(r"(.{1,6}?)\1+.{0,5}", plain) and len(set(plain)) < REST:
        return True
    repeated = re.fullmatch(r"(.+?)\1+", plain)
    if repeated is not None and repeated[1] in _common():
        return True
    return any(plain in way for row in _ROWS for way in (row, row[::-1]))


def _is_mostly_common(plain: str) -> bool:
    """A common word with a few digits and marks around it, also with digits for letters."""
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    around = len(plain) - len(core)
    if len(core) < _MIN_WORD or around >= REST:
        return False
    return core in _common() or core.translate(_LEET) in _common()


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    text = files("llm_cost_ops.server.signin").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line.casefold() for line in text.splitlines() if not line.startswith("#"))
