"""Files as the rules see them, and what a rule answers."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

PACKAGE = PurePosixPath("src/llm_cost_ops")
_ALLOW = re.compile(r"lint: allow (?P<rule>[a-z-]+): \S")
_TEXT_LIMIT_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that breaks one rule; line 0 means the file as a whole."""

    path: PurePosixPath
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Source:
    """One file of the repository; `path` is relative to its root."""

    path: PurePosixPath
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    def inside(self, *folders: PurePosixPath | str) -> bool:
        return any(self.path.is_relative_to(folder) for folder in folders)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def allows(self, rule: str, line: int) -> bool:
        """Whether `line` or the line above it carries a reasoned exception to `rule`."""
        near = self.lines[max(0, line - 2) : line] if line else []
        return any(match["rule"] == rule for text in near for match in _ALLOW.finditer(text))


def load(root: Path) -> Iterator[Source]:
    """Every text file that is committed or would be: what git tracks or does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        file = root / name
        if not file.is_file() or file.stat().st_size > _TEXT_LIMIT_BYTES:
            continue
        content = file.read_bytes()
        if b"\0" in content[:8192]:
            continue
        yield Source(PurePosixPath(name), content.decode("utf-8", "replace"))
