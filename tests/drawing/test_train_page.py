"""The training page shows what was recorded: answers, weights and losses of a real run."""

from __future__ import annotations

import json
import math
import random
import re
from typing import Any

import pytest
from chromium import OpenPage

from tinygrad_edu import Value, grad
from tinygrad_edu.drawing.figures.network import (
    NEGATIVE_DASHES,
    THINNEST,
    WIDEST,
    column_outputs,
)
from tinygrad_edu.drawing.pages.page import Page
from tinygrad_edu.drawing.pages.train_page import train_page
from tinygrad_edu.drawing.plots.classes import Classified
from tinygrad_edu.nn import (
    MLP,
    LogisticRegression,
    Polynomial,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    log_loss,
    mean_squared_error,
)
from tinygrad_edu.nn.loss import predictor
from tinygrad_edu.optim import SGD, Adam
from tinygrad_edu.training import fit


def blobs(classes: int, labels: list[int], seed: int = 1) -> tuple[list[list[float]], list[int]]:
    source = random.Random(seed)
    X, y = [], []
    for i in range(12 * classes):
        k = i % classes
        X.append([source.gauss(math.cos(2 * k), 0.5), source.gauss(math.sin(2 * k), 0.5)])
        y.append(labels[k])
    return X, y


MODELS: dict[str, tuple[Any, Any, list[int]]] = {
    "hinge": (lambda: MLP(2, [5, 4, 1], "tanh", seed=1), hinge, [-1, 1]),
    "logits": (lambda: MLP(2, [4, 3], "relu", seed=2), cross_entropy, [0, 1, 2]),
    "probabilities": (lambda: MLP(2, [3, 1], output="sigmoid", seed=3), log_loss, [0, 1]),
    "logistic": (
        lambda: LogisticRegression(2, features=Polynomial(2), seed=4), cross_entropy, [0, 1],
    ),
    "softmax": (lambda: SoftmaxRegression(2, 3, seed=5), cross_entropy, [0, 1, 2]),
    "numbers": (lambda: MLP(2, [3, 1], "sigmoid", seed=6), mean_squared_error, [-1, 1]),
}  # fmt: skip


def trained(name: str, epochs: int = 6, **options: Any) -> tuple[Any, ...]:
    make, loss, labels = MODELS[name]
    X, y = blobs(len(labels), labels)
    model = make()
    history = fit(
        model, X, y, loss=loss, optimizer=Adam(0.1), epochs=epochs, record=2, seed=1, **options
    )
    return model, X, y, history, loss


def page_of(name: str, **options: Any) -> Page:
    model, X, y, history, loss = trained(name)
    return train_page(model, X, y, history, loss=loss, **options)


def data(page: Page) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.html)
    assert found
    return json.loads(found[1])


# --- the file -------------------------------------------------------------------------------------


def test_it_carries_the_recorded_history_and_nothing_else() -> None:
    model, X, y, history, loss = trained("hinge", validation=blobs(2, [-1, 1], seed=2))
    carried = data(train_page(model, X, y, history, loss=loss))
    assert carried["epochs"] == [0, 2, 4, 6]
    assert carried["parameters"] == [numbers for _, numbers in history.snapshots]
    assert carried["loss"] == history.loss
    assert carried["held_out"] == history.validation_loss
    assert [point[:2] for point in carried["points"]] == X
    assert [point[2] for point in carried["points"]] == [0 if label < 0 else 1 for label in y]


def test_the_model_is_left_alone() -> None:
    model, X, y, history, loss = trained("hinge")
    before = model.state_dict()
    train_page(model, X, y, history, loss=loss)
    assert model.state_dict() == before


def test_lines_know_their_parameters() -> None:
    model, X, y, history, loss = trained("logits")
    names = [name for name, _ in model.named_parameters()]
    for line, parameter in data(train_page(model, X, y, history, loss=loss))["weights"]:
        column, j, i = map(int, line.split("-")[1:])
        assert names[parameter] == f"layers.{column - 1}.neurons.{j}.w.{i}"


def test_hostile_names_stay_text() -> None:
    page = page_of("hinge", class_names=["</script><b>", "{{script}}"], title="<script>1</script>")
    assert page.html.count("<script") == 2
    assert data(page)["classes"] == ["</script><b>", "{{script}}"]


