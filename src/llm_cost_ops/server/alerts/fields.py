"""Fields of a definition, read one by one; what was not asked for is refused at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import check_currency, parse_decimal, to_e10
from llm_cost_ops.core.period import time_zone

MAX_TEXT = 255
T = TypeVar("T", bound=str)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_HUNDRED = 100


class RuleError(DomainError):
    """A rule or channel that cannot be; `field` names what is wrong."""


def opened(given: Mapping[str, object], name: str) -> dict[str, object]:
    """The fields with those of the object `name` among them. Raises RuleError."""
    values = dict(given)
    inner = values.pop(name, None)
    if inner is not None and not isinstance(inner, Mapping):
        raise RuleError("must be an object", field=name)
    return {**values, **cast("Mapping[str, object]", inner or {})}


class Fields:
    """The fields of one JSON object; `prefix` stands before their names in errors."""

    def __init__(self, given: Mapping[str, object], prefix: str = "") -> None:
        self._left = {name: value for name, value in given.items() if value is not None}
        self._named = set(given)
        self._prefix = prefix

    def finish(self) -> None:
        """Raises RuleError for a field that nobody asked for."""
        if self._named:
            raise RuleError("is not a known field", field=self._prefix + min(self._named)[:64])

    def _take(self, name: str, *, required: bool = False) -> object:
        self._named.discard(name)
        value = self._left.pop(name, None)
        if value is None and required:
            raise self.wrong(name, "is required")
        return value

    def wrong(self, name: str, message: str) -> RuleError:
        return RuleError(message, field=self._prefix + name)

    def text(self, name: str, *, required: bool = False, most: int = MAX_TEXT) -> str | None:
        value = self._take(name, required=required)
        return None if value is None else self._checked(name, value, most)

    def _checked(self, name: str, value: object, most: int) -> str:
        if not isinstance(value, str) or not 1 <= len(value.strip()) <= most:
            raise self.wrong(name, f"must be a string of 1 to {most} characters")
        if not value.isprintable():
            raise self.wrong(name, "must not hold control characters")
        return value.strip()

    def texts(self, name: str, *, most: int, required: bool = False) -> list[str] | None:
        value = self._take(name, required=required)
        if value is None:
            return None
        items = cast("Sequence[object]", value) if isinstance(value, list) else ()
        if not (isinstance(value, list) and len(items) <= most and (items or not required)):
            raise self.wrong(name, f"must be a list of at most {most} strings")
        found = [self._checked(name, item, MAX_TEXT) for item in items]
        return list(dict.fromkeys(found))

    def objects(self, name: str, *, most: int) -> list[Mapping[str, object]] | None:
        value = self._take(name)
        if value is None:
            return None
        items = cast("Sequence[object]", value) if isinstance(value, list) else (None,)
        if len(items) > most or not all(isinstance(item, Mapping) for item in items):
            raise self.wrong(name, f"must be a list of at most {most} objects")
        return [cast("Mapping[str, object]", item) for item in items]

    def mapping(self, name: str) -> Mapping[str, object] | None:
        value = self._take(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(name, "must be an object")
        return cast("Mapping[str, object] | None", value)

    def flag(self, name: str, *, default: bool | None = None) -> bool | None:
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return default if value is None else value

    def choice(self, name: str, among: Sequence[T]) -> T | None:
        value = self._take(name)
        if value is None:
            return None
        for known in among:
            if value == known:
                return known
        raise self.wrong(name, f"must be one of: {', '.join(among)}")

    def whole(self, name: str, low: int, high: int, *, required: bool = False) -> int | None:
        value = self._take(name, required=required)
        if value is None:
            return None
        if isinstance(value, Decimal) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def money(self, name: str, *, required: bool = False) -> Decimal | None:
        """A positive amount or count with at most ten decimal places."""
        value = self._take(name, required=required)
        if value is None:
            return None
        number = parse_decimal(value, self._prefix + name)
        if to_e10(number, self._prefix + name) <= 0:
            raise self.wrong(name, "must be more than 0")
        return number

    def share(self, name: str, *, required: bool = False) -> Decimal | None:
        """A fraction in (0, 1]; above 1 it is read as a percentage."""
        value = self._take(name, required=required)
        return None if value is None else self._share(name, value, most=Decimal(1))

    def shares(self, name: str, *, most: int) -> list[Decimal] | None:
        """Fractions up to 10, or percentages as budgets have them: more than 10 is per cent."""
        value = self._take(name)
        if value is None:
            return None
        items = cast("Sequence[object]", value) if isinstance(value, list) else ()
        if not 1 <= len(items) <= most:
            raise self.wrong(name, f"must be a list of 1 to {most} numbers")
        return sorted({self._share(name, item, most=Decimal(10)) for item in items})

    def _share(self, name: str, value: object, *, most: Decimal) -> Decimal:
        number = parse_decimal(value, self._prefix + name)
        if number > most:
            number /= _HUNDRED
        number = round(number, 6)
        if not 0 < number <= most:
            raise self.wrong(name, "must be a fraction such as 0.8, or a percentage such as 80")
        return number.normalize()

    def currency(self, name: str) -> str | None:
        value = self._take(name)
        return None if value is None else check_currency(value, self._prefix + name)

    def clock_time(self, name: str) -> str | None:
        value = self._take(name)
        if value is not None and not (isinstance(value, str) and _TIME.fullmatch(value)):
            raise self.wrong(name, "must be a time of day such as 08:00")
        return value

    def zone(self, name: str) -> str | None:
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, "must be an IANA time zone such as Europe/Berlin")
        time_zone(value, self._prefix + name)
        return value
