"""The step-through page in a real browser: stepping, scrubbing, editing, keyboard, and its manners.

Every test also fails on a console message, a script error, a dialog or a request that leaves the
page (see ``chromium.py``).
"""

from __future__ import annotations

import json
import math
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chromium import OpenPage
from reference import ALL_OPS, op_id, sample_operands
from test_javascript import cases, compare, script

from tinygrad_edu import Value
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.drawing.words.explanation import explain
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.value import topological_order


def figure_2(x: float = 2.0, y: float = 3.0, z: float = 4.0) -> Value:
    a, b, c = Value(x, "x"), Value(y, "y"), Value(z, "z")
    return ((a + b) + (a * b)) * c


NODES = ["x", "y", "h", "i", "g", "z", "f"]  # in the order of the forward pass


def shown(page: Any, kind: str) -> dict[str, str]:
    """The values or gradients that can be seen in the figure, by node."""
    texts = page.eval_on_selector_all(
        f"#figure text.{kind}",
        "all => all.filter(x => getComputedStyle(x).visibility === 'visible')"
        ".map(x => [x.id, x.textContent])",
    )
    return {NODES[int(name.split("-")[-1])]: text for name, text in texts}


def line(page: Any) -> str:
    return str(page.inner_text("#line")).replace("\n", " ")


def lines(page: Any) -> list[str]:
    """The derivation, as far as it can be seen, in the notation of ``explain``."""
    texts = page.eval_on_selector_all(
        "#derivation button",
        "all => all.filter(x => getComputedStyle(x).visibility === 'visible')"
        ".map(x => x.textContent)",
    )
    return [text.replace(" · ", " * ").replace("−", "-") for text in texts]


def explained(output: Value) -> list[str]:
    return [x.text for x in explain(output, limit=None).lines if x.part != "local"]


# --- playing ------------------------------------------------------------------------------------


