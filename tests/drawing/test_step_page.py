"""The step-through page as a file; ``test_browser.py`` opens it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tinygrad_edu import Value
from tinygrad_edu.cli import main
from tinygrad_edu.drawing.pages.page import Page
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.engine.value import topological_order


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    return ((x + y) + (x * y)) * z


def chain(length: int) -> Value:
    node = Value(1.0, "x")
    for _ in range(length):
        node = node + 1.0
    return node


def data(page: Page) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.html)
    assert found
    return json.loads(found[1])


def figure(page: Page) -> ElementTree.Element:
    start, end = page.html.index('<svg xmlns="'), page.html.index("</svg>") + len("</svg>")
    return ElementTree.fromstring(page.html[start:end])


def test_the_graph_is_left_alone() -> None:
    f = figure_2()
    f.backward()
    order = topological_order(f)
    before = [(node.data, node.grad, node.label) for node in order]
    step_through(f)
    assert [(node.data, node.grad, node.label) for node in order] == before


def test_the_page_carries_the_figure_the_derivation_and_the_data() -> None:
    page = step_through(figure_2())
    texts = [x.text for x in figure(page).iter() if x.tag.endswith("text")]
    assert {"44", "16", "12", "11", "x", "h"} <= set(texts)
    assert "df/dx = df/dh · dh/dx + df/di · di/dx = 4 · 1 + 4 · 3 = 4 + 12 = 16" in page.html
    graph = data(page)
    assert [node["name"] for node in graph["nodes"]] == ["x", "y", "h", "i", "g", "z", "f"]
    assert graph["backward"] == [6, 4, 5, 2, 3, 0, 1]
    assert graph["nodes"][3]["pieces"] == [[0, 0], " * ", [1, 1]]
    assert [term["letters"] for term in graph["terms"][0]] == ["df/dh * dh/dx", "df/di * di/dx"]


def test_the_same_graph_gives_the_same_page() -> None:
    assert step_through(figure_2()).html == step_through(figure_2()).html


def test_nothing_outside_is_asked_for() -> None:
    page = step_through(figure_2()).html
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    assert "default-src 'none'" in page
    assert "@import" not in page


def test_a_label_cannot_end_the_script_or_be_filled_in_again() -> None:
    x = Value(2.0, "</script><!--{{script}}")
    page = step_through(x * x)
    assert page.html.count("</script>") == 2
    assert "{{script}}" in data(page)["nodes"][0]["name"]
    assert len(step_through(x * x).html) < 72_000
    ElementTree.fromstring(ElementTree.tostring(figure(page)))


def test_it_says_why_a_large_graph_has_no_page_and_what_to_do() -> None:
    f = chain(2000)
    with pytest.raises(ValueError, match=r"4,001 nodes, more than max_nodes=500.* pass depth=249 "):
        step_through(f)
    page = step_through(f, depth=249)
    assert len(data(page)["nodes"]) == 499
    with pytest.raises(ValueError, match="max_nodes=500"):
        step_through(f, depth=250)


def test_a_cut_graph_starts_from_the_values_at_its_edge() -> None:
    graph = data(step_through(figure_2(), depth=1, title="the last step"))
    assert [(node["name"], node.get("value")) for node in graph["nodes"]] == [
        ("x1", 11.0), ("z", 4.0), ("f", None),
    ]  # fmt: skip


def test_values_come_from_the_present_data_of_the_inputs() -> None:
    x = Value(2.0, "x")
    f = x * x
    x.data = 5.0
    assert "f = x · x = 5 · 5 = 25" in step_through(f).html
    x.data = 0.0
    with pytest.raises(ZeroDivisionError, match="div"):
        step_through(Value(1.0) / x)


def test_infinities_and_nan_travel_in_the_data() -> None:
    page = step_through(Value(float("inf"), "x") * Value(float("-inf"), "y") + Value(float("nan")))
    values = [node.get("value") for node in data(page)["nodes"]]
    assert values == ["Infinity", "-Infinity", None, "NaN", None]


def test_saving_and_showing(tmp_path: Path) -> None:
    page = step_through(figure_2())
    path = tmp_path / "page.html"
    page.save(path)
    assert path.read_text(encoding="utf-8") == page.html
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(ValueError, match=r"a page is saved as \.html"):
        page.save(tmp_path / "page.svg")
    shown = page._repr_html_()
    found = re.search(r'srcdoc="([^"]*)"', shown)
    assert found
    assert html.unescape(found[1]) == page.html
    assert repr(page).startswith("<page about f = (x + y + x * y) * z, ")


def test_errors() -> None:
    with pytest.raises(TypeError, match="step_through: expected a Value, got float"):
        step_through(3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depth"):
        step_through(figure_2(), depth=-1)
    with pytest.raises(ZeroDivisionError, match="gradient of sqrt"):
        step_through(Value(0.0, "x").sqrt())


def test_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    formula = ["((x+y)+(x*y))*z", "x=2", "y=3", "z=4"]
    path = tmp_path / "page.html"
    assert main(["step", *formula, "-o", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == step_through(figure_2()).html
    assert str(path) in capsys.readouterr().out
    assert main(["step", *formula, "-o", str(tmp_path / "page.svg")]) == 2
    assert "a page is saved as .html" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["step", *formula, "--depth", "1"]) == 0
    assert len(data(Page(Path("step.html").read_text(encoding="utf-8"), ""))["nodes"]) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "step.html"]
