"""Looks of an organization: its colours and its logo, checked before anything is drawn."""

from __future__ import annotations

import importlib
import io
import re
import struct
import warnings
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.report.document import Style
from llm_cost_ops.server.exports.arrow import FilesMissing

MAX_LOGO_BYTES = 1024 * 1024
MAX_LOGO_SIDE = 4096
_DRAWN_SIDE = 800
_MAX_KEPT_BYTES = 4 * _DRAWN_SIDE * _DRAWN_SIDE + 64 * 1024
"""What a picture of that side is as PNG at most: releases before this one kept such ones."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)

# Okabe and Ito's colours, which colour-blind readers tell apart, ordered so that neighbours differ
# in lightness too: a print in grey keeps them apart.
PALETTE = (
    "#0072b2", "#e69f00", "#005f46", "#56b4e9", "#8c3b00", "#f0e442", "#7a3566", "#7fd1b9",
)  # fmt: skip
OTHER = "#a6a6a6"
INK = "#222222"
QUIET = "#595959"
RULE = "#d0d0d0"


class LooksError(DomainError):
    """A logo or a colour that no report can be drawn with."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo made anew as PNG, without whatever else its file held; sizes in pixels."""

    png: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Looks:
    """Checked colours as `#rrggbb`; `on_primary` is legible on `primary`."""

    primary: str
    accent: str
    on_primary: str
    logo: Logo | None


def check_style(style: Style) -> None:
    """Raises LooksError as `checked`, before anything of it is kept."""
    checked(style)


def checked(style: Style) -> Looks:
    """The looks that a style asks for. Raises LooksError, FilesMissing."""
    return _looks(style, None if style.logo is None else _logo(style.logo, MAX_LOGO_BYTES))


def drawn_looks(style: Style) -> Looks:
    """The looks of a report that is there: one that was made must be drawn, so that a logo which
    cannot be is left out. Raises LooksError for colours, FilesMissing."""
    try:
        logo = None if style.logo is None else _logo(style.logo, _MAX_KEPT_BYTES)
    except LooksError:
        logo = None
    return _looks(style, logo)


def _looks(style: Style, logo: Logo | None) -> Looks:
    for field, colour in (("primary", style.primary), ("accent", style.accent)):
        if not _COLOUR.fullmatch(colour):
            raise LooksError("must be a colour as #rrggbb", field=field)
    return Looks(style.primary, style.accent, ink_on(style.primary), logo)


def check_logo(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, read from the head alone. Raises LooksError for what is no PNG or
    JPEG file, or is too large in bytes (1 MiB) or pixels (4096 each way)."""
    return _head(data, MAX_LOGO_BYTES)


def _head(data: bytes, most: int) -> tuple[int, int]:
    if len(data) > most:
        raise LooksError("the logo must be at most 1 MiB", field="logo")
    size = _png_size(data) if data.startswith(_PNG) else _jpeg_size(data)
    if size is None:
        raise LooksError("the logo must be a PNG or JPEG file", field="logo")
    _check_size(size)
    return size


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the first frame header; the segments before it are stepped over by their lengths."""
    if not data.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if kind == 0xFF:
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _logo(data: bytes, most: int) -> Logo:
    _head(data, most)
    image = _imaging()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of a file that inflates too far
            with image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
                if getattr(opened, "n_frames", 1) != 1:
                    raise LooksError("the logo must be a still picture", field="logo")
                _check_size(opened.size)
                opened.draft("RGB", (_DRAWN_SIDE, _DRAWN_SIDE))
                picture = opened.convert("RGBA")
    except LooksError:
        raise
    except Exception as error:  # Pillow raises what its decoders meet: OSError, SyntaxError, ...
        raise LooksError("the logo must be a PNG or JPEG file", field="logo") from error
    return _small(picture)


def _small(picture: Any) -> Logo:
    """As PNG within the limit of an upload, which a photograph that came as JPEG may exceed at its
    full size: it is made smaller then."""
    side = _DRAWN_SIDE
    while True:
        picture.thumbnail((side, side))
        out = io.BytesIO()
        picture.save(out, "PNG")
        if out.tell() <= MAX_LOGO_BYTES:
            return Logo(out.getvalue(), *picture.size)
        side = side * 3 // 4


def _check_size(size: tuple[int, int]) -> None:
    if not all(1 <= side <= MAX_LOGO_SIDE for side in size):
        raise LooksError(f"the logo must be at most {MAX_LOGO_SIDE} pixels each way", field="logo")


def _imaging() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise FilesMissing("reports with a logo", "reports") from None


def lightness(colour: str) -> float:
    """Relative luminance of `#rrggbb` as WCAG defines it: 0 is black, 1 is white."""
    red, green, blue = (_linear(part) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def tint(colour: str, share: float) -> str:
    """The colour mixed with white; `share` 1 is the colour itself, 0 is white."""
    mixed = (round(255 - (255 - part) * share) for part in _parts(colour))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def ink_on(colour: str) -> str:
    """White or the dark ink, whichever is more legible on the colour (WCAG contrast)."""
    dark = (lightness(colour) + 0.05) / (lightness(INK) + 0.05)
    return "#ffffff" if 1.05 / (lightness(colour) + 0.05) >= dark else INK


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _linear(part: int) -> float:
    share = part / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
