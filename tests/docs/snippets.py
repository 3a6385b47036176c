"""The Python blocks of the seed documents, as printed."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEEDS = Path(os.environ.get("COST_OPS_SHARED", ROOT.parent / "shared")) / "seeds"


@dataclass(frozen=True)
class Snippet:
    """`key` is the document and the block's place among its Python blocks: `cheat-sheet#12`."""

    key: str
    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.key} ({self.file}:{self.line})"


def snippets() -> list[Snippet]:
    """Every ```python block of every seed, in order."""
    return [snippet for path in sorted(SEEDS.glob("*.md")) for snippet in _of(path)]


def _of(path: Path) -> list[Snippet]:
    found: list[Snippet] = []
    block: list[str] | None = None
    start = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = line.strip()
        if block is None and mark == "```python":
            block, start = [], number + 1
        elif block is not None and mark == "```":
            # A block inside a list item is indented with the item; only that indentation goes.
            code = textwrap.dedent("\n".join(block)) + "\n"
            found.append(Snippet(f"{path.stem}#{len(found) + 1}", path.name, start, code))
            block = None
        elif block is not None:
            block.append(line)
    return found
