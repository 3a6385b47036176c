"""Excel workbooks as the XML that they are."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal
from xml.etree import ElementTree

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


class Book:
    """Sheets as cells by their names (`B3`): texts as str, numbers as Decimal of their digits."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.parts = zipfile.ZipFile(io.BytesIO(self.raw))
        strings = [
            "".join(each.text or "" for each in item.iter(f"{MAIN}t"))
            for item in self._xml("xl/sharedStrings.xml")
        ]
        found = self._xml("xl/workbook.xml").iter(f"{MAIN}sheet")
        self.names = [sheet.attrib["name"] for sheet in found]
        self.sheets = {
            name: self._cells(f"xl/worksheets/sheet{at}.xml", strings)
            for at, name in enumerate(self.names, start=1)
        }

    def _xml(self, name: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.parts.read(name))  # noqa: S314

    def _cells(self, name: str, strings: list[str]) -> dict[str, str | Decimal]:
        cells: dict[str, str | Decimal] = {}
        for cell in self._xml(name).iter(f"{MAIN}c"):
            value = cell.findtext(f"{MAIN}v")
            if value is not None:
                text = cell.get("t") == "s"
                cells[cell.attrib["r"]] = strings[int(value)] if text else Decimal(value)
        return cells

    def row(self, sheet: str, first: str) -> list[str | Decimal | None]:
        """Cells A to H of the last row that begins with this text: tables are below charts."""
        cells = self.sheets[sheet]
        found = [at[1:] for at, value in cells.items() if at[0] == "A" and value == first]
        return [cells.get(f"{column}{found[-1]}") for column in "ABCDEFGH"]
