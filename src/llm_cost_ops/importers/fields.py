"""Typed access to rows of other people's exports: text, counts, amounts, nested objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.core.usage import MAX_QUANTITY
from llm_cost_ops.importers.problem import RowError

MAX_TEXT = 512
_WHOLE = re.compile(r"\d{1,17}(?:\.0*)?", re.ASCII)


def count_of(value: object, field: str) -> int | None:
    """A whole number from a JSON number or digits; `12.0` is one, as many tools write counts so.

    None where the value is empty. Raises RowError.
    """
    if value is None or value == "":
        return None
    text = str(value).strip() if isinstance(value, int | float | Decimal | str) else ""
    if isinstance(value, bool) or not _WHOLE.fullmatch(text):
        raise RowError("must be a whole number, 0 or more", field=field)
    number = int(text.partition(".")[0])
    if number > MAX_QUANTITY:
        raise RowError(f"must be at most {MAX_QUANTITY}", field=field)
    return number


def amount_of(value: object, field: str) -> Decimal | None:
    """An exact amount; None where the value is empty. Raises AmountError."""
    if value is None or value == "":
        return None
    # Floats come only from columns of Parquet files; the shortest digits are what was meant.
    given = Decimal(repr(value)) if isinstance(value, float) else value
    return parse_decimal(given.strip() if isinstance(given, str) else given, field)


def text_of(value: object, field: str) -> str | None:
    """Bounded text without white space around it; numbers as their digits. Raises RowError."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise RowError("must be text", field=field)
    text = str(value).strip()
    if len(text) > MAX_TEXT:
        raise RowError(f"must be at most {MAX_TEXT} characters", field=field)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair has no UTF-8 form
    return text or None


def object_of(value: object, field: str) -> Mapping[str, object]:
    """An object, or the JSON text of one; empty where there is none. Raises RowError."""
    if isinstance(value, str):
        value = _json(value, field) if value.strip() else None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RowError("must be an object", field=field)
    return cast("Mapping[str, object]", value)


def texts_of(value: object, field: str) -> list[str]:
    """A list of text, its JSON text, or text split at commas, semicolons and bars."""
    if isinstance(value, str):
        text = value.strip()
        value = _json(text, field) if text.startswith("[") else re.split(r"[,;|]", text)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RowError("must be a list", field=field)
    items = (text_of(item, field) for item in cast("list[object]", value))
    return [item for item in items if item]


def _json(text: str, field: str) -> object:
    try:
        return cast("object", jsontext.loads(text))
    except jsontext.JsonError as error:
        raise RowError(error.message, field=field) from None


class Fields:
    """A row whose columns are found whatever their case and underscores (usageDetails)."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self._values = {name.replace("_", "").lower(): (name, value) for name, value in row.items()}

    def _find(self, names: tuple[str, ...]) -> tuple[str, object]:
        for name in names:
            found = self._values.get(name.replace("_", "").lower())
            if found is not None and found[1] is not None and found[1] != "":
                return found
        return names[0], None

    def get(self, *names: str) -> object:
        return self._find(names)[1]

    def text(self, *names: str) -> str | None:
        name, value = self._find(names)
        return text_of(value, name)

    def count(self, *names: str) -> int | None:
        name, value = self._find(names)
        return count_of(value, name)

    def amount(self, *names: str) -> Decimal | None:
        name, value = self._find(names)
        return amount_of(value, name)

    def object(self, *names: str) -> Mapping[str, object]:
        name, value = self._find(names)
        return object_of(value, name)

    def texts(self, *names: str) -> list[str]:
        name, value = self._find(names)
        return texts_of(value, name)
