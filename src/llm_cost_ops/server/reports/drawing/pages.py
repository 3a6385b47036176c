"""PDF, set by Typst (extra `reports`): tagged for screen readers as PDF/UA-1 asks, with contents,
outline and vector charts.

The program is a fixed template; a report is data to it, never markup, and nothing is fetched. The
fonts inside Typst hold the Latin, Greek, Cyrillic, Hebrew and Arabic scripts. Other characters are
set in a font of the machine that has them, if there is one; else a box is drawn for each, the last
page names them, and the file does not claim PDF/UA.
"""

from __future__ import annotations

import base64
import importlib
import importlib.resources
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from llm_cost_ops.core.report.document import Document
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.reports.drawing.appendix import with_appendix
from llm_cost_ops.server.reports.drawing.charts import WIDTH
from llm_cost_ops.server.reports.drawing.layout import Laid, laid_out
from llm_cost_ops.server.reports.drawing.looks import Logo, drawn_looks
from llm_cost_ops.server.reports.drawing.svg import Font
from llm_cost_ops.server.reports.drawing.values import cut

FONTS = ("Libertinus Serif", "DejaVu Sans Mono")
_FONT = Font(", ".join(f'"{name}"' for name in FONTS), 0.53)
_SIZES = ((8.5, 4.0), (7.5, 3.0), (6.8, 2.2))
"""Points of type in a table, and left and right of each cell."""
_DIGIT, _LETTER = 0.48, 0.53
"""em"""
_WORD, _FEW_WORDS = 10, 300
_NARROW_TABLE = 0.62
_NARROWEST = 16
_WIDEST = 46
_RUN = re.compile(r"[^\s\u200b]{25,}")
_AFTER = re.compile(r"(?<=[&?_.,:;/\-])(?=\w{3})")
_LONGEST, _PIECE = 24, 16
_SHORT = 70
_SHORT_TABLE = 14
_MOST_NAMED = 60
_QUOTED = re.compile(r'the text `"(.*?)"` could not be displayed')
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")
_PROBE = b"""#set document(title: "-")
#set text(font: json(bytes(sys.inputs.fonts)))
#for each in json(bytes(sys.inputs.texts)) [#par(each)]"""


def draw(document: Document) -> bytes:
    """The PDF. Raises LooksError, FilesMissing."""
    typst = _library()
    looks = drawn_looks(document.style)
    laid = laid_out(with_appendix(document, charts=True), looks, _FONT)
    _bound(laid)
    laid["fonts"] = list(FONTS)
    laid["logo"] = None if looks.logo is None else _framed(looks.logo)
    fonts, missing = _fonts_for(typst, _characters(laid))
    if not missing:
        try:
            return _set(typst, laid, fonts, document.made_at, ["ua-1"])
        except typst.TypstError:  # signs that are in a font alone but not joined or bold
            pass
    laid["sections"][-1]["blocks"].append(_apology(missing))
    return _set(typst, laid, fonts, document.made_at, [])


def _set(typst: Any, laid: Laid, fonts: Any, made_at: int, standards: list[str]) -> bytes:
    return typst.compile(
        _template(),
        font_paths=fonts,
        sys_inputs={"data": json.dumps(laid, ensure_ascii=False)},
        pdf_standards=standards,
        timestamp=made_at // 1_000_000,
    )


def _library() -> Any:
    try:
        return importlib.import_module("typst")
    except ImportError:
        raise FilesMissing("PDF", "reports") from None


@lru_cache(maxsize=1)
def _template() -> bytes:
    room = importlib.resources.files("llm_cost_ops.server.reports.drawing")
    return (room / "templates" / "report.typ").read_bytes()


def _framed(logo: Logo) -> str:
    """A PNG picture as the SVG that a template gets as text."""
    data = base64.b64encode(logo.png).decode("ascii")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{logo.width}" height="{logo.height}" '
        f'viewBox="0 0 {logo.width} {logo.height}"><image width="{logo.width}" '
        f'height="{logo.height}" href="data:image/png;base64,{data}"/></svg>'
    )


def _stays(blocks: Sequence[Laid]) -> bool:
    """Whether a section begins with some words on what follows, which must not stand alone."""
    return (
        len(blocks) > 1
        and blocks[0]["kind"] == "text"
        and sum(map(len, blocks[0]["paragraphs"])) <= _FEW_WORDS
    )


