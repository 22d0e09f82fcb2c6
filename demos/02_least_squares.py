# %% [markdown]
# # Least squares: one answer, three ways
#
# Linear regression predicts h_w(x) = w . x and minimizes Loss(h_w) = 1/2 ||y - X w||^2 (the notes,
# section 'Optimization'). "It is a good exercise to create a linear regression problem and confirm
# that the closed form solution is the same as the converged solution you obtain from gradient
# descent." Here the problem is how diabetes progressed in 442 patients within a year (Efron et al.,
# 2004; it comes with scikit-learn), from what was measured at the start.

# %%
from __future__ import annotations

from typing import Any

import numpy as np
from _shared import BLUE, INK, LINES, panels, run, save
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from tinygrad_edu.nn import LinearRegression, squared_error
from tinygrad_edu.optim import Constant, GradientDescent, InverseTime, Schedule
from tinygrad_edu.training import fit

NAMES = {"bmi": "body mass", "bp": "blood pressure", "s3": "HDL", "s5": "triglycerides"}


# %% [markdown]
# Columns are scaled to mean 0 and variance 1; a column of ones takes the part of the constant term,
# so that w is all there is. How many steps gradient descent needs depends on how alike the columns
# are: the largest eigenvalue of X^T X over the smallest. For the four columns here it is 4, for all
# ten of the data 470 (`--full`).


# %%
def load(full: bool) -> tuple[Any, Any, list[str]]:
    data = load_diabetes(scaled=False)
    columns = list(data.feature_names) if full else list(NAMES)
    X = StandardScaler().fit_transform(data.data[:, [data.feature_names.index(c) for c in columns]])
    ones = np.ones((len(X), 1))
    return np.hstack([ones, X]), data.target, ["mean", *(NAMES.get(c, c) for c in columns)]


def loss_of(w: Any, X: Any, y: Any) -> float:
    return float(0.5 * np.sum((y - X @ w) ** 2))


# %% [markdown]
# ## Closed form
#
#     w = (X^T X)^-1 X^T y
#
# ## Algorithm 3: the gradient written out by hand
#
#     while w not converged do
#         w <- w - alpha * (-X^T y + X^T X w)
#
# ## Algorithm 2: the gradient by backpropagation
#
# The same descent, but nobody differentiates: each prediction is a graph, the loss of each patient
# is its last node, and `backward()` adds up the gradients in w.


# %%
def closed_form(X: Any, y: Any) -> Any:
    return np.linalg.solve(X.T @ X, X.T @ y)


def algorithm_3(X: Any, y: Any, alpha: float, steps: int) -> list[Any]:
    w = np.zeros(X.shape[1])
    path = [w]
    for _ in range(steps):
        w = w - alpha * (-X.T @ y + X.T @ X @ w)
        path.append(w)
    return path


def autodiff(
    X: Any,
    y: Any,
    alpha: float | Schedule,
    epochs: int,
    batch: int | str = "full",
    compiled: bool = False,
) -> list[Any]:
    model = LinearRegression(X.shape[1], bias=False, initialization="zeros")
    history = fit(
        model, X, y, loss=squared_error, optimizer=GradientDescent(alpha), batch=batch,
        epochs=epochs, seed=0, record=1, compiled=compiled,
    )  # fmt: skip
    return [np.array(w) for _, w in history.snapshots]


# %%
def three_ways(X: Any, y: Any, names: list[str], steps: int, compiled: bool) -> Any:
    exact = closed_form(X, y)
    curvatures = np.linalg.eigvalsh(X.T @ X)  # ascending
    alpha = 2.0 / (curvatures[-1] + curvatures[0])  # the fastest that Algorithm 3 can be
    by_formula = algorithm_3(X, y, alpha, steps)
    by_autodiff = autodiff(X, y, alpha, steps, compiled=compiled)
    print(f"{X.shape[0]} patients; {steps} steps with alpha = {alpha:.3g}")
    print(f"{'w':16}{'closed form':>16}{'Algorithm 3':>16}{'autodiff':>16}")
    for name, *ws in zip(names, exact, by_formula[-1], by_autodiff[-1]):
        print(f"{name:16}" + "".join(f"{w:16.8f}" for w in ws))
    # Step for step both descents are the same, and they end where the closed form is.
    apart = max(float(np.abs(a - b).max()) for a, b in zip(by_formula, by_autodiff))
    rate = (curvatures[-1] - curvatures[0]) / (curvatures[-1] + curvatures[0])
    bound = rate**steps * float(np.linalg.norm(exact))  # how far the descent can still have to go
    for name, path in (("Algorithm 3", by_formula), ("autodiff", by_autodiff)):
        error = float(np.abs(path[-1] - exact).max())
        print(f"largest difference from the closed form, {name:11}: {error:.1e}")
        assert error <= max(1e-6, bound)
    print(f"largest difference between the two, along all steps : {apart:.1e}")
    assert apart < 1e-6
    return exact, by_autodiff


