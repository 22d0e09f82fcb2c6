"""PDF files: our own SVG, element by element, onto a page of reportlab.

It knows what ``svg.py`` writes and no more of SVG: groups, circles, rectangles, polygons, paths of
straight and Bezier segments, and text with an anchor. Other elements are refused, not dropped.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import bidirectional, category
from xml.etree import ElementTree

from tinygrad_edu.drawing.figures.png import ITALIC_FONT, REGULAR_FONT, render_png

_SVG = "{http://www.w3.org/2000/svg}"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_INHERITED = ("fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-style",
              "text-anchor", "opacity")  # fmt: skip
_RASTER_SCALE = 8.0  # pixels per point for text that the font lacks


def render_pdf(svg: str | Sequence[str]) -> bytes:
    """Return SVG text as a PDF document of one page, or several as one of several pages.

    The fonts are inside; title and subject are those of the first page. Text that the font has no
    letters for, or that runs from right to left, is put in as a small image, drawn as for PNG
    files.

    Raises:
        ValueError: If the SVG holds an element that this module does not know.
    """
    try:
        from reportlab.pdfbase.pdfmetrics import registerFont
        from reportlab.pdfbase.ttfonts import TTFont
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        raise ImportError('PDF files need reportlab: pip install "tinygrad_edu[pdf]"') from error

    pages = [ElementTree.fromstring(page) for page in ([svg] if isinstance(svg, str) else svg)]
    fonts = {
        style: TTFont(f"tinygrad_edu {style}", path)
        for style, path in (("normal", REGULAR_FONT), ("italic", ITALIC_FONT))
    }
    for font in fonts.values():
        registerFont(font)
    file = io.BytesIO()
    # invariant: no date inside, so the same figure gives the same file
    canvas = Canvas(
        file,
        pagesize=_size(pages[0]),
        invariant=True,
        initialFontName=fonts["normal"].fontName,
    )
    canvas.setTitle(pages[0].findtext(f"{_SVG}title") or "")
    canvas.setSubject(pages[0].findtext(f"{_SVG}desc") or "")
    for page in pages:
        canvas.setPageSize(_size(page))
        _draw_page(canvas, page, fonts)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _size(root: ElementTree.Element) -> tuple[float, float]:
    return float(root.attrib["width"]), float(root.attrib["height"])


def _draw_page(canvas: Any, root: ElementTree.Element, fonts: Mapping[str, Any]) -> None:
    canvas.translate(0.0, _size(root)[1])
    canvas.scale(1.0, -1.0)  # y points down, as in SVG
    # None: what was moved or scaled ends here
    stack: list[tuple[ElementTree.Element, Mapping[str, str]] | None]
    stack = [(root, {"fill": "#000000"})]
    while stack:
        item = stack.pop()
        if item is None:
            canvas.restoreState()
            continue
        element, inherited = item
        style = {**inherited, **{k: v for k, v in element.items() if k in _INHERITED}}
        tag = element.tag.removeprefix(_SVG)
        if tag in ("svg", "g"):
            if "transform" in element.attrib:
                _transform(canvas, element.attrib["transform"])
                stack.append(None)
            stack += [(child, style) for child in reversed(element)]
        elif tag == "text":
            _draw_text(canvas, element, style, fonts)
        elif tag not in ("title", "desc"):
            _draw_shape(canvas, tag, element, style)


def _transform(canvas: Any, text: str) -> None:
    """Begin a part of a page that is moved and scaled: ``translate(x,y) scale(s)``."""
    match = re.fullmatch(r"translate\((-?[\d.]+),(-?[\d.]+)\) scale\(([\d.]+)\)", text)
    if match is None:
        raise ValueError(f"PDF files of a figure with transform={text!r}: not supported")
    x, y, scale = map(float, match.groups())
    canvas.saveState()
    canvas.translate(x, y)
    canvas.scale(scale, scale)


def _draw_shape(
    canvas: Any, tag: str, element: ElementTree.Element, style: Mapping[str, str]
) -> None:
    from reportlab.lib.colors import HexColor

    fill, stroke = style.get("fill", "none"), style.get("stroke", "none")
    paint = {"fill": int(fill != "none"), "stroke": int(stroke != "none")}
    if paint["fill"]:
        canvas.setFillColor(HexColor(fill))
    if paint["stroke"]:
        canvas.setStrokeColor(HexColor(stroke))
        canvas.setLineWidth(float(style.get("stroke-width", "1")))
        canvas.setDash([float(x) for x in style.get("stroke-dasharray", "").split()])
    get = element.attrib.get
    if tag == "circle":
        canvas.circle(*(float(element.attrib[name]) for name in ("cx", "cy", "r")), **paint)
    elif tag == "rect":
        x, y, radius = (float(get(name, "0")) for name in ("x", "y", "rx"))
        width, height = float(element.attrib["width"]), float(element.attrib["height"])
        canvas.roundRect(x, y, width, height, radius, **paint)
    elif tag in ("path", "polygon", "line"):
        canvas.drawPath(_path(canvas, tag, element), **paint)
    else:
        raise ValueError(f"PDF files of a figure with <{tag}> elements are not supported")


def _path(canvas: Any, tag: str, element: ElementTree.Element) -> Any:
    path = canvas.beginPath()
    if tag == "line":
        data = "M{x1},{y1}L{x2},{y2}".format(**element.attrib)
    elif tag == "polygon":
        data = f"M{element.attrib['points'].replace(' ', 'L')}Z"
    else:
        data = element.attrib["d"]
    for command, arguments in re.findall(r"([A-Za-z])([^A-Za-z]*)", data):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        if command == "M":
            path.moveTo(*numbers)
        elif command == "L":
            for i in range(0, len(numbers), 2):
                path.lineTo(*numbers[i : i + 2])
        elif command == "C":
            for i in range(0, len(numbers), 6):
                path.curveTo(*numbers[i : i + 6])
        elif command == "Z":
            path.close()
        else:
            raise ValueError(f"PDF files of a figure with path command {command!r}: not supported")
    return path


def _draw_text(
    canvas: Any, element: ElementTree.Element, style: Mapping[str, str], fonts: Mapping[str, Any]
) -> None:
    from reportlab.lib.colors import HexColor

    text = "".join(element.itertext())
    x, y, size = float(element.attrib["x"]), float(element.attrib["y"]), float(style["font-size"])
    font = fonts[style.get("font-style", "normal")]
    anchor = style.get("text-anchor", "start")
    canvas.saveState()
    canvas.translate(x, y)
    canvas.scale(1.0, -1.0)
    if all(ord(letter) in font.face.charToGlyph and _stands_alone(letter) for letter in text):
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        canvas.setFillColor(HexColor(style["fill"]))
        runs = _runs(element, size)
        at = -shift * sum(font.stringWidth(part, points) for part, points, _ in runs)
        for part, points, down in runs:
            canvas.setFont(font.fontName, points)
            canvas.drawString(at, -down, part)
            at += font.stringWidth(part, points)
    else:
        _draw_raster_text(canvas, text, element, style, size, anchor)
    canvas.restoreState()


def _runs(element: ElementTree.Element, size: float) -> list[tuple[str, float, float]]:
    """Return the runs of a text, for it may have lowered and raised parts: text, size, how low."""
    runs, down = [(element.text or "", size, 0.0)], 0.0
    for part in element:
        down += float(part.attrib.get("dy", "0"))
        runs.append((part.text or "", float(part.attrib.get("font-size", size)), down))
        runs.append((part.tail or "", size, down))
    return [run for run in runs if run[0]]


def _stands_alone(letter: str) -> bool:
    """Tell whether a letter is set as it is: from left to right and not onto another letter."""
    return bidirectional(letter) not in ("R", "AL", "AN", "NSM") and category(letter) != "Cf"


def _draw_raster_text(
    canvas: Any, text: str, element: ElementTree.Element, style: Mapping[str, str], size: float,
    anchor: str,
) -> None:  # fmt: skip
    """Draw text as an image: with the fonts, and the order of letters, that PNG files have."""
    from reportlab.lib.utils import ImageReader

    width, height = (len(text) * 1.4 + 2.0) * size, 2.0 * size
    at = {"start": size, "middle": width / 2.0, "end": width - size}[anchor]
    picture = ElementTree.Element(
        "svg", xmlns=_SVG[1:-1], width=f"{width:.2f}", height=f"{height:.2f}"
    )
    run = ElementTree.SubElement(
        picture, "text", {"x": f"{at:.2f}", "y": f"{1.5 * size:.2f}", "font-size": str(size),
                          "text-anchor": anchor, "fill": style["fill"],
                          "font-style": style.get("font-style", "normal"),
                          "font-family": "Liberation Serif"},
    )  # fmt: skip
    if _SPACE in element.attrib:
        run.set("xml:space", "preserve")
    run.text = text
    png = render_png(ElementTree.tostring(picture, encoding="unicode"), _RASTER_SCALE)
    image = ImageReader(io.BytesIO(png))
    canvas.drawImage(image, -at, -0.5 * size, width=width, height=height, mask="auto")
