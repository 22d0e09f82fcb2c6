"""A tiny GPT, written with single numbers: it reads a list of first names and makes up new ones.

Everything in here is arithmetic on scalars. Nothing is a matrix, so nothing hides: a neuron is a
``dot``, attention is a ``softmax`` and a ``dot``, and learning is the backward pass of the lecture
followed by one line of Adam. The network is a small copy of the large ones: one layer, 16 numbers
for each letter, 4 attention heads, a context of 16 letters; 4,192 parameters in all.

    python demos/gpt.py                      compiled: 30,000 names in seconds
    python demos/gpt.py --eager --steps 20   the same code, node by node

Sources: the notes, sections 'Multi-Class Logistic Regression' and 'Backpropagation'; Vaswani et
al., 'Attention Is All You Need' (2017); Radford et al., 'Language Models are Unsupervised Multitask
Learners' (2019); Zhang and Sennrich, 'Root Mean Square Layer Normalization' (2019); Kingma and Ba,
'Adam' (2015).
"""

# %% What the network is made of
from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, dot, logsumexp, relu, softmax, take
from tinygrad_edu.engine import functional

HERE = Path(__file__).resolve().parent
TOKENS = 27  # token 0 is the boundary, before and after each name; tokens 1 to 26 are a to z
WIDTH = 16  # how many numbers stand for one letter inside the network
HEADS = 4
CONTEXT = 16  # the longest text it can look at

# The parameters are one long list of numbers, which the training loop likes: to it, all of them
# are the same. The network cuts the list into rows of weights; each row belongs to one neuron.
ROWS = {
    "letter": (TOKENS, WIDTH),  # what each letter means
    "place": (CONTEXT, WIDTH),  # what it means to be the first, the second, ...
    "query": (WIDTH, WIDTH),  # attention: what a letter looks for,
    "key": (WIDTH, WIDTH),  # what it offers to those that look,
    "value": (WIDTH, WIDTH),  # and what it tells those that find it
    "mix": (WIDTH, WIDTH),
    "wide": (4 * WIDTH, WIDTH),
    "narrow": (WIDTH, 4 * WIDTH),
    "next": (TOKENS, WIDTH),  # how much the text so far asks for each letter
}
SIZE = sum(rows * columns for rows, columns in ROWS.values())


def cut(parameters: Sequence[Any]) -> dict[str, list[Sequence[Any]]]:
    """Cut the list of all parameters into the named rows."""
    named, start = {}, 0
    for name, (rows, columns) in ROWS.items():
        named[name] = [parameters[start + i * columns :][:columns] for i in range(rows)]
        start += rows * columns
    return named


def initial_parameters(rng: random.Random) -> list[float]:
    """Draw the starting parameters: small enough that every letter looks equally likely."""
    return [rng.gauss(0.0, 0.08) for _ in range(SIZE)]


# %% The network: letters in, one score for each possible next letter out
def layer(rows: Sequence[Any], x: Sequence[Any]) -> list[Any]:
    return [dot(row, x) for row in rows]


def add(x: Sequence[Any], y: Sequence[Any]) -> list[Any]:
    return [a + b for a, b in zip(x, y)]


def normalise(x: Sequence[Any]) -> list[Any]:
    """Scale x so that its numbers have a mean square of 1 (RMSNorm)."""
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [a * scale for a in x]


