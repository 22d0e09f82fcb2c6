# %% [markdown]
# # Universal approximation
#
# "A two-layer neural network with a sufficient number of neurons can approximate any continuous
# function to any desired accuracy" (the notes, section 'Multi-layer Perceptron'). Two layers: one
# of tanh neurons, and one that adds their outputs up,
#
#     h(x) = v_1 tanh(w_1 x + b_1) + ... + v_n tanh(w_n x + b_n) + c
#
# With more neurons the fit gets closer. sin(x) is easy and |x| has a corner. The step is not even
# continuous, so the theorem does not speak of it: at the jump some error is left to any network.

# %%
from __future__ import annotations

import math
import random
from collections.abc import Callable

from _shared import GREY, LINES, panels, run, save

from tinygrad_edu.nn import MLP, mean_squared_error
from tinygrad_edu.optim import Adam, Cosine
from tinygrad_edu.training import fit

TARGETS: dict[str, Callable[[float], float]] = {
    "$\\sin x$": math.sin,
    "$|x|$": abs,
    "step": lambda x: 1.0 if x >= 0.0 else -1.0,
}
POINTS = [-4.0 + 8.0 * i / 40 for i in range(41)]


# %%
def approximate(
    target: Callable[[float], float], neurons: int, epochs: int, compiled: bool
) -> tuple[MLP, float]:
    """Fit a network with so many hidden neurons; return it with its root mean square error."""
    source = random.Random(neurons)
    model = MLP(1, [neurons, 1], "tanh", seed=source)
    for neuron in model.layers[0].neurons:  # each neuron starts to bend somewhere else
        neuron.w[0].data = source.choice((-1.0, 1.0)) * source.uniform(0.5, 2.0)
        neuron.b.data = -neuron.w[0].data * source.uniform(-4.0, 4.0)
    X, y = [[x] for x in POINTS], [target(x) for x in POINTS]
    steps = epochs * math.ceil(len(X) / 10)
    fit(
        model, X, y, loss=mean_squared_error, optimizer=Adam(Cosine(0.1, end=0.001, steps=steps)),
        batch=10, epochs=epochs, seed=source, compiled=compiled,
    )  # fmt: skip
    predict = model.numbers()
    errors = [predict(x) - t for x, t in zip(X, y)]
    return model, math.sqrt(sum(e * e for e in errors) / len(errors))


# %%
def main(epochs: int = 150, compiled: bool = False, folder: str | None = None) -> None:
    """Two-layer networks with 2, 8 and 32 neurons fit three functions."""
    figure, axes = panels(3, 2, width=4.0, height=3.0, sharex=True)
    widths = (2, 8, 32)
    finer = [-4.0 + 8.0 * i / 320 for i in range(321)]
    print("root mean square error " + "".join(f"{n:>4} neurons" for n in widths))
    for fits, misses, (name, target) in zip(axes[:3], axes[3:], TARGETS.items()):
        fits.plot(finer, [target(x) for x in finer], color=GREY, linewidth=5, alpha=0.45)
        errors = []
        for neurons, line in zip(widths, LINES):
            model, error = approximate(target, neurons, epochs, compiled)
            errors.append(error)
            heights = [model.numbers()([x]) for x in finer]
            fits.plot(finer, heights, label=f"{neurons} neurons", **line)
            misses.plot(finer, [h - target(x) for h, x in zip(heights, finer)], **line)
        label = name.replace("$", "").replace("\\", "")
        print(f"  {label:20} " + "".join(f"{error:12.4f}" for error in errors))
        if epochs >= 150:
            assert errors[0] > max(errors[1:])
            assert name == "step" or (errors[1] > errors[2] and errors[2] < 0.05)
        fits.set(title=name)
        misses.set(xlabel="$x$", ylim=(-0.5, 0.5))
    axes[0].set(ylabel="$h(x)$, and the target in grey")
    axes[3].set(ylabel="error, $h(x)$ $-$ target")
    axes[1].legend(loc="upper center", fontsize=9)
    save(figure, "07_universal_approximation", folder)


# %%
if __name__ == "__main__":
    run(main)
