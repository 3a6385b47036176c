"""What a caller asked for, from a URL or a body: each name is read once, and what is left over is
refused by name, so that a misspelt filter never silently selects everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.http.pagination import PARAMETERS
from llm_cost_ops.server.http.problems import Problem

_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_NOT_THE_QUERY = PARAMETERS | {"fields", "stream"}


class Asked:
    """Named values: texts and lists of texts from a URL, JSON values from a body.

    In a URL a single value with commas is a list of its parts; repeated values are taken as they
    are, and so is everything in a body.
    """

    def __init__(self, values: Mapping[str, object], *, in_url: bool) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._in_url = in_url
        self.errors: dict[str, str] = {}
        self.subject = dumps(
            {k: v for k, v in sorted(self._values.items()) if k not in _NOT_THE_QUERY}
        )
        """The query without its paging: what a cursor belongs to."""

    @classmethod
    def of_url(cls, pairs: Iterable[tuple[str, str]]) -> Asked:
        """From the parameters of a URL in order."""
        values: dict[str, object] = {}
        for name, text in pairs:
            known = values.get(name)
            if known is None:
                values[name] = text
            elif isinstance(known, list):
                cast("list[str]", known).append(text)
            else:
                values[name] = [known, text]
        return cls(values, in_url=True)

    def pop(self, *names: str) -> object | None:
        """The value under the first of these names that was given; two are an error."""
        given = [name for name in names if name in self._values]
        found = [self._values.pop(name) for name in given]
        if any(value != found[0] for value in found):
            self.errors[given[1]] = f"contradicts {given[0]}"
        return found[0] if found else None

    def holds(self, name: str) -> bool:
        """Whether a name was given and not read yet."""
        return name in self._values

    def peek(self, name: str) -> object | None:
        """The value under a name, to be read again."""
        return self._values.get(name)

    def put(self, name: str, value: object) -> None:
        """Give back what was read, for another reader."""
        self._values[name] = value

    def text(self, *names: str) -> str | None:
        """One text."""
        value = self.pop(*names)
        if value is None or isinstance(value, str):
            return value
        self.errors[names[0]] = "must be one text"
        return None

    def names(self, *names: str) -> tuple[str, ...]:
        """Names of ours: a list, or texts with commas, or both."""
        value = self.pop(*names)
        listed = cast("Sequence[object]", value if isinstance(value, list) else [value])
        parts: list[str] = []
        for item in listed:
            if isinstance(item, str):
                parts += [part.strip() for part in item.split(",") if part.strip()]
            elif item is not None:
                self.errors[names[0]] = "must be a name or a list of names"
        return tuple(parts)

    def number(self, name: str, low: int, high: int) -> int | None:
        """One whole number."""
        value = self.pop(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.errors[name] = f"must be a whole number from {low} to {high}"
            return None
        return value

    def flag(self, name: str) -> bool | None:
        """true or false."""
        value = self.pop(name)
        text = str(value).lower()
        if value is None or text in _TRUE | _FALSE:
            return None if value is None else text in _TRUE
        self.errors[name] = "must be true or false"
        return None

    def paging(self) -> dict[str, str]:
        """The paging parameters as texts, for `http.pagination`."""
        found = {name: self.pop(name) for name in sorted(PARAMETERS)}
        for name, value in found.items():
            if isinstance(value, list | dict | bool):
                self.errors[name] = "must be one value"
        return {name: str(value) for name, value in found.items() if isinstance(value, str | int)}

    def rest(self) -> dict[str, object]:
        """What nobody has read yet; lists of texts in a URL are split at their commas."""
        left = self._values
        self._values = {}
        return {name: self._split(name, value) for name, value in left.items()}

    def _split(self, name: str, value: object) -> object:
        if self._in_url and isinstance(value, str) and "," in value and "." not in name:
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    def note(self, error: DomainError, name: str) -> None:
        """Remember a refusal under the field that it names."""
        self.errors.update(error.field_errors or {name: error.message})

    def check(self) -> None:
        """Raises Problem 422 with every fault found so far."""
        if self.errors:
            raise Problem(422, "VALIDATION_ERROR", "The request is not valid.", self.errors)