def next_letter(p: dict[str, Any], token: Any, keys: list[Any], values: list[Any]) -> list[Any]:
    """Read one more letter and return the scores of the 27 tokens that may follow.

    ``keys`` and ``values`` are the network's memory: what the letters before have to offer. The
    new letter joins them.
    """
    # 1. Which letter is it, and where does it stand?
    meaning = [take(column, token) for column in zip(*p["letter"])]
    x = add(meaning, p["place"][len(keys)])
    # 2. Attention: look for related letters among those so far, and listen to what they tell.
    calm = normalise(x)
    query = layer(p["query"], calm)
    keys.append(layer(p["key"], calm))
    values.append(layer(p["value"], calm))
    heard = []
    for head in range(0, WIDTH, WIDTH // HEADS):  # each head has its own four of the 16 numbers
        part = slice(head, head + WIDTH // HEADS)
        likeness = [dot(query[part], key[part]) / (WIDTH / HEADS) ** 0.5 for key in keys]
        attention = softmax(likeness)
        heard += [dot(attention, told) for told in zip(*(value[part] for value in values))]
    x = add(x, layer(p["mix"], heard))
    # 3. Think about it: a hidden layer of 64 neurons.
    hidden = [relu(a) for a in layer(p["wide"], normalise(x))]
    x = add(x, layer(p["narrow"], hidden))
    # 4. Score every letter that may come next.
    return layer(p["next"], normalise(x))


def name_loss(parameters: Sequence[Any], tokens: Sequence[Any]) -> Any:
    """Minus the log-likelihood of a name, per letter: how surprised the network is by it.

    A network that knows nothing is at log(27) = 3.30; one that knows only which letters are
    frequent is at about 2.9.
    """
    p = cut(parameters)
    keys: list[Any] = []
    values: list[Any] = []
    surprises = []
    for i in range(len(tokens) - 1):
        scores = next_letter(p, tokens[i], keys, values)
        surprises.append(logsumexp(scores) - take(scores, tokens[i + 1]))
    return functional.mean(surprises)


# %% Text in and out
def encode(name: str) -> list[int]:
    """Write a name as tokens: ``"eva"`` is ``[0, 5, 22, 1, 0]``."""
    if len(name) >= CONTEXT:
        raise ValueError(f"encode: expected at most {CONTEXT - 1} letters, got {name!r}")
    if not (name.isascii() and name.isalpha() and name.islower()):
        raise ValueError(f"encode: expected the letters a to z, got {name!r}")
    return [0, *(ord(letter) - ord("a") + 1 for letter in name), 0]


def read_names(path: Path = HERE / "names.txt") -> list[str]:
    return path.read_text(encoding="ascii").split()


def invent(parameters: Sequence[float], rng: random.Random, temperature: float = 0.7) -> str:
    """Make up a name: draw a letter, feed it back, until the boundary is drawn.

    The functions of the network work on plain numbers as well; then nothing is recorded.

    Args:
        parameters: Plain numbers.
        rng: Where chance comes from.
        temperature: Below 1 the likely letters become likelier.
    """
    p = cut(parameters)
    keys: list[Any] = []
    values: list[Any] = []
    token, name = 0, ""
    while len(name) < CONTEXT - 1:
        scores = next_letter(p, token, keys, values)
        chances = softmax([score / temperature for score in scores])
        (token,) = rng.choices(range(TOKENS), chances)
        if token == 0:
            break
        name += chr(ord("a") + token - 1)
    return name


# %% Learning: the gradient says which way each parameter should move, Adam says how far
def adam(p: Any, gradient: Any, m: Any, v: Any, step: Any, rate: Any) -> tuple[Any, Any, Any]:
    """Move a parameter; ``m`` and ``v`` are running means of its gradient and of the square.

    Works on single numbers and, number by number, on arrays of them.
    """
    # 1. Remember.
    m = 0.85 * m + 0.15 * gradient
    v = 0.99 * v + 0.01 * gradient * gradient
    # 2. Both means started at 0 and are too small at first: allow for it in the rate.
    warm = (1.0 - 0.99**step) ** 0.5
    rate = rate * warm / (1.0 - 0.85**step)
    # 3. Step.
    return p - rate * m / (v**0.5 + 1e-8 * warm), m, v


class Eager:
    """Train node by node, as in the lecture: forward, backward, update."""

    def __init__(self, parameters: Sequence[float]) -> None:
        self.parameters = [Value(p) for p in parameters]
        self.memory = [(0.0, 0.0)] * len(parameters)
        self.steps = 0

    def step(self, tokens: Sequence[int], rate: float) -> float:
        """Learn one name; return the loss before."""
        self.steps += 1
        for p in self.parameters:
            p.grad = 0.0
        loss = name_loss(self.parameters, tokens)
        loss.backward()
        for i, p in enumerate(self.parameters):
            p.data, *memory = adam(p.data, p.grad, *self.memory[i], self.steps, rate)
            self.memory[i] = tuple(memory)
        return float(loss.data)

    def numbers(self) -> list[float]:
        return [p.data for p in self.parameters]


class Compiled:
    """The same loss in native code: one program for each length of a name.

    The letters are arguments of the program, so all names of one length share it. (Padding all
    names to one length would need a single program, with a seventh of the compiling, but each step
    would take 1.4 times as long.) Adam is so little work for each number that numpy does it as well
    as compiled code.
    """

    def __init__(self, parameters: Sequence[float]) -> None:
        import numpy

        from tinygrad_edu import compile

        self.loss = compile(name_loss)
        self.parameters = numpy.array(parameters)
        self.memory = numpy.zeros_like(self.parameters), numpy.zeros_like(self.parameters)
        self.steps = 0

    def step(self, tokens: Sequence[int], rate: float) -> float:
        """Learn one name; return the loss before."""
        self.steps += 1
        loss, gradient = self.loss.value_and_grad(self.parameters, tokens, wrt=0)
        self.parameters, *self.memory = adam(
            self.parameters, gradient, *self.memory, self.steps, rate
        )
        return float(loss)

    def numbers(self) -> list[float]:
        return [float(p) for p in self.parameters]


def train(
    trainer: Eager | Compiled,
    names: Sequence[str],
    steps: int,
    rate: float = 0.003,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Show the names one by one, with smaller and smaller steps; return the losses."""
    losses = []
    for step in range(steps):
        losses.append(trainer.step(encode(names[step % len(names)]), rate * (1.0 - step / steps)))
        if report is not None:
            report(step, losses[-1])
    return losses


def plot(losses: Sequence[float], path: Path) -> None:
    """Draw the loss of each name, and its running mean, into a file."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    window = max(1, len(losses) // 30)
    smooth = [sum(losses[i : i + window]) / window for i in range(len(losses) - window + 1)]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(losses, ".", markersize=2, color="0.75", label="one name")
    axes.plot(range(window // 2, window // 2 + len(smooth)), smooth, "C0", label="running mean")
    axes.set(xlabel="names seen", ylabel="loss per letter", title="Learning to spell first names")
    axes.axhline(3.2958, color="C3", linestyle=":", label="knows nothing: log 27")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


# %% Run it
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a tiny GPT on first names.")
    parser.add_argument("--steps", type=int, help="names to learn from (30,000; eager: 20)")
    parser.add_argument("--eager", action="store_true", help="node by node instead of compiled")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    steps = options.steps or (20 if options.eager else 30_000)
    rng = random.Random(options.seed)
    names = read_names()
    rng.shuffle(names)
    start = initial_parameters(rng)
    print(f"{len(names)} names, {SIZE} parameters")
    print("made up before:", ", ".join(invent(start, rng) for _ in range(5)))

    trainer = Eager(start) if options.eager else Compiled(start)
    began = time.perf_counter()

    def report(step: int, loss: float) -> None:
        if step % max(1, steps // 10) == 0 or step == steps - 1:
            print(f"name {step + 1:5}: loss {loss:.3f}, {time.perf_counter() - began:6.1f} s")

    losses = train(trainer, names, steps, report=report)
    tenth = max(1, steps // 10)
    print(f"mean loss of the last {tenth}: {sum(losses[-tenth:]) / tenth:.3f}")
    learnt = trainer.numbers()
    made_up = [invent(learnt, rng) for _ in range(24)]
    print("made up:", ", ".join(f"{name} *" if name in names else name for name in made_up))
    print("(* is on the list: not every invention is new)")
    path = HERE / "figures" / ("gpt_loss_eager.png" if options.eager else "gpt_loss.png")
    plot(losses, path)
    print(f"drew {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
