"""References to secrets in the values of settings: where they stand, and what they stand for.

A value may be one reference, or have them as `${..}`:

    aws-sm://llm-cost-ops/production/jwt#secret
    postgresql://${vault://production/database#username}:${vault://production/database#password}@h/d

Errors name the reference and never what was read.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

SCHEMES = ("aws-sm", "vault")
_WHOLE = re.compile(rf"(?P<scheme>{'|'.join(SCHEMES)})://(?P<name>[^#?{{}}\s]+)(#(?P<field>\S+))?")
_INSIDE = re.compile(rf"\$\{{(?P<reference>(?:{'|'.join(SCHEMES)})://[^}}]*)\}}")
MAX_SECRET_CHARACTERS = 65_536


class SecretProblem(Exception):
    """A secret that cannot be had; the text is for the operator and has no secret in it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`name` in one store; `field` of its JSON object, None for the whole text."""

    scheme: str
    name: str
    field: str | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}" + (f"#{self.field}" if self.field else "")


class Store(Protocol):
    """A secrets manager."""

    def read(self, name: str) -> str | Mapping[str, object]:
        """The secret: its text, or its fields. Raises SecretProblem."""
        ...


def is_reference(name: str) -> bool:
    """Whether what stands in `${..}` is a reference and no environment variable."""
    return name.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def references_in(raw: object) -> list[Reference]:
    """What a value refers to, in order. Raises SecretProblem for one that is not well formed."""
    if isinstance(raw, list):
        items = typing.cast("list[object]", raw)
        return [reference for item in items for reference in references_in(item)]
    if not isinstance(raw, str):
        return []
    text = raw.strip()
    if is_reference(text):
        return [_parsed(text)]
    return [_parsed(match["reference"]) for match in _INSIDE.finditer(text)]


def _parsed(text: str) -> Reference:
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise SecretProblem(f"{text} is not a reference of the form STORE://NAME#FIELD")
    return Reference(match["scheme"], match["name"], match["field"])


class Resolver:
    """Reads each secret once, for all settings that refer to it."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = stores
        self._read: dict[tuple[str, str], str | Mapping[str, object]] = {}

    def resolved(self, raw: object, *, url: bool = False) -> object:
        """The value with its references replaced; in a URL those inside are percent-encoded.

        Raises SecretProblem.
        """
        if isinstance(raw, list):
            return [self.resolved(item, url=url) for item in typing.cast("list[object]", raw)]
        if not isinstance(raw, str):
            return raw
        text = raw.strip()
        if is_reference(text):
            return self._value(_parsed(text))

        def replace(match: re.Match[str]) -> str:
            value = self._value(_parsed(match["reference"]))
            return quote(value, safe="") if url else value

        return _INSIDE.sub(replace, raw)

    def _value(self, reference: Reference) -> str:
        place = (reference.scheme, reference.name)
        try:
            if place not in self._read:
                self._read[place] = self._stores[reference.scheme].read(reference.name)
            return _field(self._read[place], reference.field)
        except SecretProblem as problem:
            raise SecretProblem(f"{reference}: {problem}") from None


def _field(secret: str | Mapping[str, object], field: str | None) -> str:
    if field is None:
        if not isinstance(secret, str):
            raise SecretProblem("the secret has fields; name one: #FIELD")
        return _plain(secret)
    fields = _fields(secret) if isinstance(secret, str) else secret
    if field not in fields:
        raise SecretProblem(f"the secret has no field {field!r}")
    return _plain(fields[field])


def _fields(secret: str) -> Mapping[str, object]:
    try:
        parsed: object = json.loads(secret)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise SecretProblem("the secret is not a JSON object with fields")
    return typing.cast("Mapping[str, object]", parsed)


def _plain(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise SecretProblem("what is there is not a text, or empty")
    if len(value) > MAX_SECRET_CHARACTERS:
        raise SecretProblem(f"what is there has more than {MAX_SECRET_CHARACTERS} characters")
    return value


def named(references: Sequence[Reference]) -> str:
    """For the source of a value."""
    return ", ".join(dict.fromkeys(str(reference) for reference in references))
