"""Builds the book and the models' greatest outputs in src/llm_cost_ops/core/pricing/data, or with
--check compares them with a rebuild.

Run it in an environment made from requirements/prices.txt; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tools.prices.pricebuild.assemble import StalePin, build  # noqa: E402
from tools.prices.pricebuild.maxima import maxima_text  # noqa: E402

DATA = ROOT / "src" / "llm_cost_ops" / "core" / "pricing" / "data"
BOOK = DATA / "book.jsonl"
MAXIMA = DATA / "max_output_tokens.json"
PINS = ROOT / "requirements" / "prices.in"
BUILT_AT = ROOT / "prices" / "built_at"
_PIN = re.compile(r"^(genai-prices|litellm)==(\S+)$", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the book differs")
    parser.add_argument("--date", help="day of this update, YYYY-MM-DD; kept in prices/built_at")
    parser.add_argument("--report", action="store_true", help="print what the merge decided")
    arguments = parser.parse_args()
    if arguments.date:
        BUILT_AT.write_text(date.fromisoformat(arguments.date).isoformat() + "\n", encoding="utf-8")
    built_at = date.fromisoformat(BUILT_AT.read_text(encoding="utf-8").strip())
    pins = dict(_PIN.findall(PINS.read_text(encoding="utf-8")))
    try:
        text, report = build(pins, built_at)
    except (StalePin, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.report:
        print("\n".join(["# lost to genai-prices", *report.conflicts, "# tiers", *report.tiers]))
    built = {BOOK: text, MAXIMA: maxima_text(text)}
    if arguments.check:
        return max(_check(path, new) for path, new in built.items())
    DATA.mkdir(parents=True, exist_ok=True)
    for path, new in built.items():
        path.write_text(new, encoding="utf-8")
    print(f"{BOOK.relative_to(ROOT)}: {text.count(chr(10)) - 1} models, {len(text)} bytes")
    return 0


def _check(path: Path, text: str) -> int:
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    if committed == text:
        print(f"{path.name} is up to date")
        return 0
    old, new = set(committed.splitlines()), set(text.splitlines())
    print(f"{path.name} differs: {len(old - new)} lines gone, {len(new - old)} lines new")
    return 1


if __name__ == "__main__":
    sys.exit(main())
