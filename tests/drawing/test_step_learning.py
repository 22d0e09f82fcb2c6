"""The step-through page as a teacher: tags that cover nothing, predictions, mistakes, what if."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from chromium import OpenPage

from tinygrad_edu import MLP, Value, functional
from tinygrad_edu.drawing.pages.step_page import step_through


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    return ((x + y) + (x * y)) * z


def random_graph(seed: int, operations: int) -> Value:
    choose = random.Random(seed)
    nodes = [Value(choose.uniform(-2, 2), f"v{i}") for i in range(4)]
    for _ in range(operations):
        a, b = choose.choices(nodes[-6:], k=2)
        nodes.append(
            choose.choice([lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b,
                           lambda a, b: a.tanh(), lambda a, b: functional.maximum(a, b)])(a, b)
        )  # fmt: skip
    return nodes[-1]


def _one(x: float = 3.0) -> Value:
    return Value(x, "x")


def _graphs() -> dict[str, Any]:
    x, y = Value(1.5, "x"), Value(-0.5, "y")
    zs = [Value(0.3 * i, f"z{i}") for i in range(4)]
    a = _one()
    b = _one()
    made = {
        "figure 2": figure_2(),
        "x * x": a * a,
        "x + x + x": b + b + b,
        "x ** x": x ** x.exp(),
        "neuron": (x * 0.5 + y * -1.25 + 0.1).tanh(),
        "softmax": -functional.log(functional.softmax(zs)[1]),
        "logsumexp": functional.logsumexp(zs),
        "dot": functional.dot(zs[:2], zs[2:], x),
        "max": functional.max([x, y, x * y]),
        "where": functional.where(x > y, x * x, y),
        "division": (x - y) / (y - x + 3.0),
        "leaf": x + 0.0,
        "mlp": (MLP(2, [2, 1], activation="tanh", seed=0)([1.0, -2.0]) - 1.0) ** 2,
        "mlp, expanded": MLP(2, [2, 1], activation="relu", seed=1).expand()([1.0, -2.0]) * 2.0,
        "wide": functional.sum([z * z for z in zs]),
        "chain": x.sin().cos().exp().tanh().sin().cos().exp() * x,
    }
    return {**made, **{f"random {seed}": random_graph(seed, 8 + 3 * seed) for seed in range(6)}}


GRAPHS = _graphs()

# What covers what, in the figure, at this moment: pairs of texts.
COVERED = """() => {
  const svg = document.querySelector("#figure svg"), box = (x) => x.getBoundingClientRect();
  const seen = (x) => getComputedStyle(x).visibility !== "hidden" && x.textContent;
  const texts = [...svg.querySelectorAll(".nodes text")].filter(seen).map((x) => [x, box(x)]);
  const circles = [...svg.querySelectorAll(".shape")].map((x) => [x, box(x)]);
  const tags = [...svg.querySelectorAll(".tag rect")].map((x) => [x, box(x)]);
  const tagTexts = [...svg.querySelectorAll(".tag text")].map((x) => [x, box(x)]);
  const hit = ([, a], [, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const bad = [];
  for (const tag of tags) {
    for (const other of [...circles, ...texts, ...tags]) {
      const what = other[0].textContent || other[0].tagName;
      if (tag !== other && hit(tag, other)) bad.push(`tag over ${what}`);
    }
  }
  for (const [x, inner] of tagTexts) {
    const outer = box(x.parentElement.querySelector("rect"));
    const inside = inner.left >= outer.left && inner.right <= outer.right;
    if (!inside) bad.push(`${x.textContent} leaves its tag`);
  }
  texts.forEach(([x, a], i) => texts.slice(0, i).forEach(([y, b]) => {
    const same = x.closest(".node") === y.closest(".node") && !x.id && !y.id;   // in one circle
    if (!same && hit([x, a], [y, b])) bad.push(`${x.textContent} over ${y.textContent}`);
  }));
  return bad;
}"""


FRAMES = "frames.map((f) => [f.pass, f.node === undefined ? null : nodes[f.node].name])"


def check_steps(open_page: OpenPage, name: str, widths: dict[int, int]) -> None:
    page = open_page(step_through(GRAPHS[name]).html)
    steps = int(page.get_attribute("#scrub", "max"))
    for width, every in widths.items():
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate(
            f"() => {{ const check = {COVERED}; const all = {{}};"
            f"for (let t = 0; t <= {steps}; t += {every}) {{ go(t); const bad = check();"
            "if (bad.length) all[t] = bad; } return all; }"
        )
        assert found == {}, (name, width)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)


SOME = ["figure 2", "x * x", "x + x + x", "softmax", "mlp", "division", "random 3"]


@pytest.mark.parametrize("name", SOME)
def test_nothing_covers_a_number_or_a_circle_at_any_step(open_page: OpenPage, name: str) -> None:
    check_steps(open_page, name, {375: 7, 1280: 1, 1920: 7})


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_covers_anything_at_any_step_and_width(open_page: OpenPage, name: str) -> None:
    check_steps(open_page, name, {375: 1, 640: 1, 1280: 1, 1920: 1})


def test_tags_stay_beside_new_numbers(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    for value in ("-1234567.5", "0.000012345", "-8.25"):
        page.locator("#inputs input[type=number]").first.fill(value)
        for t in range(15):
            page.evaluate(f"go({t})")
            assert page.evaluate(COVERED) == [], (value, t)


# --- predict ---


def ask(page: Any, t: int, answer: str) -> str:
    page.evaluate(f"go({t})")
    page.fill("#answer", answer)
    page.keyboard.press("Enter")
    return str(page.inner_text("#verdict"))


def predicting(open_page: OpenPage, output: Value) -> Any:
    page = open_page(step_through(output).html)
    page.check("#predict")
    return page


def test_the_next_number_is_hidden_until_it_is_said(open_page: OpenPage) -> None:
    page = predicting(open_page, figure_2())
    page.evaluate("go(1)")
    assert page.inner_text("#line") == "h = x + y = ?"
    assert page.text_content("#value-2") == "?"
    assert "= 5" not in page.locator("main").aria_snapshot()
    assert ask(page, 1, "6") == "That is the product of the operands; look at the operation."
    assert page.text_content("#value-2") == "?"
    assert ask(page, 1, "5") == "Right."
    assert page.text_content("#value-2") == "5"
    assert page.inner_text("#line").endswith("= 5")
    page.evaluate("go(2)")
    page.click("#tell")
    assert page.text_content("#value-3") == "6"
    assert ask(page, 3, "eleven") == "Type a number, such as 4 or -0.25."


# Figure 2, frame 11 is the second term at x: 4 * 3 joins 4 * 1; the number is then 16.
@pytest.mark.parametrize(
    ("t", "answer", "words"),
    [
        (11, "12", "the new term alone. At a junction gradients add"),
        (11, "-16", "The sign"),
        (11, "3", "the local derivative; multiply it by the gradient that arrives"),
        (11, "4", "the gradient that arrives; multiply it by the local derivative di/dx"),
        (11, "100", "Not yet"),
        (11, "16", "Right."),
    ],
)
def test_a_wrong_prediction_is_told_which_mistake_it_was(
    open_page: OpenPage, t: int, answer: str, words: str
) -> None:
    page = predicting(open_page, figure_2())
    page.evaluate(f"go({t})")
    assert page.evaluate("frames[current].node") == 0
    assert page.evaluate("frames[current].count") == 2
    assert words in ask(page, t, answer)


def test_the_wrong_operand_and_the_new_value_are_recognised(open_page: OpenPage) -> None:
    x, y = Value(2.0, "x"), Value(5.0, "y")
    page = predicting(open_page, x * y * 1.0)
    frames = page.evaluate(
        "frames.map((f) => [f.pass, f.node === undefined ? null : nodes[f.node].name])"
    )
    at_x = frames.index(["backward", "x"])
    assert "by another operand; it is dg/dx here" in ask(page, at_x, "2")
    t = Value(0.5, "x")
    page = predicting(open_page, t.tanh() * 1.0)
    frames = page.evaluate(
        "frames.map((f) => [f.pass, f.node === undefined ? null : nodes[f.node].name])"
    )
    late = 1.0 - math.tanh(math.tanh(0.5)) ** 2
    assert "uses the new value" in ask(page, frames.index(["backward", "x"]), f"{late:.6f}")


# --- what if, mistakes, the address ---


def test_a_change_is_compared_with_what_the_gradient_foretold(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    assert not page.inner_text("#what-if")
    page.locator("#inputs input[type=number]").first.fill("2.5")
    assert page.inner_text("#what-if") == (
        "f: 44 → 52, a change of 8. Gradient times change: 16 · 0.5 = 8."
    )
    page.locator("#inputs input[type=number]").nth(1).fill("2")
    assert "16 · 0.5 + 12 · (−1) = −4." in page.inner_text("#what-if")
    page.click("#reset")
    assert not page.inner_text("#what-if")


def test_dragging_an_input_recomputes(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#last")
    slider = page.locator("#inputs input[type=range]").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#count").startswith("14")  # the key belonged to the slider
    assert page.input_value("#inputs input[type=number]") == "2.02"
    assert page.text_content("#value-6") == "44.32"


def test_common_mistakes_show_which_numbers_go_wrong(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.select_option("#mistake", "overwrite")
    text = page.inner_text("#mistake-text")
    assert "= in place of +=" in text
    assert "df/dx is 12, should be 16" in text or "df/dx is 4, should be 16" in text
    assert page.locator("#figure text.wrong").count() == 2
    assert page.inner_text("#phase") == "Done, with the mistake: compare the gradients."
    page.select_option("#mistake", "none")
    assert page.locator("#figure text.wrong").count() == 0
    assert page.text_content("#gradient-0") == "16"
    # an order by distance from the output goes wrong where one path is longer than another
    x = Value(0.4, "x")
    y = x * x
    page = open_page(step_through(y * (y + 1.0).tanh() * y).html)
    page.select_option("#mistake", "order")
    assert "should be" in page.inner_text("#mistake-text")
    page = open_page(step_through(Value(2.0, "x").exp() * 3.0).html)
    page.select_option("#mistake", "order")
    assert "goes unnoticed" in page.inner_text("#mistake-text")


def test_the_address_keeps_the_moment(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.locator("#inputs input[type=number]").first.fill("-1.5")
    page.evaluate("go(12)")
    address = page.evaluate("location.href")
    assert address.endswith("#step=12&in%3Ax=-1.5")
    line = page.inner_text("#line")
    page.goto("about:blank")
    page.goto(address)
    assert page.inner_text("#line") == line
    assert page.inner_text("#count") == "12 of 14"
    page.goto("about:blank")
    page.goto(address.partition("#")[0] + "#step=x&in%3Ax=%&y=%ZZ&in:x=abc")  # not written by us
    assert page.inner_text("#count") == "0 of 14"


# --- looking at it ---


def test_the_next_junction(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#junction")
    assert "paths join at x. Term 1 of 2" in page.inner_text("#phase")
    page.click("#junction")
    assert "paths join at y" in page.inner_text("#phase")
    assert open_page(step_through(_one().exp()).html).locator("#junction").is_hidden()


def test_a_large_graph_has_zoom_and_an_overview(open_page: OpenPage) -> None:
    model = MLP(3, [6, 4, 1], activation="tanh", seed=0).expand()
    page = open_page(step_through(model([1.0, 2.0, 3.0])).html)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("#overview").is_visible()
    before = page.locator("#node-0 .shape").bounding_box()["width"]
    page.click("#zoom-in")
    assert page.locator("#node-0 .shape").bounding_box()["width"] > 1.2 * before
    page.click("#zoom-fit")
    assert abs(page.locator("#node-0 .shape").bounding_box()["width"] - before) < 0.5
    # the active circle and its newest tag are in view at every step
    outside = page.evaluate(
        """() => { const bad = [], box = byId("figure").getBoundingClientRect();
        for (let t = 0; t < frames.length; t += 1) { go(t);
          const wanted = "#figure .active .shape, #figure .tag:last-child rect";
          for (const x of document.querySelectorAll(wanted)) {
            const r = x.getBoundingClientRect();
            if (r.left < box.left || r.right > box.right || r.top < box.top
              || r.bottom > box.bottom) bad.push(t); } }
        return bad; }"""
    )
    assert outside == []
    # a long line of the chain rule pushes the controls down, it does not run into them
    page.evaluate(
        "() => { const lengths = frames.map((f, t) => (go(t), byId('line').textContent.length));"
        "go(lengths.indexOf(Math.max(...lengths))); }"
    )
    line, controls = (page.locator(x).bounding_box() for x in ("#line", ".controls"))
    assert line["y"] + line["height"] <= controls["y"] + 1


def test_small_graphs_need_neither(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("#overview").is_hidden()
    assert page.locator("#view").is_hidden()


def test_type_scales_with_the_page_and_nothing_scrolls_by_a_pixel(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    sizes = []
    for width, height in ((1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0
        sizes.append(page.evaluate("parseFloat(getComputedStyle(byId('line')).fontSize)"))
    assert sizes[1] > 1.3 * sizes[0] * 0.8
    assert sizes[1] >= 28


@pytest.mark.parametrize("compact", [False, True])
def test_small_frames_work(open_page: OpenPage, compact: bool) -> None:
    page = open_page(step_through(figure_2(), compact=compact).html)
    page.set_viewport_size({"width": 640, "height": 360})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#next")
    assert "h = x + y" in page.inner_text("#line")
    if compact:
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert page.locator("#derivation").is_hidden()


def test_an_impossible_input_is_not_done(open_page: OpenPage) -> None:
    x = Value(4.0, "x")
    page = open_page(step_through(x.sqrt() * 2.0).html)
    page.locator("#inputs input[type=number]").fill("-1")
    page.click("#last")
    assert page.inner_text("#phase").startswith("Not finished: sqrt(x = ")


def test_arrow_keys_scroll_a_figure_that_has_the_focus(open_page: OpenPage) -> None:
    model = MLP(3, [6, 4, 1], activation="tanh", seed=0).expand()
    page = open_page(step_through(model([1.0, 2.0, 3.0])).html)
    page.set_viewport_size({"width": 900, "height": 700})
    page.focus("#figure")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#count").startswith("0 ")
    page.wait_for_function("byId('figure').scrollLeft > 0")


def test_lines_not_reached_are_hidden_from_screen_readers(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.evaluate("go(2)")
    tree = page.locator("#derivation").aria_snapshot()
    assert "h = x + y = 2 + 3 = 5" in tree
    assert "44" not in tree


def test_forced_colours_keep_the_current_line(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html, forced_colors="active")
    page.evaluate("go(3)")
    style = "getComputedStyle(document.querySelector('#derivation .current')).outlineStyle"
    assert page.evaluate(style) == "solid"
