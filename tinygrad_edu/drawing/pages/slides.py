"""One slide for each moment of a course; and what is made of them: PDF, GIF and MP4 files."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR
from tinygrad_edu.drawing.figures.elements import svg_root, svg_text_element
from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.pdf import render_pdf
from tinygrad_edu.drawing.pages.course import Course, Moment, on_paper
from tinygrad_edu.drawing.pages.paper import fitted, text_lines, wrapped
from tinygrad_edu.drawing.pages.stills import Stills

_WIDTH, _HEIGHT, _MARGIN = 960.0, 540.0, 30.0  # 16:9
_SCALE = 4.0 / 3.0  # films are 1280 x 720
_FPS = 10  # of a video: some players do not show less
_INK, _SOFT = "#1f2328", "#57606a"
_LARGEST = 2.0  # times its natural size is a figure drawn
Room = tuple[float, float, float, float]  # left, top, width, height
# Rooms for the figure and for the words: below it, or to the right of a tall one.
_ROOMS: tuple[tuple[Room, Room], ...] = (
    ((_MARGIN, 60.0, 900.0, 326.0), (_MARGIN, 396.0, 900.0, 118.0)),
    ((_MARGIN, 60.0, 520.0, 450.0), (570.0, 120.0, 360.0, 380.0)),
)


def slides(course: Course) -> list[Figure]:
    """Return a slide for each moment, drawn when it is first looked at.

    >>> from tinygrad_edu import Value
    >>> x = Value(3.0, "x")
    >>> made = slides(Course(x * x, "page"))
    >>> len(made), made[0].size
    (6, (960.0, 540.0))
    """
    stills = Stills(course)

    def drawn(place: int, moment: Moment) -> Figure:
        return Figure(lambda: _slide(course, stills, place, moment))

    return [drawn(k, moment) for k, moment in enumerate(course.moments)]


def _slide(course: Course, stills: Stills, place: int, moment: Moment) -> str:
    size = (stills.width, stills.height)
    room, (x, y, across, down) = max(_ROOMS, key=lambda rooms: _scale(size, rooms[0]))
    figure, _ = fitted(stills.fragment(moment), size, room, _LARGEST)
    title = wrapped(on_paper(course.title), 22.0, _WIDTH - 2.0 * _MARGIN)[0]
    caption, line = course.caption(moment), course.line(moment)
    color = {"forward": VALUE_COLOR, "backward": GRADIENT_COLOR}.get(moment.part, _SOFT)
    words = wrapped(caption, 17.0, across)
    top = y + 22.0 * len(words) + 10.0
    points, lines = 26.0, wrapped(line, 26.0, across)
    while len(lines) * 1.3 * points > y + down - top and points > 6.0:
        points *= 0.9
        lines = wrapped(line, points, across)
    return svg_root(
        _WIDTH,
        _HEIGHT,
        on_paper(course.title),
        f"{caption} {line}",
        [
            svg_text_element(_MARGIN, 42.0, title, 22.0, _INK, kind="heading", anchor="start"),
            figure,
            *text_lines(words, x, y + 16.0, 17.0, 22.0, color, "caption"),
            *text_lines(lines, x, top + points, points, 1.3 * points, _INK, "line"),
            svg_text_element(
                _WIDTH - _MARGIN, _HEIGHT - 12.0, f"{place} of {len(course.moments) - 1}", 13.0,
                _SOFT, kind="count", anchor="end",
            ),
        ],
    )  # fmt: skip


def _scale(size: tuple[float, float], room: Room) -> float:
    return min(room[2] / size[0], room[3] / size[1], _LARGEST)


def pdf_of(figures: list[Figure]) -> bytes:
    """Return one PDF document with a page for each slide."""
    return render_pdf([figure.svg for figure in figures])


def gif_of(figures: list[Figure], seconds: float) -> bytes:
    """Return an animation that shows each slide for so long, the last three times as long."""
    frames = (image.quantize(64, dither=0) for image in _images(figures, "GIF files"))
    file = io.BytesIO()
    milliseconds = [round(1000.0 * seconds)] * len(figures)
    milliseconds[-1] *= 3
    next(frames).save(
        file, "GIF", save_all=True, append_images=frames, duration=milliseconds, loop=0
    )
    return file.getvalue()


def mp4_of(figures: list[Figure], seconds: float) -> bytes:
    """Return a video (H.264) that shows each slide for so long, the last three times as long."""
    try:
        from imageio_ffmpeg import write_frames
    except ImportError as error:
        raise ImportError(f"MP4 files need {_EXTRA}") from error

    repeats = max(1, round(_FPS * seconds))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        size = (round(_WIDTH * _SCALE), round(_HEIGHT * _SCALE))
        writer = write_frames(
            str(path), size, fps=_FPS, macro_block_size=2, ffmpeg_log_level="error"
        )
        writer.send(None)
        try:
            for k, image in enumerate(_images(figures, "MP4 files")):
                content = image.tobytes()
                for _ in range(repeats * (3 if k == len(figures) - 1 else 1)):
                    writer.send(content)
        finally:
            writer.close()
        return path.read_bytes()


_EXTRA = 'an extra: pip install "tinygrad_edu[film]"'


def _images(figures: list[Figure], what: str) -> Iterator[Any]:
    """Yield the slides as pictures of Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{what} need {_EXTRA}") from error

    for figure in figures:
        yield Image.open(io.BytesIO(figure.png(_SCALE))).convert("RGB")
