"""Plots: what is drawn is what the model answers, what the function is, what the path was."""

from __future__ import annotations

import io
import math
import pickle
import random
import subprocess
import sys
from typing import Any

import pytest

from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR
from tinygrad_edu.drawing.plots.charts import (
    plot_activations,
    plot_boundary,
    plot_confusion,
    plot_functions,
    plot_loss_surface,
    plot_probabilities,
    plot_surface,
)
from tinygrad_edu.drawing.plots.classes import CLASS_COLORS, Classified
from tinygrad_edu.engine import functional
from tinygrad_edu.nn import (
    MLP,
    LinearRegression,
    LogisticRegression,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    squared_error,
)
from tinygrad_edu.optim import GradientDescent, follow_gradient
from tinygrad_edu.training import fit

pytest.importorskip("matplotlib")


def rendered(figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=50)
    return picture.getvalue()


def cloud(classes: int, labels: list[int]) -> tuple[list[list[float]], list[int]]:
    source = random.Random(classes)
    X, y = [], []
    for i in range(20 * classes):
        k = i % classes
        X.append([source.gauss(math.cos(2 * k), 0.4), source.gauss(math.sin(2 * k), 0.4)])
        y.append(labels[k])
    return X, y


def drawn_regions(axes: Any) -> dict[str, Any]:
    """The filled contours, by colour."""
    from matplotlib.colors import to_hex

    return {
        to_hex(c.get_facecolor()[0]): c
        for c in axes.collections
        if type(c).__name__.endswith("ContourSet") and c.filled
    }


@pytest.mark.parametrize(
    ("make", "loss", "labels"),
    [
        (lambda: MLP(2, [6, 1], "tanh", seed=1), hinge, [-1, 1]),
        (lambda: LogisticRegression(2, seed=1), None, [0, 1]),
        (lambda: SoftmaxRegression(2, 3, seed=1), cross_entropy, [0, 1, 2]),
        (lambda: MLP(2, [5, 4], seed=3), cross_entropy, [0, 1, 2, 3]),
    ],
)
def test_regions_are_the_models_answers(make: Any, loss: Any, labels: list[int]) -> None:
    model = make()
    X, y = cloud(len(labels), labels)
    fit(model, X, y, loss=loss or cross_entropy, optimizer=GradientDescent(0.2), epochs=10)
    figure = plot_boundary(model, X, y, loss=loss, resolution=40)
    axes = figure.axes[0]
    regions = drawn_regions(axes)
    classified = Classified(model, X, y, loss)
    answer = classified.answers(model.numbers())
    source = random.Random(1)
    checked = 0
    while checked < 60:
        point = [source.uniform(*axes.get_xlim()), source.uniform(*axes.get_ylim())]
        outputs = sorted(answer(point))
        lead = abs(outputs[0]) if len(outputs) == 1 else outputs[-1] - outputs[-2]
        if lead < 0.05:  # next to the border, where the grid decides
            continue
        k = classified.decide(answer(point))
        for color, region in regions.items():
            inside = any(path.contains_point(point) for path in region.get_paths())
            assert inside == (color == CLASS_COLORS[k]), (point, outputs)
        checked += 1
    assert sum(len(c.get_offsets()) for c in axes.collections if hasattr(c, "get_sizes")) >= len(X)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == classified.names
    assert len(rendered(figure)) > 3000


def test_probabilities_have_a_panel_for_each_class() -> None:
    X, y = cloud(3, [0, 1, 2])
    figure = plot_probabilities(SoftmaxRegression(2, 3, seed=0), X, y, resolution=20)
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "P(class 0)", "P(class 1)", "P(class 2)",
    ]  # fmt: skip
    X, y = cloud(2, [-1, 1])
    names = ["no", "yes"]
    figure = plot_probabilities(LogisticRegression(2, seed=0), X, y, class_names=names)
    assert figure.axes[0].get_title() == "P(yes)"
    assert len(figure.axes) == 2  # with the colour bar
    assert len(rendered(figure)) > 3000


def test_confusion_matrix_shows_every_count() -> None:
    figure = plot_confusion([[9, 1, 0], [2, 8, 0], [0, 3, 12]], ["cat", "dog", "bird"])
    axes = figure.axes[0]
    counts = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert counts[0, 1] == "1"
    assert counts[2, 2] == "12"
    assert len(counts) == 9
    assert axes.get_ylabel() == "true class"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog", "bird"]
    with pytest.raises(ValueError, match="as many columns as rows"):
        plot_confusion([[1, 2]])
    with pytest.raises(ValueError, match="class_names: expected 2 names, got 1"):
        plot_confusion([[1, 2], [3, 4]], ["a"])


def test_functions_are_green_and_their_derivatives_red_and_dashed() -> None:
    figure = plot_functions(functional.tanh, lambda x: x**3, between=(-2.0, 1.0), names=["t", "c"])
    for axes, function, slope in zip(
        figure.axes,
        (math.tanh, lambda x: x**3),
        (lambda x: 1.0 - math.tanh(x) ** 2, lambda x: 3.0 * x * x),
    ):
        value, derivative = (
            line for line in axes.lines if line.get_color() in (VALUE_COLOR, GRADIENT_COLOR)
        )
        assert (value.get_color(), value.get_linestyle()) == (VALUE_COLOR, "-")
        assert (derivative.get_color(), derivative.get_linestyle()) == (GRADIENT_COLOR, "--")
        xs = value.get_xdata()
        assert (xs[0], xs[-1]) == (-2.0, 1.0)
        assert list(value.get_ydata()) == pytest.approx([function(x) for x in xs])
        assert list(derivative.get_ydata()) == pytest.approx([slope(x) for x in xs])
    assert [axes.get_title() for axes in figure.axes] == ["t", "c"]


