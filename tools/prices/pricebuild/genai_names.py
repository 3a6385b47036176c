"""Names of a genai-prices model, read from its match clauses.

Their engine matches by predicates such as "starts with claude-opus-4-5". Ours matches whole names
plus documented date and version suffixes, so that one model never answers for another; here each
predicate becomes the base name it was written for.
"""

from __future__ import annotations

import re
from typing import Any

_PARTIAL_DATE = re.compile(r"-20\d{0,2}-?$")
_TRAILING = "-@.:_"
_CUSTOM_FT = re.compile(r"^ft:(?P<base>.+)$")


def names_of(provider: str, model: Any) -> set[str]:
    """Lower-case names, the id included."""
    found = {model.id.lower()}
    found.update(_clause_names(model.match))
    if provider == "aws":
        found.update(_bedrock_names(found))
    return {name for name in found if name and not _foreign_fine_tune(name, model.id.lower())}


def _foreign_fine_tune(name: str, model_id: str) -> bool:
    """A base model whose clauses also catch its fine-tunes must not lend them its price."""
    return bool(_CUSTOM_FT.match(name)) and not model_id.startswith("ft:")


def _bedrock_names(names: set[str]) -> set[str]:
    """Claude names without a prefix stand for every commercial profile: those models cost the
    same in all of them, later ones are listed by profile."""
    bare = {name for name in names if name.startswith("claude-")}
    prefixes = ("", *(f"{geo}." for geo in ("us", "eu", "apac", "au", "jp", "in", "ca")))
    older = {name for name in bare if re.match(r"claude-(?:3|v2|instant)", name)}
    flat = {f"{prefix}anthropic.{name}" for name in older for prefix in prefixes}
    return flat | {f"anthropic.{name}" for name in bare}


def _clause_names(clause: Any) -> set[str]:
    kind = type(clause).__name__
    if kind == "ClauseOr":
        return {name for part in clause.or_ for name in _clause_names(part)}
    if kind == "ClauseAnd":
        parts = [part for part in clause.and_ if type(part).__name__ != "ClauseRegex"]
        return _clause_names(parts[0]) if len(parts) == 1 else set()
    if kind == "ClauseEquals":
        return {clause.equals.lower()}
    if kind == "ClauseStartsWith":
        return {_base(clause.starts_with)}
    if kind == "ClauseContains":
        return {_base(clause.contains)}
    if kind == "ClauseEndsWith":
        return {_base(clause.ends_with)}
    if kind == "ClauseRegex":
        return set()
    raise ValueError(f"unknown match clause {kind}: teach names_of about it")


def _base(text: str) -> str:
    return _PARTIAL_DATE.sub("", text.lower().lstrip("/").rstrip(_TRAILING))
