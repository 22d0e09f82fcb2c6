# %% [markdown]
# # Gradient descent and ascent
#
# The gradient points towards the steepest increase of a function. Following it uphill maximizes
# the function, following it downhill minimizes it (the notes, section 'Optimization'):
#
#     Algorithm 1, ascent                    Algorithm 2, descent
#     while w not converged do               while w not converged do
#         w <- w + alpha * grad f(w)             w <- w - alpha * grad f(w)

# %%
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _shared import BLUE, GREY, INK, LINES, ORANGE, PURPLE, panels, run, save
from matplotlib.axes import Axes

from tinygrad_edu import exp
from tinygrad_edu.optim import GradientAscent, GradientDescent, InverseTime, Path, follow_gradient


def landscape(
    panel: Axes, function: Callable[..., Any], sides: Sequence[float], levels: Any
) -> None:
    """Draw the contour lines of a function of two variables."""
    left, right, bottom, top = sides
    x, y = np.linspace(left, right, 121), np.linspace(bottom, top, 121)
    heights = [[float(function(float(a), float(b))) for a in x] for b in y]
    panel.contourf(x, y, heights, levels=levels, cmap="Greys", alpha=0.35, extend="both")
    panel.contour(x, y, heights, levels=levels, colors=GREY, linewidths=0.6, linestyles="solid")
    panel.set(xlabel="$x$", ylabel="$y$", xlim=(left, right), ylim=(bottom, top))


def walk(panel: Axes, path: Path, color: str, **options: Any) -> None:
    """Draw the points of a path, joined."""
    x, y = zip(*path.points)
    panel.plot(x, y, color=color, marker="o", markersize=3.5, linewidth=1.3, **options)


# %% [markdown]
# ## One sign
#
# The function f(x, y) = x exp(-x^2 - y^2) is a hill beside a valley: its top is at (1/sqrt 2, 0),
# its bottom at (-1/sqrt 2, 0). From one starting point, with one learning rate, ascent and descent
# part ways. The function is written once; its gradient is computed by backpropagation.


# %%
def hill_and_valley(x: Any, y: Any) -> Any:
    return x * exp(-(x**2) - y**2)


def ascent_and_descent(steps: int, folder: str | None) -> None:
    start = [0.15, 1.1]
    up = follow_gradient(hill_and_valley, start, GradientAscent(0.3), steps=steps)
    down = follow_gradient(hill_and_valley, start, GradientDescent(0.3), steps=steps)
    print("f(x, y) = x exp(-x^2 - y^2), from (0.15, 1.1), learning rate 0.3")
    for name, path, sign in (("ascent", up, 1.0), ("descent", down, -1.0)):
        x, y = path.points[-1]
        print(f"  {name:8} {len(path.points) - 1:4} steps to ({x:+.6f}, {y:+.6f}), f = ", end="")
        print(f"{path.values[-1]:+.6f}")
        if path.converged:
            assert abs(x - sign / math.sqrt(2.0)) < 1e-6
            assert abs(y) < 1e-6
    figure, (panel,) = panels(1, width=5.6, height=4.0)
    landscape(panel, hill_and_valley, (-1.9, 1.9, -1.5, 1.5), np.linspace(-0.45, 0.45, 19))
    walk(panel, up, ORANGE, label="Algorithm 1, gradient ascent")
    walk(panel, down, BLUE, label="Algorithm 2, gradient descent")
    panel.plot(*start, "o", color=INK, markersize=7, label="start")
    for sign, name in ((1.0, "maximum"), (-1.0, "minimum")):
        panel.plot(sign / math.sqrt(2.0), 0.0, "*", color=INK, markersize=12)
        panel.annotate(name, (sign / math.sqrt(2.0), -0.12), ha="center", va="top")
    panel.set_title("$f(x, y) = x\\,e^{-x^2 - y^2}$: the two algorithms differ in one sign")
    panel.legend(loc="lower center", ncols=2, fontsize=9)
    save(figure, "01_ascent_and_descent", folder)


