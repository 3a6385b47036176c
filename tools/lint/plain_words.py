"""No phrase that announces work instead of doing it, and no salesman's adjective.

Prevents a stub that passes for a feature: "in production this would ..." beside a constant reads
as done in a diff. An adjective that no measurement backs says nothing: say what it does, and its
limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.source import Finding, Source

NAME = "plain-words"
_FOLDERS = ("src", "docs", "tools", "bench", "contract", "deploy", "README.md", "CONTRIBUTING.md")
_PHRASES = re.compile(
    r"\b(?:"
    r"in (?:production|a real (?:implementation|system))[,:]? (?:this|we|it|you) (?:would|should)"
    r"|(?:for now|temporar\w+)[,:]? (?:a )?(?:placeholder|stub|mock|hard-?coded)"
    r"|placeholder implementation|not (?:yet )?implemented yet|left as an exercise"
    r"|TO" r"DO|FIX" r"ME|XX" r"X"
    r"|enterprise[- ]grade|world[- ]class|cutting[- ]edge|state[- ]of[- ]the[- ]art"
    r"|blazing(?:ly)?|battle[- ]tested|seamless(?:ly)?|comprehensive(?:ly)?|sophisticated"
    r")\b"
)  # fmt: skip


def check(source: Source) -> Iterator[Finding]:
    if not source.inside(*_FOLDERS) or source.path.name == "plain_words.py":
        return
    if source.path.suffix not in {".py", ".md", ".sh"}:
        return
    for number, line in enumerate(source.lines, start=1):
        if phrase := _PHRASES.search(line):
            yield Finding(source.path, number, NAME, f"{phrase[0]!r}: do it or say what it does")
