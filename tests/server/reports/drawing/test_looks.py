"""Logos and colours that somebody uploads."""

from __future__ import annotations

import io
import itertools
import struct
import sys
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from llm_cost_ops.core.report.document import Style
from llm_cost_ops.server.exports.arrow import FilesMissing
from llm_cost_ops.server.reports.drawing import Form, LooksError, check_logo, check_style, draw
from llm_cost_ops.server.reports.drawing.looks import (
    MAX_LOGO_BYTES,
    PALETTE,
    checked,
    drawn_looks,
    ink_on,
    lightness,
    tint,
)
from tests.server.reports.drawing import documents

FORMS: tuple[Form, ...] = ("pdf", "xlsx", "html", "markdown")


def picture(kind: str, width: int = 60, height: int = 20) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "#cc0000").save(out, kind)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose head promises that size, whatever its data are."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("form", FORMS)
def test_a_logo_is_drawn(kind: str, form: Form) -> None:
    style = Style(logo=picture(kind), primary="#004422")
    plain = replace(documents.executive(), style=replace(style, logo=None))
    drawn = draw(replace(plain, style=style), form)
    assert (drawn != draw(plain, form)) == (form != "markdown")


def test_a_logo_is_made_anew_and_small() -> None:
    data = picture("PNG", 2000, 1000)
    logo = checked(Style(logo=data[:-12] + chunk(b"tEXt", b"Comment\0<script>") + data[-12:])).logo
    assert logo is not None
    assert (logo.width, logo.height) == (800, 400)
    assert b"<script>" not in logo.png


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "PNG or JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG or JPEG"),
        (b"GIF89a" + bytes(100), "PNG or JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG or JPEG"),
        (b"\xff\xd8\xff", "PNG or JPEG"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x00" * 50, "PNG or JPEG"),
        (png(4097, 1), "at most 4096 pixels"),
        (png(1, 2**31 - 1), "at most 4096 pixels"),
        (png(0, 1), "at most 4096 pixels"),
        (picture("PNG") + bytes(MAX_LOGO_BYTES), "at most 1 MiB"),
    ],
)  # fmt: skip
def test_what_is_no_logo_is_refused_before_anything_is_kept(data: bytes, message: str) -> None:
    with pytest.raises(LooksError, match=message) as caught:
        check_style(Style(logo=data))
    assert caught.value.field == "logo"
    with pytest.raises(LooksError, match=message):
        check_logo(data)


@pytest.mark.parametrize("form", FORMS)
def test_a_report_that_is_there_is_drawn_without_what_is_no_logo(form: Form) -> None:
    plain = documents.executive()
    broken = replace(plain, style=replace(plain.style, logo=b"GIF89a" + bytes(100)))
    assert draw(broken, form) == draw(replace(plain, style=replace(plain.style, logo=None)), form)


def test_a_photograph_that_may_be_kept_can_be_drawn() -> None:
    noise = Image.effect_noise((900, 900), 60).convert("RGB")
    photograph, large = io.BytesIO(), io.BytesIO()
    noise.save(photograph, "JPEG", quality=70)
    noise.resize((800, 800)).convert("RGBA").save(large, "PNG", compress_level=0)
    assert len(photograph.getvalue()) < MAX_LOGO_BYTES < len(large.getvalue())
    kept = checked(Style(logo=photograph.getvalue())).logo
    assert kept is not None
    assert len(kept.png) <= MAX_LOGO_BYTES
    assert drawn_looks(Style(logo=kept.png)).logo == kept  # what is kept is drawn as it is
    earlier = drawn_looks(Style(logo=large.getvalue())).logo  # as earlier releases kept it
    assert earlier is not None
    assert len(earlier.png) <= MAX_LOGO_BYTES


def test_a_file_that_holds_other_than_its_head_promises_is_refused() -> None:
    for data in (
        png(10, 10),
        png(10, 10, b"no deflate stream"),
        picture("JPEG")[:200],
        png(4096, 4096, zlib.compress(bytes(10))),
    ):
        check_logo(data)
        with pytest.raises(LooksError):
            check_style(Style(logo=data))


def test_moving_pictures_are_refused() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(LooksError, match="still picture"):
        check_style(Style(logo=out.getvalue()))


@pytest.mark.parametrize(("form", "library"), [("pdf", "typst"), ("xlsx", "xlsxwriter")])
def test_a_form_whose_library_is_not_there_says_what_to_install(
    form: Form, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(FilesMissing, match=r"pip install 'llm-cost-ops\[reports\]'") as caught:
        draw(documents.executive(), form)
    assert caught.value.status == 503
    assert draw(documents.executive(), "html")


def test_a_logo_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(FilesMissing, match="with a logo"):
        check_style(Style(logo=png(1, 1)))
    check_style(Style())


def test_the_limits_themselves_are_allowed() -> None:
    assert check_logo(png(4096, 4096)) == (4096, 4096)
    logo = picture("PNG")
    assert check_logo(logo + bytes(MAX_LOGO_BYTES - len(logo))) == (60, 20)
    assert check_logo(picture("JPEG", 70, 30)) == (70, 30)
    filled = picture("JPEG", 70, 30)
    assert check_logo(filled[:2] + b"\xff\xff" + filled[2:]) == (70, 30)  # bytes of filling


@pytest.mark.parametrize(
    "colour", ["red", "#12345", "#1234567", "#12345g", "#fff;}", "#１２３４５６", ""]
)
def test_a_colour_is_six_hexadecimal_digits(colour: str) -> None:
    with pytest.raises(LooksError) as caught:
        check_style(Style(primary=colour))
    assert caught.value.field == "primary"
    with pytest.raises(LooksError) as caught:
        check_style(Style(accent=colour))
    assert caught.value.field == "accent"
    check_style(Style(primary="#AbC123", accent="#000000"))


def test_text_on_any_colour_is_legible() -> None:
    assert ink_on("#ffff00") == "#222222"
    assert ink_on("#1f4e79") == "#ffffff"
    assert tint("#1f4e79", 0) == "#ffffff"
    assert tint("#1f4e79", 1) == "#1f4e79"


def test_neighbouring_colours_differ_in_lightness() -> None:
    """So that a print in grey keeps the layers of a chart apart."""
    greys = [lightness(colour) for colour in PALETTE]
    contrasts = [(max(pair) + 0.05) / (min(pair) + 0.05) for pair in itertools.pairwise(greys)]
    assert min(contrasts) > 2