def _bound(laid: Laid) -> None:
    """Texts as long as a page bears, and what the page needs to know of each block."""
    for name in ("title", "organization", "period"):
        laid[f"{name}_plain"] = cut(laid[name], 300)
        laid[f"{name}_short"] = cut(laid[name], _SHORT)
    for name in ("title", "subtitle", "organization", "period", "timezone", "currency"):
        laid[name] = None if laid[name] is None else _broken(cut(laid[name], 300))
    laid["title_size"] = 30 if len(laid["title"]) <= 40 else 20
    for at, section in enumerate(laid["sections"]):
        section["title"] = _broken(cut(section["title"], 200))
        section["apart"] = at == len(laid["sections"]) - 1
        for place, block in enumerate(section["blocks"]):
            block["stays"] = place == 0 and _stays(section["blocks"])
            _bound_block(block)


def _bound_block(block: Laid) -> None:
    if block["kind"] == "text":
        block["paragraphs"] = [_broken(cut(each, 12_000)) for each in block["paragraphs"]]
        return
    if block["kind"] == "figures":
        for each in block["items"]:
            each["label"] = _broken(cut(each["label"], 120))
            each["value"] = None if each["value"] is None else _broken(cut(each["value"], 120))
            each["size"] = 15 if len(each["value"] or "") <= 14 else 10
        return
    block["title"] = _broken(cut(block["title"], 300)) or "Table"
    block["note"] = None if block["note"] is None else _broken(cut(block["note"], 1000))
    if block["kind"] == "table":
        block["parts"] = list(_parts(block))
        lines = sum(len(part["rows"]) for part in block["parts"])
        longest = max((len(cell or "") for row in block["rows"] for cell in row), default=0)
        block["short"] = lines <= _SHORT_TABLE and longest <= _SHORT
        for name in ("rows", "totals", "heads", "numeric"):
            del block[name]


def _broken(text: str) -> str:
    """A long run gets places to break (U+200B, which the template takes out again), after signs if
    it has some: it must not leave its column."""
    return _RUN.sub(lambda run: _pieces(_AFTER.sub("\u200b", run[0])), text)


def _pieces(run: str) -> str:
    return "\u200b".join(
        each[at : at + step]
        for each in run.split("\u200b")
        for step in (len(each) if len(each) <= _LONGEST else _PIECE,)
        for at in range(0, len(each), step)
    )


def _parts(block: Laid) -> Iterator[Laid]:
    """A table as it fits the page: in smaller type, else in parts, each with its first column."""
    lines = [*block["rows"], *([block["totals"]] if block["totals"] else [])]
    longest = [
        max([_widest_word(head), *(len(line[at] or "unknown") for line in lines)])
        for at, head in enumerate(block["heads"])
    ]
    needed = [
        length * _DIGIT if number else min(length, _NARROWEST) * _LETTER
        for length, number in zip(longest, block["numeric"], strict=True)
    ]
    size, inset = next((each for each in _SIZES if _width(needed, *each) <= WIDTH), _SIZES[-1])
    groups = _groups(needed, size, inset)
    whole = _width([length * _DIGIT for length in longest], size, inset)
    for number, places in enumerate(groups, start=1):
        yield {
            "label": f"Part {number} of {len(groups)}" if len(groups) > 1 else None,
            "size": size,
            "inset": inset,
            "share": _NARROW_TABLE if whole < WIDTH * _NARROW_TABLE else 1,
            "heads": [_broken(cut(block["heads"][at], 120)) for at in places],
            "numeric": [block["numeric"][at] for at in places],
            "widths": _widths(block, longest, places),
            "rows": [[_cell(row[at]) for at in places] for row in block["rows"]],
            "totals": block["totals"] and [_cell(block["totals"][at]) for at in places],
        }


def _widest_word(head: str) -> int:
    return max((len(word) for word in head.split()), default=0)


def _cell(text: str | None) -> str | None:
    return None if text is None else _broken(cut(text))