def test_the_notes_activations_and_the_gap_where_step_jumps() -> None:
    step, sigmoid, relu = plot_activations().axes

    def graph(axes: Any) -> Any:
        return next(line for line in axes.lines if line.get_color() == VALUE_COLOR)

    gaps = [x for x, y in graph(step).get_xydata() if math.isnan(y)]
    assert len(gaps) == 1
    assert abs(gaps[0]) < 0.03
    assert not any(math.isnan(y) for axes in (sigmoid, relu) for y in graph(axes).get_ydata())
    assert {*graph(step).get_ydata()} >= {-1.0, 1.0}
    for call in (
        lambda: plot_functions(),
        lambda: plot_functions(functional.exp, names=[]),
        lambda: plot_functions(functional.exp, between=(1.0, 1.0)),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


def test_surface_and_path() -> None:
    def valley(x: Any, y: Any) -> Any:
        return (1.0 - x) ** 2 + 5.0 * (y - x * x) ** 2

    path = follow_gradient(valley, [-1.5, 2.5], GradientDescent(0.01), steps=50)
    figure = plot_surface(valley, (-2.0, 2.0), (-1.0, 3.0), path=path.points)
    line, start, end = figure.axes[0].lines
    assert line.get_xydata().tolist() == [list(map(float, point)) for point in path.points]
    assert start.get_xydata().tolist() == [[-1.5, 2.5]]
    assert end.get_xydata().tolist() == [list(path.points[-1])]
    contours = figure.axes[0].collections[0]
    for level, lines in zip(contours.levels, contours.allsegs):
        for x, y in (point for segment in lines for point in segment):
            assert valley(x, y) == pytest.approx(level, rel=0.2, abs=0.6)
    with pytest.raises(ValueError, match="x: expected"):
        plot_surface(valley, (1.0, 1.0), (0.0, 1.0))
    with pytest.raises(ValueError, match="path: expected points of two numbers"):
        plot_surface(valley, (0.0, 1.0), (0.0, 1.0), path=[(1.0, 2.0, 3.0)])
    with pytest.raises(ValueError, match="expected different values over the plane, got 3 every"):
        plot_surface(lambda x, y: 3.0, (0.0, 1.0), (0.0, 1.0))
    half = plot_surface(lambda x, y: functional.log(x) + y, (-1.0, 1.0), (0.0, 1.0))
    assert len(rendered(half)) > 3000  # a hole where there is no value


def test_the_surface_of_a_loss_with_the_path_of_the_training() -> None:
    X, y = [[1.0], [2.0], [3.0]], [1.0, 3.0, 4.0]
    model = LinearRegression(1, seed=0)
    history = fit(
        model, X, y, loss=squared_error, optimizer=GradientDescent(0.02), epochs=10, record=1
    )
    before = model.state_dict()
    figure = plot_loss_surface(model, X, y, loss=squared_error, history=history)
    assert model.state_dict() == before
    path = figure.axes[0].lines[0].get_xydata().tolist()
    assert path == [numbers for _, numbers in history.snapshots]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("w.0", "b")
    contours = figure.axes[0].collections[0]
    for level, lines in zip(contours.levels[2:], contours.allsegs[2:]):
        for w, b in (point for segment in lines for point in segment):
            loss = sum(0.5 * (w * x + b - target) ** 2 for (x,), target in zip(X, y))
            assert loss == pytest.approx(level, rel=0.05, abs=0.05)
    with pytest.raises(ValueError, match="which: expected two places from 0 to 1"):
        plot_loss_surface(model, X, y, loss=squared_error, which=(0, 2))
    with pytest.raises(ValueError, match="history: expected snapshots"):
        plot_loss_surface(model, X, y, loss=squared_error, history=fit(model, X, y,
                          loss=squared_error, epochs=1))  # fmt: skip


def test_they_draw_into_axes_that_are_handed_in() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 3)
    X, y = cloud(2, [0, 1])
    model = LogisticRegression(2, seed=0)
    assert plot_boundary(model, X, y, resolution=10, axes=axes[0]) is figure
    assert plot_confusion([[1]], axes=axes[1]) is figure
    assert plot_surface(lambda x, y: x + y, (0, 1), (0, 1), axes=axes[2]) is figure
    assert all(panel.has_data() or panel.texts for panel in axes)


def test_no_global_state_of_matplotlib_is_touched() -> None:
    import subprocess

    program = (
        "import sys; from tinygrad_edu.drawing.plots.charts import plot_activations;"
        "assert 'matplotlib' not in sys.modules; plot_activations();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[plot\]"'):
        plot_activations()


def test_a_plot_shows_itself_in_a_notebook_where_pyplot_is_not_imported() -> None:
    code = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from tinygrad_edu import relu
from tinygrad_edu.drawing import plot_functions
shown, _ = InteractiveShell().display_formatter.format(plot_functions(relu))
assert "matplotlib.pyplot" not in sys.modules
print(sorted(shown))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "['image/png', 'text/plain']\n", done.stderr


def test_a_plot_can_be_pickled() -> None:
    figure = plot_functions(functional.relu)
    copy = pickle.loads(pickle.dumps(figure))
    assert copy._repr_png_() == figure._repr_png_()
