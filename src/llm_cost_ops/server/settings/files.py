"""Settings files: where they are looked for, TOML, YAML and JSON as dotted keys, `${VAR}`."""

from __future__ import annotations

import json
import re
import tomllib
import typing
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from llm_cost_ops.server.settings.references import is_reference

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}:]*)(?P<rest>:-?(?P<default>[^}]*))?\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SUFFIXES = (".toml", ".yaml", ".yml", ".json")
_SYSTEM_FOLDERS = (Path("/etc/cost-ops"), Path("/etc/llm-cost-ops"))
_CONTAINER_FOLDER = Path("/app/config")
MAX_FILE_BYTES = 1_000_000


class FileProblem(Exception):
    """A settings file that cannot be read; the text is for the operator."""


class UnsetVariable(Exception):
    """`${VAR}` without a default names an environment variable that is not set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def search_order(environment: str, directory: Path, home: Path) -> Iterator[Path]:
    """Files that are looked for when none is named; the first that exists is the only one read."""
    yield directory / "cost-ops.toml"
    yield directory / "config.toml"
    for suffix in _SUFFIXES[1:]:
        yield directory / "config" / f"{environment}{suffix}"
    for folder in (_CONTAINER_FOLDER, home / ".config" / "cost-ops", *_SYSTEM_FOLDERS):
        for stem in ("config", environment):
            for suffix in _SUFFIXES:
                yield folder / f"{stem}{suffix}"


def read_file(path: Path) -> dict[str, Any]:
    """The file's values by dotted key, lists and plain values as they stand."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileProblem(f"{path}: larger than {MAX_FILE_BYTES} bytes, not a settings file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FileProblem(f"{path}: cannot be read: {reason}") from None
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise FileProblem(f"{path}: the name must end in {', '.join(_SUFFIXES)}")
    try:
        content = parse(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        shown = " ".join(str(error).split())
        raise FileProblem(f"{path}: not valid {path.suffix[1:].upper()}: {shown}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise FileProblem(f"{path}: the top level must be named sections")
    return dict(_flatten(typing.cast("dict[object, object]", content), ()))


def _flatten(
    content: Mapping[object, object], above: Sequence[str]
) -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        path = (*above, str(key))
        if isinstance(value, dict) and value:
            yield from _flatten(typing.cast("dict[object, object]", value), path)
        else:
            yield ".".join(path), value


def interpolate(value: object, environ: Mapping[str, str]) -> object:
    """`value` with `${VAR}`, `${VAR:default}` and `${VAR:-default}` replaced; `$${` is `${`.

    A variable that is set but empty counts as not set. References to secrets stay. Raises
    `UnsetVariable`.
    """
    if isinstance(value, list):
        return [interpolate(item, environ) for item in typing.cast("list[object]", value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "${"
        if is_reference(match[0].removeprefix("${")):
            return match[0]  # a secret, which is read when it is known to be needed
        if not _NAME.fullmatch(name):
            raise UnsetVariable(name)
        found = environ.get(name) or (match["default"] if match["rest"] else None)
        if found is None:
            raise UnsetVariable(name)
        return found

    return _REFERENCE.sub(replace, value)


def _json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {twice!r} is given twice")
        return made

    return json.loads(text, object_pairs_hook=unique)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; a settings file may not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is given twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _yaml(text: str) -> Any:
    return yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - a SafeLoader with one more check  # nosec B506


_PARSERS = {".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml, ".json": _json}