# %% [markdown]
# ## The learning rate
#
# "We want a learning rate that is large enough so that we move fast towards the correct direction
# but at the same time small enough so that the method does not diverge." On the bowl
# f(x, y) = 1/2 (x^2 + 10 y^2) a step multiplies x by 1 - alpha and y by 1 - 10 alpha: it converges
# for alpha < 0.2 and diverges above.


# %%
def bowl(x: Any, y: Any) -> Any:
    return 0.5 * (x**2 + 10.0 * y**2)


def learning_rates(steps: int, folder: str | None) -> None:
    print("f(x, y) = (x^2 + 10 y^2) / 2, from (9, 3)")
    figure, axes = panels(2, 2, width=4.4, height=3.3)
    rates = ((0.01, "too small"), (0.17, "right"), (0.205, "too large"))
    for panel, (rate, name), line in zip(axes, rates, LINES):
        path = follow_gradient(bowl, [9.0, 3.0], GradientDescent(rate), steps=steps)
        x, y = path.points[-1]
        assert abs(x - 9.0 * (1 - rate) ** steps) < 1e-9
        assert abs(y - 3.0 * (1 - 10 * rate) ** steps) < 1e-9 * max(1.0, abs(y))
        assert (abs(y) > 3.0) == (name == "too large")  # the steep direction grows, step by step
        print(f"  learning rate {rate:5}: f = {path.values[-1]:.3g} after {steps} steps, {name}")
        landscape(panel, bowl, (-4.5, 10.5, -5.5, 5.5), np.geomspace(0.5, 200.0, 12))
        walk(panel, path, line["color"])
        panel.plot(0.0, 0.0, "*", color=INK, markersize=12)
        panel.set_title(f"$\\alpha = {rate}$: {name}")
        axes[3].plot(path.values, label=f"$\\alpha = {rate}$: {name}", **line)
    axes[3].set(xlabel="step", ylabel="$f$", yscale="log")
    axes[3].set_title("the function along the three paths")
    axes[3].legend(fontsize=9)
    save(figure, "01_learning_rates", folder)


# %% [markdown]
# ## Learning rate decay
#
# "A typical approach is to start gradient descent with a relatively large learning rate and reduce
# the learning rate as the number of iterations increases." The function |x| + 2 |y| has a gradient
# of the same length however close the minimum is, so steps of a fixed size never arrive: they jump
# to and fro across it. A rate alpha / (1 + t / 10) starts as fast and ends as close as one likes.


# %%
def creases(x: Any, y: Any) -> Any:
    return abs(x) + 2.0 * abs(y)


def decay(steps: int, folder: str | None) -> None:
    print(f"f(x, y) = |x| + 2 |y|, from (4.03, 2.51), {steps} steps")
    figure, (panel,) = panels(1, width=7.0, height=3.7)
    ends = {}
    rates = (
        ("large", "0.5", 0.5, BLUE),
        ("small", "0.01", 0.01, ORANGE),
        ("decay", "0.5 / (1 + t/10)", InverseTime(0.5, decay=0.1), PURPLE),
    )
    for name, formula, rate, color in rates:
        path = follow_gradient(creases, [4.03, 2.51], GradientDescent(rate), steps=steps)
        ends[name] = np.mean(path.values[-10:])
        print(f"  {name}: {formula:17} f = {ends[name]:.4f} on average over the last ten steps")
        panel.plot(path.values, color=color, linewidth=1.0)
        panel.annotate(
            f" {name}:\n $\\alpha = {formula}$", (steps, ends[name]), color=color, va="center"
        )
    if steps >= 100:
        assert ends["decay"] < min(ends["large"], ends["small"]) / 5
    panel.set(xlabel="step $t$", ylabel="$f(x, y) = |x| + 2|y|$", yscale="log", xlim=(0, steps))
    panel.set_title("a learning rate that decays is fast first and exact later")
    save(figure, "01_decay", folder)


# %%
def main(steps: int = 300, folder: str | None = None) -> None:
    """Gradient descent and ascent on functions of two variables."""
    ascent_and_descent(steps, folder)
    learning_rates(min(steps, 40), folder)
    decay(min(steps, 120), folder)


# %%
if __name__ == "__main__":
    run(main)