def test_errors() -> None:
    model, X, y, history, loss = trained("hinge")
    with pytest.raises(ValueError, match=r"no snapshots: train with fit\(..., record=1\)"):
        train_page(model, X, y, fit(model, X, y, loss=loss, epochs=1), loss=loss)
    with pytest.raises(ValueError, match="the snapshots hold 44 parameters, the model 9"):
        train_page(MLP(2, [2, 1]), X, y, history, loss=loss)
    with pytest.raises(ValueError, match=r"X: row 0: expected 2 numbers, got 3"):
        train_page(model, [[1.0, 2.0, 3.0]], [1], history, loss=loss)
    with pytest.raises(ValueError, match="y: expected 24 labels, one for each point, got 1"):
        train_page(model, X, [1], history, loss=loss)
    with pytest.raises(ValueError, match="y: label 1: expected 1 and -1, or 1 and 0, got 2"):
        train_page(model, X, [1, 2, *y[2:]], history, loss=loss)
    with pytest.raises(ValueError, match="class_names: expected 2 names, got 1"):
        train_page(model, X, y, history, loss=loss, class_names=["a"])
    with pytest.raises(TypeError, match="expected a Neuron, a Layer, an MLP"):
        train_page(lambda x: x, X, y, history, loss=loss)


# --- in the browser -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_its_answers_are_the_models_at_every_recorded_epoch(open_page: OpenPage, name: str) -> None:
    model, X, y, history, loss = trained(name)
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    for t, (epoch, numbers) in enumerate(history.snapshots):
        answer = predictor(model.with_parameters(numbers), loss)
        right = 0
        got = page.evaluate("([t, X]) => X.map(x => predict(data.parameters[t], x))", [t, X])
        for x, label, outputs in zip(X, y, got, strict=True):
            expected = answer(x)
            several = isinstance(expected, list)
            assert outputs == pytest.approx(expected if several else [expected], rel=1e-12)
            if loss is mean_squared_error:
                right += (expected > 0.0) == (label > 0)
            else:
                right += loss.correct(expected, label)
        status = page.inner_text("#status")
        assert f"{right:.0f} of {len(X)} points" in status
        assert status.startswith(f"After epoch {epoch}:" if epoch else "Before training:")
        if epoch:
            shown = float(status.split(": ")[-1])
            assert shown == pytest.approx(history.loss[epoch - 1], rel=1e-3)
        assert page.locator(".point.wrong").count() == len(X) - right
        page.keyboard.press("ArrowRight")


def test_the_networks_lines_follow_the_weights(open_page: OpenPage) -> None:
    model, X, y, history, loss = trained("hinge")
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    drawn = data(train_page(model, X, y, history, loss=loss))
    weights = [parameter for _, parameter in drawn["weights"]]
    largest = max(abs(numbers[k]) for _, numbers in history.snapshots for k in weights)
    for t, (_, numbers) in enumerate(history.snapshots):
        page.locator("#scrub").fill(str(t))
        styles = page.evaluate(
            "data.weights.map(([id]) => [byId(id).style.strokeWidth,"
            " byId(id).style.strokeDasharray, byId(id).style.stroke])"
        )
        for (width, dashes, colour), k in zip(styles, weights, strict=True):
            expected = THINNEST + (WIDEST - THINNEST) * abs(numbers[k]) / largest
            assert float(width.removesuffix("px")) == pytest.approx(expected, rel=1e-4)
            negative = numbers[k] < 0.0
            assert re.findall(r"\d+", dashes) == (NEGATIVE_DASHES.split() if negative else [])
            assert colour == f"var(--{'negative' if negative else 'positive'})"


def test_the_plane_is_coloured_by_the_answers(open_page: OpenPage) -> None:
    model, X, y, history, loss = trained("logits", epochs=20)
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    page.click("#last")
    places = [[20, 30], [100, 100], [180, 60], [60, 170], [150, 150]]
    points = page.evaluate("places => places.map(([i, j]) => pointAt(i, j))", places)
    tints = [(0, 114, 178), (230, 159, 0), (204, 121, 167)]
    answer = predictor(model.with_parameters(history.snapshots[-1][1]), loss)
    for point, pixel in zip(points, pixels(page, places)):
        outputs = answer(point)
        tint = tints[outputs.index(max(outputs))]
        k = tint.index(min(tint))
        share = (255.0 - pixel[k]) / (255.0 - tint[k])  # of the tint over white
        assert 0.17 < share < 0.9
        for channel, target in zip(pixel, tint):
            assert channel == pytest.approx(share * target + (1.0 - share) * 255.0, abs=2.0)


def pixels(page: Any, places: list[list[int]]) -> Any:
    """Colours in the plane, read off a copy that is made for reading."""
    return page.evaluate(
        """places => {
          const copy = new OffscreenCanvas(200, 200).getContext("2d", {willReadFrequently: true});
          copy.drawImage(canvas, 0, 0);
          return places.map(([i, j]) => [...copy.getImageData(i, j, 1, 1).data].slice(0, 3));
        }""",
        places,
    )


