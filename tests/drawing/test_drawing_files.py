"""Figures as files: SVG, PNG, PDF and DOT, written whole or not at all."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tinygrad_edu import Value, _files
from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing import Figure, draw
from tinygrad_edu.drawing.figures import png as png_module
from tinygrad_edu.drawing.figures.pdf import render_pdf
from tinygrad_edu.drawing.figures.png import ITALIC_FONT, REGULAR_FONT

pytestmark = pytest.mark.usefixtures("each_engine")


def figure_1(label: str = "x") -> Figure:
    x, y, z = Value(2.0, label), Value(3.0, "y"), Value(4.0, "z")
    f = (x + y) * z
    f.backward()
    return draw(f, title="Figure 1")


def png_size(png: bytes) -> tuple[int, ...]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def pixels(png: bytes) -> Any:
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png)).convert("RGB")
    return image.tobytes()


def test_each_suffix(tmp_path: Path) -> None:
    figure = figure_1()
    for suffix in (".svg", ".png", ".pdf", ".dot", ".PNG"):
        figure.save(tmp_path / f"figure{suffix}")
    read = {path.suffix: path.read_bytes() for path in tmp_path.iterdir()}
    assert read[".svg"].decode("utf-8") == figure.svg
    assert read[".dot"].decode("utf-8") == figure.dot
    assert read[".png"] == read[".PNG"] == figure.png()
    assert read[".pdf"] == figure.pdf()
    assert ElementTree.fromstring(read[".svg"]).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", ["figure", "figure.jpg", "figure.svg.gz", ".svg", "figure."])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"saved as one of \.svg, \.png, \.pdf, \.dot, got"):
        figure_1().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_without_graph_has_no_dot(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no graph"):
        Figure(figure_1().svg).save(tmp_path / "figure.dot")
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_made_once_and_late() -> None:
    calls: list[str] = []

    def make() -> str:
        calls.append("made")
        return '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>'

    figure = Figure(make)
    assert repr(figure) == "Figure(...)"
    assert calls == []
    assert figure._repr_svg_() == figure.svg
    assert calls == ["made"]
    assert repr(figure) == "Figure(30 x 20)"
    assert figure.size == (30.0, 20.0)


# --- PNG ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.7])
def test_scale_of_a_png(scale: float) -> None:
    figure = figure_1()
    width, height = figure.size
    got = png_size(figure.png(scale))
    assert (width, height) == (round(width), round(height))  # a figure has whole points,
    assert abs(got[0] - width * scale) <= 0.5  # and is rounded to pixels
    assert abs(got[1] - height * scale) <= 0.5


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.7])
def test_no_pixel_of_a_png_is_transparent(scale: float) -> None:
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(figure_1().png(scale)))
    assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_wrong_scales(scale: float) -> None:
    with pytest.raises(ValueError, match="scale: expected a positive number"):
        figure_1().png(scale)


def test_a_png_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pixels is too large: pass a scale below 4.*or save as"):
        figure_1().png(1000.0)


def test_a_png_has_letters_without_any_font_on_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    import resvg_py

    figure = figure_1()
    usual = figure.png()
    render = resvg_py.svg_to_bytes
    monkeypatch.setattr(
        resvg_py, "svg_to_bytes", lambda **options: render(**{**options, "skip_system_fonts": True})
    )
    bare = figure.png()
    without_text = Figure(re.sub(r"<text.*?</text>", "", figure.svg)).png()
    assert bare == usual
    assert pixels(bare) != pixels(without_text)
    assert pixels(figure.png()).count(bytes.fromhex("15803d")) > 20, "no green numbers"


def test_letters_said_to_be_covered_are_covered() -> None:
    tt_font = pytest.importorskip("fontTools.ttLib").TTFont
    covered = [
        code
        for code in range(0x20, 0x10000)
        if not 0xD800 <= code < 0xE000 and png_module._COVERED.fullmatch(chr(code))
    ]
    assert len(covered) > 500
    for path in (REGULAR_FONT, ITALIC_FONT):
        letters = tt_font(path).getBestCmap()
        assert [chr(code) for code in covered if code not in letters] == []


# --- PDF ------------------------------------------------------------------------------------------


def content_of(pdf: bytes) -> str:
    """What is drawn on the page: the unpacked content stream."""
    import base64

    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    for stream in streams:
        try:
            text = zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>")))
        except (ValueError, zlib.error):
            continue
        if b" cm" in text and b" l" in text:
            return text.decode("latin-1")
    raise AssertionError("no content stream")


def test_a_pdf_holds_vectors_and_text() -> None:
    pdf = figure_1().pdf()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert pdf.count(b"/FontFile2") == 2, "the two fonts are not inside"
    assert b"/Subtype /Image" not in pdf
    content = content_of(pdf)
    green, red = ".082353 .501961 .239216 rg", ".784314 .117647 .117647 rg"
    assert content.count(green) == 5
    assert content.count(red) == 5
    assert content.count(" c ") + content.count(" c\n") > 20, "no curves"
    width, height = figure_1().size
    page = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert page is not None
    assert (float(page[1]), float(page[2])) == pytest.approx((width, height), abs=0.01)


def test_a_pdf_is_the_same_from_run_to_run() -> None:
    assert figure_1().pdf() == figure_1().pdf()


@pytest.mark.parametrize("label", ["输入", "🎉", "שלום", "e\u0301", "ab שלום"])
def test_text_that_the_font_cannot_set_goes_into_a_pdf_as_an_image(label: str) -> None:
    assert figure_1(label).pdf().count(b"/Subtype /Image") >= 1


def test_a_pdf_of_unknown_elements_is_refused() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><{}/></svg>'
    for element in ("ellipse", "image", 'path d="M0,0A1,1"'):
        with pytest.raises(ValueError, match="not supported"):
            render_pdf(svg.format(element))


@pytest.mark.parametrize(("module", "method"), [("resvg_py", "png"), ("reportlab", "pdf")])
def test_missing_packages_are_named(
    module: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = figure_1()
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    extra = r'"tinygrad_edu\[pdf\]"' if method == "pdf" else ""
    with pytest.raises(ImportError, match=f"pip install {extra}"):
        getattr(figure, method)()


# --- writing --------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figure.svg"
    path.write_text("old", encoding="utf-8")

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, step, fail)
            with pytest.raises(OSError, match="no space left"):
                figure_1().save(path)
        assert path.read_text(encoding="utf-8") == "old"
        assert list(tmp_path.iterdir()) == [path], "a temporary file is left"


def test_writing_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    write_atomically(str(path), b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    with pytest.raises(TypeError, match="expected bytes or text, got int"):
        write_atomically(path, 3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"file'$"):
        write_atomically(tmp_path / "nowhere" / "file", "x")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link, fresh, plain = (tmp_path / name for name in ("file", "link", "fresh", "plain"))
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    write_atomically(fresh, "x")
    plain.write_text("x", encoding="utf-8")
    assert fresh.stat().st_mode == plain.stat().st_mode
