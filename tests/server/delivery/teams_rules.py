"""Whether Teams would post a message: envelope, size, and the Adaptive Card 1.4 elements we use.

learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams";
adaptivecards.io, schema explorer (AdaptiveCard, Container, ColumnSet, Column, RichTextBlock,
TextRun, Action.OpenUrl). Text blocks and fact sets are refused: they read Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MAX_BYTES = 28 * 1024
_SPACING = {"None", "Small", "Default", "Medium", "Large", "ExtraLarge", "Padding"}
_WEIGHTS = {"Default", "Lighter", "Bolder"}
_SIZES = {"Default", "Small", "Medium", "Large", "ExtraLarge"}
_STYLES = {"default", "emphasis", "good", "attention", "warning", "accent"}


def faults(message: Mapping[str, Any], size: int) -> list[str]:
    """What is wrong with a message of `size` bytes."""
    found = [] if size <= MAX_BYTES else [f"{size} bytes"]
    if set(message) != {"type", "attachments"} or message["type"] != "message":
        return [*found, "not a message"]
    if len(message["attachments"]) != 1:
        return [*found, "one attachment"]
    (attachment,) = message["attachments"]
    if set(attachment) != {"contentType", "contentUrl", "content"}:
        return [*found, f"attachment keys {sorted(attachment)}"]
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        found.append("contentType")
    return found + _card(attachment["content"])


def _card(card: Mapping[str, Any]) -> list[str]:
    required = {"$schema", "type", "version", "body"}
    wrong = _keys(card, required, {"actions", "fallbackText", "msteams"})
    if (card.get("type"), card.get("version")) != ("AdaptiveCard", "1.4"):
        wrong.append("type or version")
    if set("[]()*_`~#>\\") & set(card.get("fallbackText", "")):
        wrong.append("Markdown in the fallback text")
    if card.get("msteams") not in (None, {"width": "Full"}):
        wrong.append("msteams")
    actions = card.get("actions", [])
    if len(actions) > 6:
        wrong.append("more than six actions")
    for action in actions:
        wrong += _keys(action, {"type", "url", "title"}, set())
        if action.get("type") != "Action.OpenUrl" or not _is_url(action.get("url")):
            wrong.append(f"action {action}")
    return wrong + [fault for each in card.get("body", []) for fault in _element(each)]


def _element(element: Mapping[str, Any]) -> list[str]:
    check = _ELEMENTS.get(element.get("type", ""))
    if check is None:
        return [f"element {element.get('type')!r}"]
    wrong = [] if element.get("spacing", "Default") in _SPACING else ["spacing"]
    return wrong + check(element)


def _container(element: Mapping[str, Any]) -> list[str]:
    wrong = _keys(element, {"type", "items"}, {"style", "bleed", "spacing", "separator"})
    wrong += [] if element.get("style", "default") in _STYLES else ["style"]
    return wrong + [fault for each in element["items"] for fault in _element(each)]


def _columns(element: Mapping[str, Any]) -> list[str]:
    wrong = _keys(element, {"type", "columns"}, {"spacing", "separator"})
    for column in element["columns"]:
        wrong += _keys(column, {"type", "items"}, {"width"})
        if column.get("type") != "Column" or not isinstance(column.get("width"), int):
            wrong.append("column")
        wrong += [fault for each in column["items"] for fault in _element(each)]
    return wrong


def _rich(element: Mapping[str, Any]) -> list[str]:
    wrong = _keys(element, {"type", "inlines"}, {"spacing", "separator"})
    for run in element["inlines"]:
        wrong += _keys(run, {"type", "text"}, {"weight", "size", "isSubtle"})
        if run.get("type") != "TextRun" or not run.get("text", "").strip():
            wrong.append(f"run {run}")
        if "\n" in run.get("text", "") or "\r" in run.get("text", ""):
            wrong.append("more than one line")
        if run.get("weight", "Default") not in _WEIGHTS or run.get("size", "Default") not in _SIZES:
            wrong.append("weight or size")
    return wrong


_ELEMENTS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "Container": _container,
    "ColumnSet": _columns,
    "RichTextBlock": _rich,
}


def _keys(given: Mapping[str, Any], required: set[str], optional: set[str]) -> list[str]:
    missing, unknown = required - set(given), set(given) - required - optional
    return [f"missing {sorted(missing)}"] * bool(missing) + [f"unknown {sorted(unknown)}"] * bool(
        unknown
    )


def _is_url(text: object) -> bool:
    return isinstance(text, str) and text.lower().startswith(("https://", "http://"))
