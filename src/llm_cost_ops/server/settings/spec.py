"""What one setting is: documentation, other names, bounds; and how text becomes its value.

A section is a frozen dataclass whose fields are made by `setting`. The annotation gives the kind,
so the names, the reference page, the example file and the checks cannot drift apart.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_METADATA_KEY = "llm_cost_ops.setting"
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_BYTE_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
LEAST_SECRET_BYTES = 32
_BYTES = re.compile(r"(\d{1,15})\s*([A-Za-z]{0,3})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`env` and `files`: documented names beside COST_OPS_<SECTION>_<KEY> and section.key."""

    doc: str
    env: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    flag: str | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()
    size: bool = False  # bytes: "10MB" and "10 MiB" are understood
    secret: bool = False  # never shown
    url: bool = False  # shown without its password
    check: Callable[[Any], str | None] | None = None  # the expected form when the value is wrong


def setting(default: T, doc: str, **details: Any) -> T:
    """A field of a section; `details` are the other fields of `Spec`."""
    spec = Spec(doc=doc, **details)
    hidden = spec.secret or spec.url
    made: Any = dataclasses.field(default=default, repr=not hidden, metadata={_METADATA_KEY: spec})
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the loader and the reference page see it."""

    section: str
    key: str
    kind: type[Any]  # bool, int, float, str or tuple (of text)
    optional: bool
    default: Any
    spec: Spec

    @property
    def path(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Dotted names in a file, the canonical one first."""
        return (self.path, *self.spec.files)

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables, the most specific first: that one wins when several are set."""
        derived = tuple(f"COST_OPS_{path.upper().replace('.', '_')}" for path in self.paths)
        return tuple(dict.fromkeys((*derived, *self.spec.env)))


def settings_of(section: str, kind: type[Any]) -> list[Setting]:
    hints = typing.get_type_hints(kind)
    found: list[Setting] = []
    for field in dataclasses.fields(kind):
        options = typing.get_args(hints[field.name])
        optional = types.NoneType in options and typing.get_origin(hints[field.name]) is not tuple
        plain = (
            next(o for o in options if o is not types.NoneType) if optional else hints[field.name]
        )
        base = typing.get_origin(plain) or plain
        spec: Spec = field.metadata[_METADATA_KEY]
        found.append(Setting(section, field.name, base, optional, field.default, spec))
    return found


class WrongValue(ValueError):
    """The text says which form was expected."""


def coerce(setting: Setting, raw: object) -> Any:
    """`raw` (text of the environment, or a value of a file) as the setting's type, checked."""
    if setting.optional and raw in (None, ""):
        return None
    try:
        value = _CONVERTERS[setting.kind](setting, raw)
    except (TypeError, ValueError):
        raise WrongValue(expected_form(setting)) from None
    spec = setting.spec
    below = spec.low is not None and value < spec.low
    above = spec.high is not None and value > spec.high
    if below or above or (spec.choices and value not in spec.choices):
        raise WrongValue(expected_form(setting))
    complaint = spec.check(value) if spec.check else None
    if complaint:
        raise WrongValue(complaint)
    return value


def expected_form(setting: Setting) -> str:
    spec = setting.spec
    if spec.choices:
        return f"one of {', '.join(spec.choices)}"
    if setting.kind is bool:
        return "true or false"
    if setting.kind is tuple:
        return "a list of texts (in the environment: separated by commas)"
    if setting.kind is str:
        return "a text that is not empty"
    name = "a size in bytes (10485760, 10MB, 10MiB)" if spec.size else "a number"
    name = "a whole number" if setting.kind is int and not spec.size else name
    if spec.low is not None and spec.high is not None:
        return f"{name} from {_plain(spec.low)} to {_plain(spec.high)}"
    return f"{name} of at least {_plain(spec.low)}" if spec.low is not None else name


def secret_form(value: str | tuple[str, ...]) -> str | None:
    """The expected form of a secret, None for a right one; a list has only right ones."""
    texts = (value,) if isinstance(value, str) else value
    if all(len(text.encode()) >= LEAST_SECRET_BYTES for text in texts):
        return None
    return f"a secret of at least {LEAST_SECRET_BYTES} characters"


def _plain(number: float) -> str:
    return f"{number:f}".rstrip("0").rstrip(".")


def _boolean(_: Setting, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = _text_of(raw).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _integer(setting: Setting, raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    text = _text_of(raw)
    if setting.spec.size:
        match = _BYTES.fullmatch(text)
        if match is None:
            raise ValueError
        return (
            int(match[1]) * _BYTE_UNITS[match[2].lower()]
            if match[2].lower() in _BYTE_UNITS
            else _refuse()
        )
    if not re.fullmatch(r"[+-]?\d{1,15}", text, re.ASCII):
        raise ValueError
    return int(text)


def _number(_: Setting, raw: object) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return _finite(float(raw))
    text = _text_of(raw)
    if not re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError
    return float(text)


def _finite(value: float) -> float:
    return value if abs(value) < 1e15 else _refuse()


def _refuse() -> Any:
    raise ValueError


def _text(setting: Setting, raw: object) -> str:
    text = _text_of(raw)
    if not text:
        raise ValueError
    spelled = {choice.lower(): choice for choice in setting.spec.choices}
    return {**spelled, **dict(setting.spec.synonyms)}.get(text.lower(), text)


def _texts(_: Setting, raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if not isinstance(raw, list):
        raise TypeError
    items = typing.cast("list[object]", raw)
    return tuple(_text_of(item) for item in items)


def _text_of(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw.strip()


_CONVERTERS: dict[type[Any], Callable[[Setting, object], Any]] = {
    bool: _boolean, int: _integer, float: _number, str: _text, tuple: _texts,
}  # fmt: skip