def test_forward_then_backward_one_node_at_a_time(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    assert shown(page, "value") == {"x": "2", "y": "3", "z": "4"}
    assert shown(page, "gradient") == {}
    forward = {"h": "5", "i": "6", "g": "11", "f": "44"}
    for count, name in enumerate(forward, 1):
        page.click("#next")
        assert list(shown(page, "value")) == [n for n in NODES if n in "xyz" + "higf"[:count]]
        assert page.get_attribute("#figure .node.active", "id") == f"node-{NODES.index(name)}"
        assert page.locator("#figure .edge.active").count() == 2
        assert shown(page, "gradient") == {}
    assert line(page) == "f = g · z = 11 · 4 = 44"
    arrived = []
    for expected in ["f", "g", "z", "h", "i", "x", "x", "y", "y"]:
        page.click("#next")
        if expected not in arrived:
            arrived.append(expected)
        assert set(shown(page, "gradient")) == set(arrived)
    page.click("#next")
    assert shown(page, "gradient") == {
        "x": "16", "y": "12", "h": "4", "i": "4", "g": "4", "z": "11", "f": "1",
    }  # fmt: skip
    assert page.locator("#figure .active").count() == 0
    page.click("#next")  # the end stays the end
    assert page.inner_text("#count") == "14 of 14"


def test_the_sum_at_a_junction_builds_up_term_by_term(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert line(page) == "df/dx = df/dh · dh/dx + df/di · di/dx = 4 · 1 + ..."
    assert shown(page, "gradient")["x"] == "4"
    tags = page.eval_on_selector_all("#figure .tag text", "all => all.map(x => x.textContent)")
    assert tags == ["dh/dx = 1", "4 · 1 = 4"]
    page.keyboard.press("ArrowRight")
    assert line(page) == "df/dx = df/dh · dh/dx + df/di · di/dx = 4 · 1 + 4 · 3 = 4 + 12 = 16"
    assert shown(page, "gradient")["x"] == "16"
    tags = page.eval_on_selector_all("#figure .tag text", "all => all.map(x => x.textContent)")
    assert tags == ["dh/dx = 1", "4 · 1 = 4", "di/dx = 3", "4 · 3 = 12"]
    assert page.get_attribute("#figure .edge.active", "id") == "edge-0-3-0"
    assert page.inner_text("#phase").startswith("Backward pass: paths join at x. Term 2 of 2")


def test_scrubbing_and_stepping_back_show_what_stepping_showed(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)

    def state() -> tuple[Any, ...]:
        return shown(page, "value"), shown(page, "gradient"), line(page), lines(page)

    states = []
    for _ in range(15):
        states.append(state())
        page.keyboard.press("ArrowRight")
    for t in [7, 3, 14, 0, 11]:
        page.locator("#scrub").fill(str(t))
        assert state() == states[t]
    for t in reversed(range(11)):
        page.click("#back")
        assert state() == states[t]


def test_playing_runs_to_the_end_and_pauses(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.clock.install(time=0)
    page.clock.pause_at(3600)  # from now on only run_for() lets time pass
    page.select_option("#speed", "fast")

    def after(steps: float) -> tuple[str, str]:
        page.clock.run_for(400 * steps)
        return page.inner_text("#count"), page.inner_text("#play").strip()

    page.click("#play")
    assert after(3.5) == ("3 of 14", "Pause")
    page.click("#play")
    assert after(2) == ("3 of 14", "Play")
    page.click("#play")
    page.select_option("#speed", "slow")
    assert after(6.5) == ("4 of 14", "Pause")
    page.select_option("#speed", "fast")
    assert after(30) == ("14 of 14", "Play")
    page.click("#play")  # from the start again
    assert after(1.5) == ("1 of 14", "Pause")
    page.click("#next")  # stepping pauses
    assert after(5) == ("2 of 14", "Play")


def test_lines_and_nodes_are_places_to_go_to(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#last")
    page.locator("#derivation button", has_text="df/dx").first.click()
    assert line(page).endswith("= 16")
    page.locator("#derivation button[data-pass=forward]", has_text="h =").first.click()
    assert line(page) == "h = x + y = 2 + 3 = 5"
    page.locator("#node-4 .title").click()
    assert line(page) == "g = h + i = 5 + 6 = 11"


# --- keyboard, screen reader, sizes, paper --------------------------------------------------------


def test_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    count = lambda: page.inner_text("#count").split()[0]  # noqa: E731
    for key, expected in [
        ("ArrowRight", "1"), ("ArrowRight", "2"), ("ArrowLeft", "1"), ("End", "14"), ("Home", "0"),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert count() == expected
    page.keyboard.press(" ")
    assert page.inner_text("#play").strip() == "Pause"
    page.keyboard.press(" ")
    assert page.inner_text("#play").strip() == "Play"
    # Every control can be reached, shows the focus, and does what its name says.
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(x => x.id || (x.dataset.node && x.tagName + x.dataset.node) || x.tagName)"
                "(document.activeElement)"
            )
        )
        if reached[-1] == "next" and count() == "0":
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            page.keyboard.press("Enter")
            assert count() == "1"
    assert {"first", "back", "play", "next", "last", "scrub", "speed", "INPUT0"} <= set(reached)
    # In a number field the arrows belong to the field.
    page.focus("#inputs input[type=number]")
    before = count()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    assert count() == before
    page.keyboard.press("ArrowUp")
    assert page.input_value("#inputs input[type=number]") == "3"


def test_what_a_screen_reader_gets(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#next")
    spoken = page.inner_text("#announcement")
    assert spoken == "Forward pass: h is computed from x and y. h = x + y = 2 + 3 = 5"
    assert page.get_attribute("#announcement", "aria-live") == "polite"
    tree = page.locator("main").aria_snapshot()
    for part in [
        'heading "f = (x + y + x · y) · z"', 'button "One step on"', 'button "Play"',
        'slider "Step"', 'spinbutton "x"', 'region "Computational graph"', 'combobox "Speed"',
        'button "h = x + y = 2 + 3 = 5"',
    ]:  # fmt: skip
        assert part in tree, f"{part} not in\n{tree}"
    assert "1 of 14: Forward pass" in page.get_attribute("#scrub", "aria-valuetext")


def test_it_fits_any_width(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#last")
    for width in [320, 390, 800, 1280, 1920]:
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#derivation button", has_text="df/dy").first.click()
        box, node = (page.locator(x).bounding_box() for x in ("#figure", "#node-1 .shape"))
        assert box["x"] <= node["x"]
        assert node["x"] + node["width"] <= box["x"] + box["width"]
        # Numbers stay readable: at least 10 pixels high.
        assert page.locator("#value-0").bounding_box()["height"] >= 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(open_page: OpenPage, scheme: str) -> None:
    page = open_page(step_through(figure_2()).html, color_scheme=scheme)
    names = ["paper", "ink", "soft", "forward", "backward", "panel", "input"]
    colours = page.evaluate(
        "names => names.map(x => getComputedStyle(document.documentElement)"
        ".getPropertyValue('--' + x).trim())",
        names,
    )
    paper, ink, soft, forward, backward, panel, fill = map(luminance, colours)
    assert (paper > 0.9) == (scheme == "light")
    for text in (ink, soft, forward, backward):
        for ground in (paper, panel):
            assert contrast(text, ground) >= 4.5  # WCAG AA
    assert contrast(ink, fill) >= 4.5
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == rgb(colours[0])


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_on_paper_the_finished_computation(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.keyboard.press("ArrowRight")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert shown(page, "gradient")["x"] == "16"
    assert lines(page) == explained(figure_2())
    assert not page.is_visible(".controls")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.inner_text("#count") == "1 of 14"
    assert page.pdf()[:4] == b"%PDF"


def test_without_javascript_the_finished_computation(chromium: Any, tmp_path: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    step_through(figure_2()).save(tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    texts = page.locator("#derivation button").all_inner_texts()
    assert [text.replace(" · ", " * ") for text in texts] == explained(figure_2())
    assert page.locator("#gradient-0").text_content() == "16"
    context.close()


# --- numbers --------------------------------------------------------------------------------------


def test_every_operation_agrees_with_python(open_page: OpenPage) -> None:
    page = open_page("<title>operations</title>")
    all_cases = list(cases())
    compare(all_cases, json.loads(page.evaluate(script(all_cases))))


def test_a_changed_input_changes_everything(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    page.click("#last")
    for x, y in [("5", "-3"), ("-0.125", "1e-7"), ("1234567.5", "2.3125")]:
        page.locator("#inputs input[type=number]").nth(0).fill(x)
        page.locator("#inputs input[type=number]").nth(1).fill(y)
        assert lines(page) == explained(figure_2(float(x), float(y)))
    assert shown(page, "value")["x"] == "1234568"
    page.click("#reset")
    assert lines(page) == explained(figure_2())
    assert not page.is_visible("#reset")
    assert page.input_value("#inputs input[type=number]") == "2"


def every_operation(values: list[float]) -> Value:
    """One graph with every operation of the table in it, each on the same few inputs."""
    x = [Value(value, f"x_{i}") for i, value in enumerate(values)]
    a, b = x[0], x[1]
    terms = [
        a + b, a - b, a * b, a / b, -a, abs(a), a**b, a**3, a**-1, 2**a, a.exp(), a.expm1(),
        a.log(), a.log1p(), a.log2(), a.log10(), a.sqrt(), a.sin(), a.cos(), a.tan(),
        (a / 4).asin(), (a / 4).acos(), a.atan(), a.atan2(b), a.hypot(b), a.sinh(), a.cosh(),
        a.tanh(), a.erf(),
        a.sigmoid(), a.log_sigmoid(), a.softplus(), a.relu(), a.step(), a.sign(), a.leaky_relu(0.1),
        a.asinh(), (a + 1).acosh(), (a / 4).atanh(), a.exp2(), a.erfc(), a.lgamma(), a.digamma(),
        a.gelu(), a.silu(), functional.elu(a), ops.TABLE["detach"](a) * a,
        ops.lookup("polygamma", 1.0)(a), ops.sigmoid_slope(a), functional.clip(a, 0.5, 1.2),
        a.floor(), a.ceil(), a.round(), a.degrees(),
        a.radians(), (-a).log1mexp(), a % b, functional.fmod(a, b), functional.xlogy(a, b),
        functional.norm([a, b]), a.maximum(b), a.minimum(b), functional.less(a, b),
        functional.less_equal(a, b), functional.equal(a, b),
        functional.where(functional.less(a, b), a, b),
        functional.max([a, b, x[2]]), functional.logsumexp(x), functional.dot(x[:2], x[1:], x[0]),
        functional.take(x, Value(1.0, "index")),
    ]  # fmt: skip
    return functional.sum(terms)


def test_the_graph_has_every_operation() -> None:
    used = {node.op.name for node in topological_order(every_operation([1.1, 1.4, 0.7])) if node.op}
    # take with an index known when the graph is made is no node of its own
    assert {op.name for op in ALL_OPS} - used == {"take"}


def test_lines_and_numbers_of_every_operation_are_explains(open_page: OpenPage) -> None:
    values = [1.1, 1.4, 0.7]
    page = open_page(step_through(every_operation(values)).html)
    page.click("#last")
    assert lines(page) == explained(every_operation(values))
    choose = random.Random(1)
    for _ in range(10):
        values = [round(choose.uniform(0.5, 2.0), 3) for _ in values]
        for i, value in enumerate(values):
            page.locator("#inputs label", has_text=f"x_{i}").locator("input[type=number]").fill(
                str(value)
            )
        assert lines(page) == explained(every_operation(values))
        gradients = page.evaluate("now.gradients")
        output = every_operation(values)
        output.backward()
        for got, node in zip(gradients, topological_order(output), strict=True):
            if got is not None:
                scale = max(abs(node.grad), 10.0)  # the inputs' gradients are sums of many terms
                assert abs(got - node.grad) <= 1e-14 * scale


@pytest.mark.parametrize("seed", range(3))
def test_lines_of_random_graphs_are_explains(open_page: OpenPage, seed: int) -> None:
    from test_explain import random_graph

    page = open_page(step_through(random_graph(seed, 40)).html)
    page.click("#last")
    assert lines(page) == explained(random_graph(seed, 40))


def test_a_value_outside_the_domain_says_so_and_no_more(open_page: OpenPage) -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    page = open_page(step_through(x.log() * y + y.sqrt()).html)
    page.click("#last")
    good = lines(page)
    field = page.locator("#inputs input[type=number]").nth(0)
    field.fill("-1")
    assert page.inner_text("#problem") == "log(x = −1): needs an operand > 0"
    assert "i = log(x) = log(-1) = ?" in lines(page)
    assert "h = sqrt(y) = sqrt(3) = 1.732" in lines(page)  # what does not depend on it is there
    page.click("#first")
    page.click("#last")
    for text, message in [("", "x: expected a number"), ("1e999", "x: expected a number")]:
        field.fill(text)
        assert page.inner_text("#problem") == message
        assert field.get_attribute("aria-invalid") == "true"
    field.fill("2")
    assert page.inner_text("#problem") == ""
    assert lines(page) == good
    page.locator("#inputs input[type=number]").nth(1).fill(
        "0"
    )  # sqrt(0) is fine, its derivative is not
    assert page.inner_text("#problem") == "gradient of sqrt(y = 0): division by zero"
    assert "h = sqrt(y) = sqrt(0) = 0" in lines(page)
    assert page.evaluate("now.gradients[0]") is not None


def test_infinities_and_nan_flow(open_page: OpenPage) -> None:
    def build() -> Value:
        x, y = Value(math.inf, "x"), Value(-2.0, "y")
        return x * y + (x - x) + y.tanh()

    page = open_page(step_through(build()).html)
    page.click("#last")
    assert lines(page) == explained(build())
    assert "j = x - x = inf - inf = nan" in lines(page)


def test_a_leaf_and_a_single_operation(open_page: OpenPage) -> None:
    page = open_page(step_through(Value(2.0, "x")).html)
    assert page.inner_text("#count") == "0 of 2"
    page.click("#last")
    assert lines(page) == ["x = 2", "dx/dx = 1"]
    page = open_page(step_through(-Value(2.0)).html)
    page.click("#last")
    assert lines(page) == explained(-Value(2.0))


# --- manners ---

HOSTILE = [
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=alert(1)>",
    "</svg></style></title><svg onload=alert(2)>",
    "\"'><b>&amp;\\u003cscript>{{script}}",
    "a\nb\u2028c\x00\x1b <!-- ${7*7} $& ` \ud800",
    "__proto__",
]


def test_hostile_labels_stay_text(open_page: OpenPage) -> None:
    inputs = [Value(1.5 + i, label) for i, label in enumerate(HOSTILE)]
    output = functional.sum([a * b for a, b in pairwise(inputs)])
    output.label = HOSTILE[0]
    page = open_page(step_through(output).html)
    title = page.title()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.locator("#inputs input[type=number]").nth(0).fill("7")
    assert page.title() == title != "taken"
    assert page.locator("script").count() == 2
    assert page.locator("img, b, #figure svg svg").count() == 0
    names = page.locator("#inputs .label").all_inner_texts()
    assert f"[{HOSTILE[1]}]" in names
    assert "__proto__" in names
    assert "alert(1)" in page.inner_text("#derivation")


def test_the_page_forbids_itself_the_network(open_page: OpenPage) -> None:
    page = open_page(step_through(figure_2()).html)
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'")
    html = page.content()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    assert "unsafe-eval" not in policy
    assert "script-src 'sha256-" in policy


def test_500_nodes_touch_little_of_the_page_at_each_step(open_page: OpenPage) -> None:
    choose = random.Random(3)
    nodes = [Value(choose.uniform(0.5, 1.5), f"x{i}") for i in range(20)]
    while len(nodes) < 395:
        a, b = choose.choice(nodes[-30:]), choose.choice(nodes[-60:])
        nodes.append(choose.choice([lambda a, b: a + b, lambda a, b: a.tanh() * b])(a, b))
    output = functional.sum(nodes[-40:])
    count = len(topological_order(output))
    assert 450 <= count <= 500
    page = open_page(step_through(output).html)
    changes = page.evaluate(
        """async () => {
          let changes = 0;
          const observer = new MutationObserver(list => { changes += list.length; });
          observer.observe(document.body, {subtree: true, childList: true, attributes: true,
            characterData: true});
          const each = [];
          player.show(0);
          for (let t = 1; t < frames.length; t += t === 60 ? frames.length - 120 : 1) {
            changes = 0;
            player.show(t);
            await Promise.resolve();
            each.push(changes + observer.takeRecords().length);
          }
          observer.disconnect();
          return each;
        }"""
    )
    assert len(changes) == 120
    assert sorted(changes)[len(changes) // 2] < 80
    at, end = page.inner_text("#count").split(" of ")
    assert at == end
    assert int(end) > count
    assert math.isfinite(float(page.evaluate("now.values.at(-1)")))


def test_every_operation_has_a_sample_that_pages_can_show() -> None:
    """No row of the table that a page cannot carry."""
    choose = random.Random(2)
    for op in ALL_OPS:
        operands = [Value(x, f"x{i}") for i, x in enumerate(sample_operands(op, choose))]
        assert op.name in step_through(Value.record(op, tuple(operands))).html, op_id(op)
