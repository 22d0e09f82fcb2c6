"""Plots with matplotlib: decision boundaries, probabilities, confusion, functions, loss surfaces.

One visual language: the notes' green and red are left to the forward and the backward pass (a
function is green, its derivative red); classes and lines take Okabe and Ito's colours, and whatever
differs in colour differs in its marker or line style too. Every function returns a matplotlib
``Figure``, or draws into ``axes`` that are handed in; no state of matplotlib is touched.

matplotlib comes with the extra ``[plot]`` and is imported when the first plot is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_edu._plot import new_figure
from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR
from tinygrad_edu.drawing.plots.classes import CLASS_COLORS, CLASS_MARKERS, Classified, span
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import as_loss, predictor

_INK, _SOFT = "#1f2328", "#57606a"
Span = tuple[float, float]


def plot_boundary(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any = None,
    class_names: Sequence[str] | None = None,
    resolution: int = 80,
    axes: Any = None,
) -> Any:
    """Draw labelled points of the plane and the regions in which a model answers each class.

    Args:
        model: A classifier with two inputs.
        X: n rows of two numbers.
        y: Their labels: 0 to K - 1 for K outputs; 1 and -1, or 1 and 0, for one.
        loss: How outputs are read: the loss of the training. By default a single output is a
            probability if the last layer is a sigmoid, else a score with its border at 0.
        class_names: For the legend, in the order of the labels.
        resolution: Points of the grid along each side.
        axes: Draw into these; by default into a new figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If data and model do not fit each other.

    >>> from tinygrad_edu.nn import LogisticRegression
    >>> plot_boundary(LogisticRegression(2, seed=0), [[0, 0], [1, 1]], [0, 1])
    <Figure size ...>
    """
    classified = Classified(model, X, y, loss, class_names)
    figure, axes = _axes(axes)
    xs, ys, grid = _grid(model, classified, resolution)
    for k in range(len(classified.names)):
        lead = [[_lead(classified, outputs, k) for outputs in row] for row in grid]
        if any(value > 0.0 for row in lead for value in row):
            axes.contourf(
                xs, ys, lead, levels=[0.0, math.inf], colors=[CLASS_COLORS[k]], alpha=0.22
            )
            if any(value < 0.0 for row in lead for value in row):
                axes.contour(xs, ys, lead, levels=[0.0], colors=[_INK], linewidths=1.3)
    _points(axes, classified, xs, ys)
    return figure


def plot_probabilities(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any = None,
    class_names: Sequence[str] | None = None,
    resolution: int = 80,
) -> Any:
    """Draw the probability of each class over the plane, one panel a class, one for two classes.

    Scores are turned into probabilities by the sigmoid or the softmax. The line is where the class
    is as probable as not. Arguments and errors are those of ``plot_boundary``.

    >>> from tinygrad_edu.nn import SoftmaxRegression
    >>> plot_probabilities(SoftmaxRegression(2, 3, seed=0), [[0, 0], [1, 1], [2, 2]], [0, 1, 2])
    <Figure size ...>
    """
    classified = Classified(model, X, y, loss, class_names)
    xs, ys, grid = _grid(model, classified, resolution)
    chances = [[_probabilities(classified, outputs) for outputs in row] for row in grid]
    shown = [1] if classified.outputs == 1 else list(range(classified.outputs))
    figure = new_figure(4.4 * len(shown) + 0.6, 3.9)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    from matplotlib.colors import LinearSegmentedColormap

    for axes, k in zip(panels, shown):
        low = CLASS_COLORS[0] if classified.outputs == 1 else "#ffffff"
        colors = [low, "#ffffff", CLASS_COLORS[k]] if low != "#ffffff" else [low, CLASS_COLORS[k]]
        tints = axes.contourf(
            xs, ys, [[row[k] for row in line] for line in chances],
            levels=[i / 10.0 for i in range(11)], alpha=0.6,
            cmap=LinearSegmentedColormap.from_list("probability", colors),
        )  # fmt: skip
        values = [row[k] for line in chances for row in line]
        if min(values) < 0.5 < max(values):
            axes.contour(
                xs, ys, [[row[k] for row in line] for line in chances],
                levels=[0.5], colors=[_INK], linewidths=1.3,
            )  # fmt: skip
        _points(axes, classified, xs, ys, legend=k == shown[-1])
        axes.set_title(f"P({classified.names[k]})", fontsize=11)
    figure.colorbar(tints, ax=panels, label="probability", ticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    return figure


def plot_confusion(
    matrix: Sequence[Sequence[float]], class_names: Sequence[str] | None = None, *, axes: Any = None
) -> Any:
    """Draw a confusion matrix: rows the true classes, columns the predicted ones, with the counts.

    Args:
        matrix: K rows of K counts, from ``tinygrad_edu.nn.confusion_matrix``.
        class_names: By default the numbers of the classes.
        axes: Draw into these; by default into a new figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the matrix is not square, or has not as many rows as there are names.

    >>> plot_confusion([[9, 1], [2, 8]], ["cat", "dog"])
    <Figure size ...>
    """
    rows = [list(row) for row in matrix]
    names = list(map(str, range(len(rows)) if class_names is None else class_names))
    if not rows or any(len(row) != len(rows) for row in rows):
        widths = [len(row) for row in rows]
        raise ValueError(f"matrix: expected as many columns as rows, got rows of lengths {widths}")
    if len(names) != len(rows):
        raise ValueError(f"class_names: expected {len(rows)} names, got {len(names)}")
    figure, axes = _axes(axes)
    largest = max(map(max, rows)) or 1
    axes.imshow(rows, cmap="Blues", vmin=0, vmax=1.3 * largest)
    for i, row in enumerate(rows):
        for j, count in enumerate(row):
            color = "#ffffff" if count > 0.75 * largest else _INK if count else _SOFT
            weight = "bold" if i == j else "normal"
            axes.text(j, i, f"{count:g}", ha="center", va="center", color=color, weight=weight)
    axes.set_xticks(range(len(rows)), names)
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def plot_functions(
    *functions: Callable[[Any], Any],
    between: Span = (-5.0, 5.0),
    names: Sequence[str] | None = None,
    derivative: bool = True,
) -> Any:
    """Draw graphs of functions of one number, each with its derivative, one panel a function.

    The function is green and solid, the derivative, computed by ``grad``, red and dashed. Where a
    function jumps, its line is broken.

    Args:
        functions: Functions that work on Values, such as those of ``tinygrad_edu.functional``.
        between: The interval to draw.
        names: Titles, by default the functions' own names.
        derivative: Whether to draw derivatives.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are no functions, not one name for each, or the interval is empty.

    >>> plot_functions(functional.sigmoid, functional.relu)
    <Figure size ...>
    """
    titles = [_name(f) for f in functions] if names is None else list(names)
    if not functions or len(titles) != len(functions):
        raise ValueError(
            f"expected at least one function and a name for each, got {len(functions)} functions "
            f"and {len(titles)} names"
        )
    low, high = map(float, between)
    if not low < high:
        raise ValueError(f"between: expected (low, high) with low < high, got {between!r}")
    count = len(functions)
    figure = new_figure(3.6 * count, 3.1)
    for axes, function, title in zip(
        figure.subplots(1, count, squeeze=False)[0], functions, titles
    ):
        _plain(axes)
        xs, ys, slopes = _sampled(function, low, high)
        axes.axhline(0.0, color="0.85", linewidth=0.8, zorder=0)
        axes.axvline(0.0, color="0.85", linewidth=0.8, zorder=0)
        axes.plot(xs, ys, color=VALUE_COLOR, linewidth=2.0, label="function")
        if derivative:
            axes.plot(xs, slopes, color=GRADIENT_COLOR, linestyle="--", label="derivative")
            axes.legend(frameon=False, fontsize=9)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("x")
    return figure


def plot_activations(*, derivative: bool = True) -> Any:
    """Draw the functions whose graphs the notes show: step, sigmoid (the logistic function), ReLU.

    Source: the notes, section 'Multi-layer Feedforward Neural Networks'.

    >>> plot_activations()
    <Figure size ...>
    """
    return plot_functions(
        functional.step, functional.sigmoid, functional.relu, derivative=derivative,
        names=["step", "sigmoid  σ(x) = 1 / (1 + e$^{-x}$)", "ReLU"],
    )  # fmt: skip


def plot_surface(
    function: Callable[[Any, Any], Any],
    x: Span,
    y: Span,
    *,
    path: Iterable[Sequence[float]] | None = None,
    resolution: int = 60,
    levels: int = 20,
    labels: tuple[str, str] = ("x", "y"),
    axes: Any = None,
) -> Any:
    """Draw contour lines of a function of two numbers, and the path that a search took over them.

    Args:
        function: A function of two numbers.
        x: The interval of the first one, (low, high).
        y: That of the second one.
        path: Points, in order; such as ``follow_gradient(...).points``.
        resolution: Points of the grid along each side.
        levels: How many contour lines; they are closer together at the bottom.
        labels: The names of the two numbers.
        axes: Draw into these; by default into a new figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an interval is empty, a point of the path has not two numbers, or the
            function has the same value everywhere, or none.

    Source: the notes, section 'Optimization'.

    >>> plot_surface(lambda x, y: x * x + 3.0 * y * y, (-2, 2), (-2, 2), path=[(2, 1), (0, 0)])
    <Figure size ...>
    """
    for name, (low, high) in (("x", x), ("y", y)):
        if not low < high:
            raise ValueError(f"{name}: expected (low, high) with low < high, got ({low}, {high})")
    points = None if path is None else [tuple(map(float, point)) for point in path]
    if points is not None and any(len(point) != 2 for point in points):
        raise ValueError("path: expected points of two numbers each")
    figure, axes = _axes(axes)
    xs, ys = _steps(*x, resolution), _steps(*y, resolution)
    heights = [[_height(function, a, b) for a in xs] for b in ys]
    low, high = _range(heights)
    # Closer together at the bottom: a valley shows, however steep its sides are.
    chosen = [low + (high - low) * (k / levels) ** 2 for k in range(levels + 1)]
    lines = axes.contour(xs, ys, heights, levels=chosen, cmap="cividis", linewidths=1.0)
    if axes.figure is figure:
        figure.colorbar(lines, ax=axes, label="value")
    if points:
        axes.plot(
            *zip(*points), color=_INK, marker="o", markersize=3.0, linewidth=1.2, label="path"
        )
        axes.plot(*points[0], color=_INK, marker="s", markersize=7.0, linestyle="", label="start")
        axes.plot(*points[-1], color=_INK, marker="*", markersize=12.0, linestyle="", label="end")
        axes.legend(frameon=False, fontsize=9)
    axes.set(xlim=x, ylim=y, xlabel=labels[0], ylabel=labels[1])
    return figure


def plot_loss_surface(
    model: Any,
    X: Any,
    y: Any,
    *,
    loss: Any,
    history: Any = None,
    which: tuple[int, int] = (0, 1),
    x: Span | None = None,
    y_span: Span | None = None,
    resolution: int = 40,
    axes: Any = None,
) -> Any:
    """Draw the loss as a function of two of a model's parameters, with the path of its training.

    The other parameters keep their present values. For a model with more than two parameters the
    surface is therefore a cut through the loss, and the path is where training was seen from it.

    Args:
        model: The model; unchanged.
        X: The examples, one row of inputs each.
        y: Their targets.
        loss: The loss, of ``tinygrad_edu.nn``.
        history: A history with snapshots, from ``fit(..., record=k)``; their path is drawn.
        which: The places of the two parameters among ``model.parameters()``.
        x: The interval of the first one; by default around the path, or around its present value.
        y_span: That of the second one.
        resolution: Points of the grid along each side.
        axes: Draw into these; by default into a new figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are no such two parameters, or no snapshots in the history.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> model = LinearRegression(1, seed=0)
    >>> plot_loss_surface(model, [[1.0], [2.0]], [1.0, 3.0], loss=squared_error)
    <Figure size ...>
    """
    loss = as_loss(loss)
    numbers = [as_float(parameter) for parameter in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    i, j = which
    if i == j or not 0 <= min(i, j) <= max(i, j) < len(numbers):
        raise ValueError(f"which: expected two places from 0 to {len(numbers) - 1}, got {which}")
    path = None
    if history is not None:
        if not history.snapshots:
            raise ValueError("history: expected snapshots, got none: train with fit(..., record=1)")
        path = [(snapshot[i], snapshot[j]) for _, snapshot in history.snapshots]
    places = [*(path or []), (numbers[i], numbers[j])]
    x = x or _around([p[0] for p in places])
    y_span = y_span or _around([p[1] for p in places])
    rows, targets = [list(map(float, row)) for row in X], list(y)

    def height(a: float, b: float) -> float:
        moved = list(numbers)
        moved[i], moved[j] = a, b
        predict = predictor(model.with_parameters(moved), loss)
        return as_float(loss.of([predict(row) for row in rows], targets))

    return plot_surface(
        height, x, y_span, path=path, resolution=resolution, labels=(names[i], names[j]), axes=axes
    )


# --- what the plots share ---


def _axes(axes: Any) -> tuple[Any, Any]:
    """A figure and axes: those that were handed in, or new ones."""
    if axes is not None:
        return axes.figure, axes
    figure = new_figure(5.2, 4.2)
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _grid(
    model: Any, classified: Classified, resolution: int
) -> tuple[list[float], list[float], list[list[list[float]]]]:
    """Coordinates around the points, and what the model puts out at each of their crossings."""
    if resolution < 2:
        raise ValueError(f"resolution: expected at least 2, got {resolution}")
    xs, ys = (_steps(*span([point[i] for point in classified.points]), resolution) for i in (0, 1))
    answer = classified.answers(model.numbers())
    return xs, ys, [[[as_float(z) for z in answer([a, b])] for a in xs] for b in ys]


def _lead(classified: Classified, outputs: list[float], k: int) -> float:
    """How far class ``k`` is ahead of the others."""
    if classified.threshold is not None:
        return classified.lead(outputs) * (1.0 if k == 1 else -1.0)
    return outputs[k] - max(outputs[:k] + outputs[k + 1 :])


def _probabilities(classified: Classified, outputs: list[float]) -> list[float]:
    if classified.threshold is None:
        if classified.loss.takes == "probabilities":
            return outputs
        return [as_float(p) for p in functional.softmax(outputs)]
    takes_chance = classified.loss.takes in ("probabilities", "numbers")
    chance = outputs[0] if takes_chance else as_float(functional.sigmoid(outputs[0]))
    return [1.0 - chance, chance]


def _points(
    axes: Any, classified: Classified, xs: list[float], ys: list[float], legend: bool = True
) -> None:
    for k, name in enumerate(classified.names):
        chosen = [p for p, i in zip(classified.points, classified.indices) if i == k]
        axes.scatter(
            [p[0] for p in chosen], [p[1] for p in chosen], s=28, c=CLASS_COLORS[k], label=name,
            marker=CLASS_MARKERS[k], edgecolors="white", linewidths=0.7, zorder=3,
        )  # fmt: skip
    axes.set(xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    if legend:
        axes.legend(fontsize=9, framealpha=0.85)


def _sampled(
    function: Callable[[Any], Any], low: float, high: float
) -> tuple[list[float], list[float], list[float]]:
    """Sample a function and its derivative, with a gap (nan) where the function jumps."""
    xs: list[float] = []
    ys: list[float] = []
    slopes: list[float] = []
    for at in _steps(low, high, 401):
        x = Value(at)
        output = function(x)
        y = as_float(output)
        slope = float(grad(output, x)) if isinstance(output, Value) else 0.0
        step = (high - low) / 400.0
        steepest = max(abs(slope), abs(slopes[-1])) if slopes else 0.0
        if ys and abs(y - ys[-1]) > 4.0 * step * (steepest + 1.0) + 0.1 * abs(y):
            xs.append(at - step / 2.0)
            ys.append(math.nan)
            slopes.append(math.nan)
        xs.append(at)
        ys.append(y)
        slopes.append(slope)
    return xs, ys, slopes


def _height(function: Callable[[Any, Any], Any], a: float, b: float) -> float:
    try:
        return as_float(function(a, b))
    except (ArithmeticError, ValueError):
        return math.nan  # a point outside the domain leaves a hole


def _range(heights: list[list[float]]) -> Span:
    finite = [height for row in heights for height in row if math.isfinite(height)]
    if not finite or min(finite) == max(finite):
        got = f"{finite[0]:g} everywhere" if finite else "none"
        raise ValueError(f"plot_surface: expected different values over the plane, got {got}")
    return min(finite), max(finite)


def _steps(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def _around(numbers: Sequence[float]) -> Span:
    low, high = min(numbers), max(numbers)
    room = max(0.35 * (high - low), 0.1 * abs(high), 0.5)
    return low - room, high + room


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", "f"))
