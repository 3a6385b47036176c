"""Writes contract/openapi.json from the app, or with --check says whether it still is the app's.

python -m tools.contract            write
python -m tools.contract --check    exit 1 and name the first difference when it has drifted
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from llm_cost_ops.server.app import create_app, openapi_document
from llm_cost_ops.server.settings import load_settings

CONTRACT = Path(__file__).resolve().parents[1] / "contract" / "openapi.json"
_SHOWN_LINES = 40


def text() -> str:
    """The document of an app with default settings: no file and no environment of this machine."""
    settings = load_settings(config=Path("none"), environ={})
    return json.dumps(openapi_document(create_app(settings)), indent=2, ensure_ascii=False) + "\n"


def drift(committed: str, current: str) -> list[str]:
    """The first differing lines, as a unified diff; empty when there are none."""
    lines = difflib.unified_diff(
        committed.splitlines(), current.splitlines(), "committed", "app", lineterm="", n=2
    )
    return list(itertools.islice(lines, _SHOWN_LINES))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if not parser.parse_args(arguments).check:
        CONTRACT.parent.mkdir(exist_ok=True)
        CONTRACT.write_text(text(), encoding="utf-8")
        return 0
    committed = CONTRACT.read_text(encoding="utf-8") if CONTRACT.exists() else ""
    found = drift(committed, text())
    if found:
        print("\n".join([*found, "contract/openapi.json has drifted: run `make contract`"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