def _widths(block: Laid, longest: Sequence[int], places: Sequence[int]) -> list[float | None]:
    """None: as wide as its numbers; else a share of what is left."""
    if all(block["numeric"][at] for at in places):
        return [None] * len(places)
    texts = [longest[at] for at in places if not block["numeric"][at]]
    # Words such as a status get the room that they need, as long as a longer text gives way.
    whole = _WORD if max(texts) > _WORD else 0
    return [
        None if block["numeric"][at] or longest[at] <= whole
        else float(max(6, min(longest[at], _WIDEST)))
        for at in places
    ]  # fmt: skip


def _width(needed: Sequence[float], size: float, inset: float) -> float:
    return sum(each * size + 2 * inset for each in needed)


def _groups(needed: Sequence[float], size: float, inset: float) -> list[list[int]]:
    """Places of columns that fit beside the first one, about as many in each group."""
    if _width(needed, size, inset) <= WIDTH or len(needed) < 3:
        return [list(range(len(needed)))]
    room = WIDTH - _width(needed[:1], size, inset)
    widest = _width([max(needed[1:])], size, inset)
    most = max(1, int(room // widest))
    count = -((1 - len(needed)) // most)
    most = -((1 - len(needed)) // count)
    return [
        [0, *range(first, min(first + most, len(needed)))] for first in range(1, len(needed), most)
    ]


def _characters(laid: Laid) -> list[str]:
    """The characters used that are not certainly in the first font."""
    return sorted({each for each in json.dumps(laid, ensure_ascii=False) if ord(each) > 0x17F})


@lru_cache(maxsize=2)
def _fonts(system: bool) -> Any:
    return _library().Fonts(include_system_fonts=system, include_embedded_fonts=True)


def _fonts_for(typst: Any, characters: list[str]) -> tuple[Any, list[str]]:
    """Fonts to set these characters in, and those that no font has. The machine's own are asked
    only for what Typst's lack, so that all other files are the same everywhere."""
    missing = _lacking(typst, _fonts(False), characters)
    if not missing:
        return _fonts(False), []
    left = _lacking(typst, _fonts(True), missing)
    return (_fonts(True) if len(left) < len(missing) else _fonts(False)), left


def _lacking(typst: Any, fonts: Any, characters: Sequence[str]) -> list[str]:
    """Which of the characters cannot be set: those that Typst names, until it names none."""
    found: list[str] = []
    left = list(characters)
    while left:
        complaint = _complaint(typst, fonts, left)
        if complaint is None:
            break
        blamed = _blamed(complaint)
        named = [each for each in left if each in blamed]
        if not named:
            return sorted([*found, *_by_halves(typst, fonts, left)])
        found += named
        left = [each for each in left if each not in blamed]
    return sorted(found)


def _by_halves(typst: Any, fonts: Any, characters: list[str]) -> list[str]:
    """The same where the complaint is in words that we do not know; of many, which would be a
    compilation each, all count as lacking."""
    if len(characters) == 1 or len(characters) > _MOST_NAMED:
        return characters
    half = len(characters) // 2
    return [
        each
        for part in (characters[:half], characters[half:])
        if _complaint(typst, fonts, part) is not None
        for each in _by_halves(typst, fonts, part)
    ]


def _blamed(complaint: str) -> set[str]:
    """The characters of the texts that a complaint quotes, escaped as Rust does."""
    quoted = "".join(_QUOTED.findall(complaint))
    return {chr(int(code, 16)) for code in _ESCAPE.findall(quoted)} | set(quoted)


def _complaint(typst: Any, fonts: Any, characters: Sequence[str]) -> str | None:
    """What Typst says of these characters, each in a paragraph; None if it sets all. Beside others
    one may be set in another font, or join them."""
    inputs = {"texts": json.dumps(characters), "fonts": json.dumps(FONTS)}
    try:
        typst.compile(_PROBE, font_paths=fonts, sys_inputs=inputs, pdf_standards=["ua-1"])
    except typst.TypstError as error:
        return str(getattr(error, "diagnostic", error))
    return None


def _apology(missing: Sequence[str]) -> Laid:
    codes = ", ".join(f"U+{ord(each):04X}" for each in missing[:_MOST_NAMED])
    more = len(missing) - _MOST_NAMED
    which = f": {codes}" + (f" and {more} more" if more > 0 else "") if missing else ""
    text = (
        f"No font of the server has some characters, so that boxes are drawn for them{which}. "
        "The Excel, HTML and Markdown forms of this report have the texts complete."
    )
    return {"kind": "text", "paragraphs": [text]}