def test_it_plays_and_fits_a_phone(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html, viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.clock.install(time=0)
    page.clock.pause_at(3600)
    page.select_option("#speed", "fast")
    page.click("#play")
    page.clock.run_for(400 * 5)
    assert page.inner_text("#count") == "3 of 3"
    assert page.inner_text("#play").strip() == "Play"
    assert page.get_attribute("#status", "aria-live") == "polite"


def test_dark_and_light_are_drawn_again(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html, color_scheme="light")
    page.click("#next")
    light = sum(pixels(page, [[5, 5]])[0])
    page.emulate_media(color_scheme="dark")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert sum(pixels(page, [[5, 5]])[0]) < light
    assert page.inner_text("#count") == "1 of 3"


# --- neurons, points, axes, paper -----------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_all_neurons_are_the_models(open_page: OpenPage, name: str) -> None:
    model, X, y, history, loss = trained(name)
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    copy = model.with_parameters(history.snapshots[-1][1])
    places = data(train_page(model, X, y, history, loss=loss))["neurons"]
    got = page.evaluate("X => X.map(x => neurons(data.parameters.at(-1), x))", X[:6])
    for x, outputs in zip(X[:6], got, strict=True):
        columns = column_outputs(copy, x, Classified(copy, X, y, loss).answers(copy))
        for neuron, place in places:
            column, j = map(int, neuron.split("-")[1:])
            assert outputs[place] == pytest.approx(float(columns[column][j]), rel=1e-12)


def test_pointing_at_a_neuron_shows_its_map_and_choosing_keeps_it(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html)
    page.click("#last")
    answers = pixels(page, [[20, 30], [180, 170]])
    page.hover("#neuron-1-2 circle")
    assert page.inner_text("#plane-title") == "What hidden layer 1, neuron 3 computes"
    mapped = pixels(page, [[20, 30], [180, 170]])
    assert mapped != answers
    outputs = page.evaluate(
        "[[20, 30], [180, 170]].map(([i, j]) => neurons(data.parameters.at(-1), pointAt(i, j))[4])"
    )
    for (red, _, blue), output in zip(mapped, outputs):
        assert (blue > red) == (output > 0)  # blue above zero, orange below
    page.hover("h1")
    assert page.inner_text("#plane-title") == "What it answers"
    assert pixels(page, [[20, 30], [180, 170]]) == answers
    page.click("#neuron-1-2 circle")
    page.hover("h1")
    assert page.is_visible("#unpin")
    assert page.inner_text("#plane-title") == "What hidden layer 1, neuron 3 computes"
    page.keyboard.press("Escape")
    assert page.inner_text("#plane-title") == "What it answers"
    page.focus("#neuron-2-1")
    page.keyboard.press("Enter")
    assert page.get_attribute("#neuron-2-1", "aria-pressed") == "true"


def test_a_point_opens_the_steps_of_its_loss(open_page: OpenPage) -> None:
    model, X, y, history, loss = trained("logits")
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    page.click("#next")
    for i in (0, 1, 5):
        page.fill("#point", str(i + 1))
        page.click("#choose button")
        steps = page.frames[-1]
        steps.click("#last")
        copy = model.with_parameters([Value(v) for v in history.snapshots[1][1]])
        point = [Value(v) for v in X[i]]
        output = loss(predictor(copy, loss)(point), y[i])
        assert steps.evaluate("now.values.at(-1)") == pytest.approx(output.data, rel=1e-12)
        expected = grad(output, [*copy.parameters(), *point])
        found = dict(steps.evaluate("nodes.map((n, i) => [n.name, now.gradients[i]])"))
        names = [p.label for p in model.parameters()] + ["x1", "x2"]
        for name, gradient in zip(names, expected, strict=True):
            assert found[name] == pytest.approx(gradient, rel=1e-9, abs=1e-15)
        page.click("#close")
    page.fill("#point", "99")
    page.evaluate("byId('choose').noValidate = true")
    page.click("#choose button")
    assert page.inner_text("#problem") == f"There are points 1 to {len(X)}."
    page.locator(".point").nth(2).click()
    assert page.locator("#steps iframe").get_attribute("title") == "Point 3, step by step"


def test_large_graphs_have_no_steps_and_say_why() -> None:
    X, y = blobs(2, [-1, 1])
    model = MLP(2, [20, 18, 1], "tanh", seed=1)
    history = fit(model, X, y, loss=hinge, epochs=1, record=1)
    carried = data(train_page(model, X, y, history, loss=hinge))
    assert carried["steps"] == []
    assert re.match(r"the graph of one example's loss has \d+ nodes", carried["no_steps"])


@pytest.mark.parametrize("name", ["hinge", "logits", "numbers"])
def test_training_in_the_page_is_gradient_descent(open_page: OpenPage, name: str) -> None:
    make, loss, labels = MODELS[name]
    X, y = blobs(len(labels), labels)
    model = make()
    history = fit(
        model, X, y, loss=loss, optimizer=SGD(0.2), batch="full", epochs=6, record=2, seed=1
    )
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    assert page.input_value("#rate") == "0.2"
    page.click("#start")
    page.wait_for_selector('#start:text("Start again")')
    yours = page.evaluate("({ p: yours.parameters, loss: yours.loss })")
    assert yours["loss"] == pytest.approx(history.loss, rel=1e-9)
    for (_, expected), got in zip(history.snapshots, yours["p"], strict=True):
        assert got == pytest.approx(expected, rel=1e-8, abs=1e-12)
    assert page.inner_text("#status").startswith("Your run, learning rate 0.2: after epoch 6:")
    page.select_option("#run", "recorded")  # the reference stays
    assert page.inner_text("#status").startswith("After epoch 6:")
    assert page.locator("#course .yours").count() == page.locator("#course .loss").count() == 1


def test_a_learning_rate_that_is_too_large_is_told(open_page: OpenPage) -> None:
    page = open_page(page_of("numbers", title="t").html)
    for rate in ("0", "-1", ""):
        page.fill("#rate", rate)
        page.click("#start")
        assert "expected a positive number" in page.inner_text("#problem")
    page.fill("#rate", "1e308")
    page.select_option("#batch", "1")
    page.click("#start")
    page.wait_for_selector("#problem:not(:empty)")
    assert "Your run stopped in epoch 1" in page.inner_text("#problem")
    page.click("#last")
    assert page.inner_text("#status").startswith("Your run, learning rate 1e+308: before training")


def test_no_part_of_the_page_covers_another(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html)
    page.click("#neuron-1-0 circle")
    for width, height in [(1280, 800), (1920, 1080), (375, 800), (1024, 600)]:
        page.set_viewport_size({"width": width, "height": height})
        if width < 1000:  # on a phone the controls stay in view, and leave room for what they show
            assert page.locator(".now").bounding_box()["height"] < 0.35 * height
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter((x) => !x.closest('.network')"
            " && x.getBoundingClientRect().right > innerWidth + 1).map((x) => x.id || x.tagName)"
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, wide)
        bad = page.evaluate(
            """() => {
              const parts = [...document.querySelectorAll("h1, h2, .tick, .axis-name, #heat, "
                + ".network, #course text, #status, .controls, .way, .keys, .plane canvas")]
                .filter((x) => x.getClientRects().length && getComputedStyle(x).display !== "none"
                  && !(innerWidth <= 960 && x.closest(".now")))
                .map((x) => [x, x.getBoundingClientRect()]);
              return parts.flatMap(([x, a], i) => parts.slice(0, i).filter(([y, b]) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
                .map(([y]) => [x, y].map((z) => z.textContent.trim() || z.tagName).join(" over ")));
            }"""
        )
        assert bad == [], (width, height)


def test_the_plane_has_axes(open_page: OpenPage) -> None:
    model, X, y, history, loss = trained("hinge")
    page = open_page(train_page(model, X, y, history, loss=loss).html)
    found = page.eval_on_selector_all(
        ".plane .tick",
        "all => all.map(x => [x.textContent, x.getAttribute('text-anchor'),"
        " Number(x.getAttribute('x')), Number(x.getAttribute('y'))])",
    )
    assert len(found) >= 6
    left, right, below, above = data(train_page(model, X, y, history, loss=loss))["domain"]
    for text, anchor, x, y_ in found:
        number = float(text.replace("−", "-"))
        if anchor == "middle":
            assert left + (right - left) * x / 400.0 == pytest.approx(number, abs=1e-6)
        else:
            at = above - (above - below) * (y_ - 4.0) / 400.0
            assert at == pytest.approx(number, abs=1e-6)
    assert page.locator(".plane .axis-name").all_text_contents() == ["x1", "x2"]


def test_in_the_dark_the_legend_has_the_colours_of_the_lines(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html, color_scheme="dark")
    strokes = page.evaluate(
        """() => {
          const of = (x) => getComputedStyle(x).stroke;
          const line = (dashed) => data.weights.map(([id]) => byId(id))
            .find((x) => (x.style.strokeDasharray !== "none") === dashed);
          return [of(document.querySelector(".network .positive")), of(line(false)),
            of(document.querySelector(".network .negative")), of(line(true))];
        }"""
    )
    assert strokes[0] == strokes[1] != strokes[2] == strokes[3]


def test_on_paper_the_trained_net_in_light_colours(open_page: OpenPage) -> None:
    page = open_page(page_of("hinge").html, color_scheme="dark")
    page.click("#next")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.inner_text("#status").startswith("After epoch 6")
    assert min(sum(p) for p in pixels(page, [[5, 5], [190, 190], [5, 190]])) > 300
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.inner_text("#count") == "1 of 3"
    assert max(sum(p) for p in pixels(page, [[5, 5], [190, 190], [5, 190]])) < 450
