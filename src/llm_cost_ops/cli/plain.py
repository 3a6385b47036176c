"""Arguments converted without pydantic.

Typer converts every argument through it, and importing it takes longer than everything else that
`cost-ops estimate` does. Texts, whole numbers, paths and names out of a list need none of it; what
is of another type, or a Typer that keeps its converter elsewhere, goes Typer's way.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer

_KEPT_BY_TYPER = "_runtime_param"
_PLAIN = (str, int, Path)


def convert_plainly(command: Any) -> Any:
    """The command, its own and its subcommands' parameters freed of pydantic."""
    for parameter in command.params:
        descriptor = getattr(parameter, "type_descriptor", None)
        kind = _kind(getattr(descriptor, "annotation", None))
        if kind is not None and hasattr(parameter, _KEPT_BY_TYPER):
            setattr(parameter, _KEPT_BY_TYPER, _Plain(kind))
        if kind is not None and not parameter.metavar and not getattr(parameter, "count", False):
            parameter.metavar = _metavar(parameter, kind)
    for inner in getattr(command, "commands", {}).values():
        if inner is not None:
            convert_plainly(inner)
    return command


def _kind(annotation: Any) -> type[Any] | None:
    """The type of one value, when it is a plain one; of a list, that of its items."""
    if getattr(annotation, "__origin__", None) is list:
        annotation = annotation.__args__[0]
    if not isinstance(annotation, type):
        return None
    return annotation if annotation in _PLAIN or issubclass(annotation, Enum) else None


def _metavar(parameter: Any, kind: type[Any]) -> str:
    """What stands for the value in help."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    if issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return {int: "N", Path: "FILE"}.get(kind, "TEXT")


class _Plain:
    """Typer's converter of one parameter, for values of one plain type."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value or values, as `typer` hands them over. Raises typer.BadParameter."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return [] if many else None
        try:
            return [self._one(item) for item in value] if many else self._one(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None

    def _one(self, value: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        if self._kind is int:
            return _whole(value)
        if issubclass(self._kind, Enum):
            return _named(self._kind, value)
        return self._kind(value)


def _whole(text: str) -> int:
    digits = text.strip().replace("_", "")
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
        raise ValueError(f"{text!r} is not a whole number")
    return int(digits)


def _named(kind: type[Enum], text: str) -> Enum:
    for member in kind:
        if str(member.value) == text.lower():
            return member
    names = ", ".join(str(member.value) for member in kind)
    raise ValueError(f"{text!r} is not one of {names}")
