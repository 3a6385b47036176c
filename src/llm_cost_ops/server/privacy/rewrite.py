"""A person's names in texts and JSON, found and replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from llm_cost_ops.core.jsontext import dumps, loads

LEAST_IN_TEXT = 3
"""Characters of an id that is looked for inside longer texts: shorter ones are found anywhere."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who it is about, by all that the organization calls the person."""

    organization_id: str
    user_ids: tuple[str, ...]
    emails: tuple[str, ...] = ()
    account_ids: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.user_ids, *self.emails, *self.account_ids)))


class Rewriter:
    """Replaces every name of a subject by a pseudonym."""

    def __init__(self, subject: Subject, pseudonym: str) -> None:
        self._pseudonym = pseudonym
        self._whole = {name.casefold() for name in (*subject.emails, *subject.account_ids)}
        self._exact = frozenset(subject.user_ids)
        inside = [re.escape(name) for name in subject.names if len(name) >= LEAST_IN_TEXT]
        inside.sort(key=len, reverse=True)
        pattern = rf"(?<![\w.@+-])(?:{'|'.join(inside)})(?![\w@-]|\.\w)" if inside else r"(?!)"
        self._inside = re.compile(pattern, re.IGNORECASE)

    def text(self, text: str) -> str:
        """The text with every name replaced."""
        if text in self._exact or text.casefold() in self._whole:
            return self._pseudonym
        return self._inside.sub(self._pseudonym, text)

    def value(self, value: object) -> object:
        """The same for all texts of a JSON value, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            pairs = cast("Mapping[str, object]", value).items()
            return {self.text(key): self.value(inner) for key, inner in pairs}
        if isinstance(value, list):
            return [self.value(item) for item in cast("list[object]", value)]
        return value

    def json(self, text: str) -> str | None:
        """JSON text with every name replaced, None when it has none."""
        value: Any = loads(text)
        rewritten = self.value(value)
        return None if rewritten == value else dumps(rewritten)

    def plain(self, text: str) -> str | None:
        """A text with every name replaced, None when it has none."""
        rewritten = self.text(text)
        return None if rewritten == text else rewritten
