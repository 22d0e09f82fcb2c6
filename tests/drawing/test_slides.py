"""The steps of a page as slides and films, and worksheets."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from chromium import OpenPage

from tinygrad_edu import Value
from tinygrad_edu.drawing.pages.course import Course
from tinygrad_edu.drawing.pages.slides import gif_of, mp4_of
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.drawing.pages.stills import Rect, Stills
from tinygrad_edu.drawing.pages.worksheet import worksheet
from tinygrad_edu.nn import MLP

SVG = "{http://www.w3.org/2000/svg}"


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    return ((x + y) + (x * y)) * z


def softmax() -> Value:
    powers = [Value(v, f"s{i}").exp() for i, v in enumerate([2.0, 1.0, -1.0])]
    return powers[0] / (powers[0] + powers[1] + powers[2])


def tall() -> Value:
    return MLP(2, [3, 1], "tanh", seed=0)([1.0, -2.0])


def square() -> Value:
    x = Value(3.0, "x")
    return x * x


def thrice() -> Value:
    x = Value(-1.5, "x")
    return x + x + x


GRAPHS = [
    tall,
    thrice,
    *(pytest.param(graph, marks=pytest.mark.slow) for graph in (figure_2, softmax, square)),
]


def texts(svg: str, kind: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return ["".join(x.itertext()) for x in found if x.attrib["class"] == kind]


# --- slides ---


@pytest.mark.parametrize("graph", GRAPHS)
def test_slides_say_and_show_what_the_page_does(open_page: OpenPage, graph: Any) -> None:
    made = step_through(graph())
    page = open_page(made.html)
    shown = page.evaluate(
        """() => frames.map((_, t) => {
          show(t);
          const seen = [...svg.querySelectorAll("text.value, text.gradient")]
            .filter((x) => getComputedStyle(x).visibility === "visible");
          return { line: byId("line").textContent, caption: byId("phase").textContent,
            numbers: seen.map((x) => x.textContent),
            tags: [...svg.querySelectorAll(".tag text")].map((x) => x.textContent) };
        })"""
    )
    assert len(made.slides) == len(shown)
    course = made._course
    for moment, expected, slide in zip(course.moments, shown, made.slides):
        assert course.line(moment) == expected["line"]
        assert course.caption(moment).replace("−", "-") == expected["caption"].replace("−", "-")
        numbers = texts(slide.svg, "value") + texts(slide.svg, "gradient")
        assert sorted(numbers) == sorted(expected["numbers"])
        assert sorted(texts(slide.svg, "tag")) == sorted(expected["tags"])


@pytest.mark.parametrize("graph", GRAPHS)
def test_tags_cover_no_number_no_circle_and_no_tag(graph: Any) -> None:
    course = Course(graph(), "test")
    stills = Stills(course)
    for moment in course.moments:
        tags = [
            Rect(*(float(x.attrib[name]) for name in ("x", "y", "width", "height")))
            for x in ElementTree.fromstring(f"<g>{stills.fragment(moment)}</g>").iter("rect")
            if x.attrib.get("class") == "tag"
        ]
        for k, tag in enumerate(tags):
            assert not any(map(tag.near, [*stills._taken, *tags[:k]])), moment
            assert Rect(0.0, 0.0, stills.width, stills.height).holds(tag), moment


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_text_of_a_slide_leaves_it_or_covers_another(open_page: OpenPage, graph: Any) -> None:
    slides = step_through(graph()).slides
    page = open_page("".join(f"<div>{slide.svg}</div>" for slide in slides[:: len(slides) // 5]))
    found = page.evaluate(
        """() => [...document.querySelectorAll("div > svg")].flatMap((svg) => {
          const all = [...svg.querySelectorAll(":scope > text")].map((x) => [x, x.getBBox()]);
          const figure = svg.querySelector(":scope > g");
          all.push([figure, figure.getBoundingClientRect()]);
          const corner = svg.getBoundingClientRect();
          all.at(-1)[1] = new DOMRect(all.at(-1)[1].x - corner.x, all.at(-1)[1].y - corner.y,
            all.at(-1)[1].width, all.at(-1)[1].height);
          const bad = all.filter(([, b]) => b.x < 0 || b.y < 0 || b.right > 960 || b.bottom > 540);
          all.forEach(([x, a], i) => all.slice(0, i).forEach(([y, b]) => {
            const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (across > 1 && down > 4) bad.push([x, a]);
          }));
          return bad.map(([x]) => x.textContent);
        })"""
    )
    assert found == []


def test_slides_become_a_pdf_with_a_page_for_each(tmp_path: Path) -> None:
    pytest.importorskip("reportlab", reason="reportlab (the extra pdf) is not installed")
    page = step_through(square())
    page.save(tmp_path / "steps.pdf")
    content = (tmp_path / "steps.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == len(page.slides) == 6
    page.save(tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == content


def test_a_gif_shows_every_step_and_the_last_one_longer(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow (the extra film) is not installed")
    page = step_through(square())
    page.slides[2:-1] = []
    page.save(tmp_path / "steps.gif", seconds=0.5)
    with image.open(tmp_path / "steps.gif") as film:
        assert (film.size, film.n_frames) == ((1280, 720), len(page.slides))
        for k, slide in enumerate(page.slides):
            film.seek(k)
            assert film.info["duration"] == (1500 if k == len(page.slides) - 1 else 500)
            still = image.open(io.BytesIO(slide.png(4.0 / 3.0))).convert("L")
            frame = film.convert("RGB").convert("L")
            differences = [abs(a - b) for a, b in zip(still.tobytes(), frame.tobytes())]
            assert sum(differences) / len(differences) < 1.0


def test_a_video_has_a_length_and_a_size(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra film is not installed")
    page = step_through(Value(2.0, "x") * 3.0)
    page.slides[1:-1] = []
    page.save(tmp_path / "steps.mp4", seconds=0.4)
    reader = ffmpeg.read_frames(str(tmp_path / "steps.mp4"))
    facts = next(reader)
    reader.close()
    assert facts["size"] == (1280, 720)
    assert facts["codec"] == "h264"
    assert facts["duration"] == pytest.approx(0.4 * (len(page.slides) + 2), abs=0.15)


def test_what_is_wrong_is_said_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = step_through(square())
    with pytest.raises(ValueError, match=r"a page is saved as \.html, its steps as \.pdf"):
        page.save(tmp_path / "steps.webm")
    for seconds in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(ValueError, match=r"seconds: expected a number from 0\.02 to 60"):
            page.save(tmp_path / "steps.gif", seconds=seconds)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    for make, what in ((gif_of, "GIF"), (mp4_of, "MP4")):
        with pytest.raises(ImportError, match=rf"{what} files need an extra.*tinygrad_edu\[film\]"):
            make(page.slides, 1.0)
    assert list(tmp_path.iterdir()) == []


# --- worksheets ---


def numbers_of(sheet: str) -> list[str]:
    """All numbers on a sheet: whole words, so that the 5 of ``w1_52`` is none."""
    return re.findall(r"(?<![\w.])−?\d+(?:\.\d+)?(?:e−?\d+)?(?![\w.])", sheet)


def seen(html: str, part: str) -> str:
    """What is to be read on one part of a page, titles that a pointer shows included."""
    found = re.search(rf'<section class="sheet {part}">(.*?)</section>', html, re.S)
    assert found
    return re.sub(r"<desc>.*?</desc>|<[^>]+>", "\n", found[1])


def primes(count: int) -> list[float]:
    found: list[float] = []
    n = 101
    while len(found) < count:
        if all(n % k for k in range(2, n)):
            found.append(float(n))
        n += 1
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_stands_on_the_sheet_of_questions(seed: int) -> None:
    rng = random.Random(seed)
    nodes = [Value(x, f"x{i}") for i, x in enumerate(primes(4))]  # no two numbers are equal then
    for _ in range(5):
        a, b = rng.sample(nodes[-4:], 2)
        nodes.append(rng.choice([lambda p, q: p * q, lambda p, q: p + q * q])(a, b))
    course = Course(nodes[-1], "test")
    rule = course.rule
    everything = {rule.names[i]: ("value", i) for i, n in enumerate(rule.nodes) if n.op}
    everything |= {course.writer.gradient_name(i): ("gradient", i) for i in rule.backward}
    chosen = rng.sample(list(everything), 5)
    sheet = worksheet(nodes[-1], blanks=chosen)
    assert set(sheet.answers) == set(chosen)
    written = course.writer.formula.number
    secret = {written(x).text.replace("-", "−") for x in sheet.answers.values()}
    # what is given elsewhere is no secret: an equal number, or one to be read off a formula
    given = (
        {
            written(rule.nodes[i].data).text if kind == "value" else written(rule.gradients[i]).text
            for name, (kind, i) in everything.items()
            if name not in chosen
        }
        | {written(n.data).text for n in rule.nodes if not n.op}
        | {"0", "1", "2"}
    )
    questions = seen(sheet.html, "questions")
    assert not (secret - given) & set(numbers_of(questions)), f"seed {seed}: {chosen}"
    paper = "\n".join(
        "\n".join("".join(x.itertext()) for x in ElementTree.fromstring(page).iter(f"{SVG}text"))
        for page in sheet._paper(answers=False)
    )
    assert not (secret - given) & set(numbers_of(paper)), f"seed {seed}: {chosen}"
    answers = seen(sheet.html, "answers")
    assert secret <= set(numbers_of(answers))


def test_a_worksheet_has_a_box_and_a_line_for_each_blank() -> None:
    sheet = worksheet(figure_2())
    assert list(sheet.answers) == [f"df/d{name}" for name in "fgzhixy"]
    assert sheet.html.count('<rect class="blank"') == 7 == sheet.html.count('<span class="blank')
    assert "16" not in numbers_of(seen(sheet.html, "questions"))
    assert "df/dx = df/dh · dh/dx + df/di · di/dx = " in seen(sheet.html, "questions")
    assert "= 4 · 1 + 4 · 3 = 4 + 12 = " in seen(sheet.html, "answers")
    values = worksheet(figure_2(), blanks="values")
    assert values.answers == {"h": 5.0, "i": 6.0, "g": 11.0, "f": 44.0}
    assert worksheet(figure_2(), blanks="all").answers == {**values.answers, **sheet.answers}


def test_nodes_are_chosen_as_they_are() -> None:
    f = figure_2()
    x, g = f.operands[0].operands[0].operands[0], f.operands[0]
    assert worksheet(f, blanks=[x, g]).answers == {"g": 11.0, "df/dg": 4.0, "df/dx": 16.0}
    assert all(node.grad == 0.0 for node in (x, g, f))


@pytest.mark.parametrize("graph", GRAPHS)
def test_answers_begin_on_a_page_of_their_own(
    open_page: OpenPage, tmp_path: Path, graph: Any
) -> None:
    sheet = worksheet(graph())
    sheet.save(tmp_path / "sheet.html")
    page = open_page(sheet.html)
    for width in (375, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(media="print")
    assert page.evaluate(
        "getComputedStyle(document.querySelector('.answers')).breakBefore"
    ) == "page"  # fmt: skip
    questions, answers = sheet._paper(answers=False), sheet._paper(answers=True)
    assert sheet.sheets() == [*questions, *answers]
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) >= 2


def test_a_worksheet_is_saved_as_pdf(tmp_path: Path) -> None:
    pytest.importorskip("reportlab", reason="reportlab (the extra pdf) is not installed")
    worksheet(figure_2()).save(tmp_path / "sheet.pdf")
    content = (tmp_path / "sheet.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    with pytest.raises(ValueError, match=r"a worksheet is saved as \.html or \.pdf"):
        worksheet(figure_2()).save(tmp_path / "sheet.png")


def test_texts_of_a_sheet_do_not_leave_it(open_page: OpenPage) -> None:
    sheets = [
        svg for graph in (tall, figure_2) for svg in worksheet(graph(), blanks="all").sheets()
    ]
    page = open_page("".join(f"<div>{svg}</div>" for svg in sheets))
    found = page.evaluate(
        """() => [...document.querySelectorAll("svg > text, svg > line")].filter((x) => {
          const b = x.getBBox();
          return b.x < 40 || b.y < 40 || b.x + b.width > 556 || b.y + b.height > 802;
        }).map((x) => x.textContent)"""
    )
    assert found == []


def test_hostile_labels_stay_text_on_a_sheet() -> None:
    x = Value(2.0, "</section><script>alert(1)</script>")
    made = worksheet(x * x, title="<b>{{style}}</b>")
    assert "<script" not in made.html
    assert "<b>" not in made.html
    for svg in made.sheets():
        ElementTree.fromstring(svg)


def test_a_wrong_choice_of_blanks_is_said() -> None:
    f = figure_2()
    with pytest.raises(TypeError, match="worksheet: expected a Value, got float"):
        worksheet(3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="blanks: expected 'gradients', 'values', 'all' or"):
        worksheet(f, blanks="gradient")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="blanks: 'x' is an input: its value is given"):
        worksheet(f, blanks=["x"])
    with pytest.raises(ValueError, match=r"blanks: no 'q' on this sheet; there are h, i, g, f, "):
        worksheet(f, blanks=["q"])
    with pytest.raises(TypeError, match="blanks: expected names and Values, got int 3"):
        worksheet(f, blanks=[3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="is not a node of this graph"):
        worksheet(f, blanks=[Value(1.0, "a")])
    with pytest.raises(ValueError, match="nothing is asked for"):
        worksheet(f, blanks=[])