# %% [markdown]
# ## Full, stochastic and mini-batch gradient descent
#
# "In stochastic gradient descent at each iteration we use only one data point to compute the
# gradient", randomly sampled; a mini-batch of m points "is a compromise". In one pass over the data
# the full gradient makes 1 step, mini-batches of 32 make 14, single points 442: they come close
# sooner, and then stay restless, because their gradients are noisy; the remedy is to let the
# learning rate decay.


# %%
def compare(X: Any, y: Any, exact: Any, epochs: int, compiled: bool, folder: str | None) -> None:
    top = float(np.linalg.eigvalsh(X.T @ X)[-1])
    least = loss_of(exact, X, y)
    figure, (panel, other) = panels(2, width=5.2)
    # One point of n says n times less than all of them: the steps may be larger accordingly.
    ways: tuple[tuple[str, int | str, Schedule], ...] = (
        ("full batch", "full", Constant(1.0 / top)),
        ("mini-batches, $m = 32$", 32, Constant(3.0 / top)),
        ("stochastic, $m = 1$", 1, Constant(5.0 / top)),
        ("stochastic, decaying", 1, InverseTime(5.0 / top, decay=1.0 / len(X))),
    )
    print(f"after {epochs} passes over the data, loss above the least one of {least:.0f}:")
    for (name, batch, alpha), line in zip(ways, LINES):
        path = autodiff(X, y, alpha, epochs, batch, compiled)
        above = [loss_of(w, X, y) - least for w in path]
        print(f"  {name.replace('$', ''):22} alpha = {alpha.start:.4f}   {above[-1]:10.3g}")
        panel.plot([a / least for a in above], label=name, **line)
        style = {**line, "linewidth": 1.0, "marker": "."}
        other.plot([w[1] for w in path], [w[2] for w in path], **style)
        assert above[-1] < above[0]
    panel.set(xlabel="passes over the data", ylabel="(loss $-$ least loss) / least loss")
    panel.set(yscale="log", title="full, mini-batch and stochastic descent")
    panel.legend(fontsize=9)
    other.plot(exact[1], exact[2], "*", color=INK, markersize=13, zorder=4)
    arrow = {"arrowstyle": "-", "color": INK, "shrinkB": 6}
    other.annotate(
        "closed form", exact[1:3], (0.6, 0.25), textcoords="axes fraction", arrowprops=arrow
    )
    other.set(xlabel="weight of body mass", ylabel="weight of blood pressure")
    other.set_title("two of the weights on the way")
    save(figure, "02_batches", folder)


def show_fit(X: Any, y: Any, w: Any, folder: str | None) -> None:
    predicted = X @ w
    r2 = 1.0 - float(np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))
    print(f"share of the variance explained: {r2:.3f}")
    figure, (panel,) = panels(1, width=4.6, height=4.2)
    panel.scatter(predicted, y, s=14, c=BLUE, alpha=0.7, linewidths=0)
    ends = [float(predicted.min()), float(predicted.max())]
    panel.plot(ends, ends, color=INK, linewidth=1.2)
    panel.annotate("$y = h_w(x)$ ", (ends[1], ends[1]), ha="right", va="bottom")
    panel.set(xlabel="predicted, $h_w(x)$", ylabel="measured, $y$")
    panel.set_title(f"progression of diabetes, $R^2 = {r2:.2f}$")
    save(figure, "02_fit", folder)


# %%
def main(
    steps: int = 0,
    epochs: int = 30,
    full: bool = False,
    compiled: bool = False,
    folder: str | None = None,
) -> None:
    """Least squares by closed form, by Algorithm 3 and by backpropagation."""
    X, y, names = load(full)
    exact, path = three_ways(X, y, names, steps or (5500 if full else 60), compiled)
    compare(X, y, exact, epochs, compiled, folder)
    show_fit(X, y, path[-1], folder)


# %%
if __name__ == "__main__":
    run(main)
