"""Programs in the manner of what people bring: lectures, homework, small networks of every kind.

Each takes an engine ``e`` (leaves, functions, updates) and a source of random numbers, trains or
differentiates something with scalars, and returns the losses on the way and the final parameters.
The programs marked ``PLAIN`` use only + - * / ** and relu, as the smallest engines have them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Result = tuple[list[Any], list[Any]]
Program = Callable[[Any, random.Random], Result]
PROGRAMS: dict[str, Program] = {}
PLAIN: set[str] = set()


def program(plain: bool = False) -> Callable[[Program], Program]:
    def register(function: Program) -> Program:
        PROGRAMS[function.__name__] = function
        if plain:
            PLAIN.add(function.__name__)
        return function

    return register


def matrix(
    e: Any, r: random.Random, rows: int, columns: int, scale: float = 0.5
) -> list[list[Any]]:
    return [[e.leaf(r.gauss(0.0, scale)) for _ in range(columns)] for _ in range(rows)]


def vector(e: Any, r: random.Random, size: int, scale: float = 0.5) -> list[Any]:
    return [e.leaf(r.gauss(0.0, scale)) for _ in range(size)]


def flat(*parts: Any) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        found += flat(*part) if isinstance(part, list) else [part]
    return found


def add(terms: Any) -> Any:
    total: Any = None
    for term in terms:
        total = term if total is None else total + term
    return total


def product(w: list[list[Any]], x: list[Any], b: list[Any] | None = None) -> list[Any]:
    out = [add(a * v for a, v in zip(row, x)) for row in w]
    return out if b is None else [o + c for o, c in zip(out, b)]


def probabilities(e: Any, scores: list[Any]) -> list[Any]:
    top = max(e.number(s) for s in scores)
    powers = [e.exp(s - top) for s in scores]
    total = add(powers)
    return [p / total for p in powers]


def train(
    e: Any, parameters: list[Any], loss: Callable[[int], Any], steps: int, rate: float
) -> Result:
    losses = []
    for step in range(steps):
        e.zero(parameters)
        value = loss(step)
        value.backward()
        e.descend(parameters, rate)
        losses.append(value)
    return losses, parameters


# --- lecture cells ---


@program(plain=True)
def lecture_expression(e: Any, r: random.Random) -> Result:
    a, b, c, f = e.leaf(2.0), e.leaf(-3.0), e.leaf(10.0), e.leaf(-2.0)
    d = a * b + c
    out = d * f
    out.backward()
    return [out, d], [a, b, c, f]


@program(plain=True)
def every_operator(e: Any, r: random.Random) -> Result:
    a, b = e.leaf(-4.0), e.leaf(2.0)
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + e.relu(b + a)
    d = d + 3 * d + e.relu(b - a)
    g = (c - d) ** 2 / 2.0
    g = g + 10.0 / g - 1 / (a - 7) + (2 - b) * (-c)
    g.backward()
    return [g], [a, b]


@program()
def lecture_neuron(e: Any, r: random.Random) -> Result:
    x1, x2, w1, w2, b = map(e.leaf, (2.0, 0.0, -3.0, 1.0, 6.8813735870195432))
    n = x1 * w1 + x2 * w2 + b
    power = e.exp(2 * n)  # the hyperbolic tangent by hand
    o = (power - 1) / (power + 1)
    o.backward()
    return [o], [x1, x2, w1, w2, b]


@program(plain=True)
def used_twice(e: Any, r: random.Random) -> Result:
    a = e.leaf(3.0)
    b = a + a
    c = b * a + b
    c.backward()
    return [c], [a]


# --- homework ---


@program(plain=True)
def line_by_gradient_descent(e: Any, r: random.Random) -> Result:
    data = [(x / 5.0, 3.0 * x / 5.0 - 1.0 + r.gauss(0, 0.1)) for x in range(10)]
    w, b = e.leaf(0.0), e.leaf(0.0)
    return train(e, [w, b], lambda _: add((w * x + b - y) ** 2 for x, y in data) / 10.0, 20, 0.2)


@program()
def logistic_regression(e: Any, r: random.Random) -> Result:
    data = [([r.gauss(0, 1), r.gauss(0, 1)], r.randrange(2)) for _ in range(12)]
    w, b = vector(e, r, 2), e.leaf(0.1)

    def loss(_: int) -> Any:
        terms = []
        for x, y in data:
            p = 1 / (1 + e.exp(-(add(a * v for a, v in zip(w, x)) + b)))
            terms.append(-(y * e.log(p) + (1 - y) * e.log(1 - p)))
        return add(terms) / len(terms)

    return train(e, [*w, b], loss, 15, 0.5)


@program()
def softmax_regression(e: Any, r: random.Random) -> Result:
    data = [([r.gauss(0, 1) for _ in range(3)], r.randrange(3)) for _ in range(8)]
    w = matrix(e, r, 3, 3)

    def loss(_: int) -> Any:
        return add(-e.log(probabilities(e, product(w, x))[y]) for x, y in data) / len(data)

    return train(e, flat(w), loss, 10, 0.5)


@program(plain=True)
def xor_with_hinge_loss(e: Any, r: random.Random) -> Result:
    data = [([0.0, 0.0], -1), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], -1)]
    w1, b1, w2, b2 = matrix(e, r, 6, 2), vector(e, r, 6), vector(e, r, 6), e.leaf(0.0)

    def loss(_: int) -> Any:
        total = []
        for x, y in data:
            h = [e.relu(v) for v in product(w1, x, b1)]
            score = add(a * v for a, v in zip(w2, h)) + b2
            total.append(e.relu(1 + -y * score))
        parameters = flat(w1, b1, w2, b2)
        return add(total) / 4.0 + 1e-3 * add(p * p for p in parameters)

    return train(e, flat(w1, b1, w2, b2), loss, 12, 0.2)


@program(plain=True)
def moons_in_batches(e: Any, r: random.Random) -> Result:
    points = []
    for i in range(16):
        t = math.pi * i / 15
        sign = 1 if i % 2 else -1
        points.append(([math.cos(t) * sign + (sign < 0), math.sin(t) * sign + 0.2], sign))
    w1, b1, w2 = matrix(e, r, 5, 2), vector(e, r, 5), vector(e, r, 5)

    def loss(step: int) -> Any:
        batch = [points[(4 * step + k) % 16] for k in range(4)]
        scores = []
        for x, y in batch:
            h = [e.relu(v) for v in product(w1, x, b1)]
            scores.append((add(a * v for a, v in zip(w2, h)) - y) ** 2)
        return add(scores) / 4.0

    return train(e, flat(w1, b1, w2), loss, 12, 0.05)


@program()
def bigrams(e: Any, r: random.Random) -> Result:
    text = "abacabadab"
    w = matrix(e, r, 4, 4)
    pairs = [("abcd".index(a), "abcd".index(b)) for a, b in pairwise(text)]

    def loss(_: int) -> Any:
        return add(-e.log(probabilities(e, w[a])[b]) for a, b in pairs) / len(pairs)

    return train(e, flat(w), loss, 8, 1.0)


# --- networks ---


@program()
def recurrent_network(e: Any, r: random.Random) -> Result:
    u, w, v = matrix(e, r, 3, 1), matrix(e, r, 3, 3), vector(e, r, 3)
    series = [math.sin(0.7 * t) for t in range(9)]

    def loss(_: int) -> Any:
        h: list[Any] = [0.0, 0.0, 0.0]
        errors = []
        for now, after in pairwise(series):
            h = [e.tanh(a + b) for a, b in zip(product(u, [now]), product(w, h))]
            errors.append((add(a * b for a, b in zip(v, h)) - after) ** 2)
        return add(errors) / len(errors)

    return train(e, flat(u, w, v), loss, 6, 0.1)


@program()
def lstm(e: Any, r: random.Random) -> Result:
    gates = {name: (matrix(e, r, 2, 3), vector(e, r, 2)) for name in ("i", "f", "o", "g")}
    out = vector(e, r, 2)
    series = [0.5, -0.2, 0.9, 0.1]

    def loss(_: int) -> Any:
        h: list[Any] = [0.0, 0.0]
        c: list[Any] = [0.0, 0.0]
        for x in series:
            z = {name: product(w, [x, *h], b) for name, (w, b) in gates.items()}
            i, f, o = ([e.sigmoid(v) for v in z[name]] for name in ("i", "f", "o"))
            g = [e.tanh(v) for v in z["g"]]
            c = [a * b + d * k for a, b, d, k in zip(f, c, i, g)]
            h = [a * e.tanh(b) for a, b in zip(o, c)]
        return (add(a * b for a, b in zip(out, h)) - 1.0) ** 2

    return train(e, flat([[w, b] for w, b in gates.values()], out), loss, 6, 0.3)


@program()
def gated_recurrent_unit(e: Any, r: random.Random) -> Result:
    z, s, n = (matrix(e, r, 2, 3) for _ in range(3))

    def loss(_: int) -> Any:
        h: list[Any] = [0.1, -0.1]
        for x in (0.3, -0.8, 0.5):
            update = [e.sigmoid(v) for v in product(z, [x, *h])]
            reset = [e.sigmoid(v) for v in product(s, [x, *h])]
            fresh = [e.tanh(v) for v in product(n, [x, *[a * b for a, b in zip(reset, h)]])]
            h = [(1 - u) * a + u * b for u, a, b in zip(update, fresh, h)]
        return add((a - t) ** 2 for a, t in zip(h, (0.5, -0.5)))

    return train(e, flat(z, s, n), loss, 6, 0.5)


@program()
def attention_head(e: Any, r: random.Random) -> Result:
    q, k, v = (matrix(e, r, 3, 3) for _ in range(3))
    tokens = [[r.gauss(0, 1) for _ in range(3)] for _ in range(4)]

    def loss(_: int) -> Any:
        keys, values = [product(k, x) for x in tokens], [product(v, x) for x in tokens]
        total = []
        for t, x in enumerate(tokens):
            query = product(q, x)
            scores = [add(a * b for a, b in zip(query, keys[s])) / 3**0.5 for s in range(t + 1)]
            weights = probabilities(e, scores)
            mixed = [add(w * values[s][j] for s, w in enumerate(weights)) for j in range(3)]
            total.append(add((m - a) ** 2 for m, a in zip(mixed, tokens[(t + 1) % 4])))
        return add(total) / 4.0

    return train(e, flat(q, k, v), loss, 4, 0.05)


@program()
def transformer_block(e: Any, r: random.Random) -> Result:
    table, head = matrix(e, r, 4, 3), matrix(e, r, 4, 3)
    up, down = matrix(e, r, 5, 3), matrix(e, r, 3, 5)

    def normed(x: list[Any]) -> list[Any]:
        mean = add(a * a for a in x) / len(x)
        scale = (mean + 1e-5) ** -0.5
        return [a * scale for a in x]

    def loss(_: int) -> Any:
        total = []
        for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
            x = normed(table[a])
            h = [e.relu(v) ** 2 for v in product(up, x)]
            x = [u + w for u, w in zip(x, product(down, h))]
            total.append(-e.log(probabilities(e, product(head, normed(x)))[b]))
        return add(total) / 4.0

    return train(e, flat(table, head, up, down), loss, 5, 0.2)


@program()
def convolution(e: Any, r: random.Random) -> Result:
    image = [[r.random() for _ in range(5)] for _ in range(5)]
    kernel, bias, w = matrix(e, r, 3, 3), e.leaf(0.0), vector(e, r, 9)

    def loss(_: int) -> Any:
        cells = []
        for i in range(3):
            for j in range(3):
                inside = add(kernel[a][b] * image[i + a][j + b] for a in range(3) for b in range(3))
                cells.append(e.relu(inside + bias))
        return (add(a * c for a, c in zip(w, cells)) - 1.0) ** 2

    return train(e, flat(kernel, bias, w), loss, 6, 0.05)


@program()
def autoencoder(e: Any, r: random.Random) -> Result:
    data = [[r.gauss(0, 1) for _ in range(4)] for _ in range(3)]
    down, up = matrix(e, r, 2, 4), matrix(e, r, 4, 2)

    def loss(_: int) -> Any:
        errors = []
        for x in data:
            code = [e.tanh(v) for v in product(down, x)]
            errors += [(a - b) ** 2 for a, b in zip(product(up, code), x)]
        return add(errors) / len(errors)

    return train(e, flat(down, up), loss, 6, 0.2)


@program()
def variational_autoencoder(e: Any, r: random.Random) -> Result:
    data = [[r.gauss(0, 1) for _ in range(3)] for _ in range(2)]
    noise = [[r.gauss(0, 1) for _ in range(2)] for _ in data]
    mean, spread, up = matrix(e, r, 2, 3), matrix(e, r, 2, 3), matrix(e, r, 3, 2)

    def loss(_: int) -> Any:
        total = []
        for x, draws in zip(data, noise):
            mu, log_variance = product(mean, x), product(spread, x)
            z = [m + e.exp(0.5 * s) * d for m, s, d in zip(mu, log_variance, draws)]
            total += [(a - b) ** 2 for a, b in zip(product(up, z), x)]
            total += [-0.5 * (1 + s - m * m - e.exp(s)) for m, s in zip(mu, log_variance)]
        return add(total)

    return train(e, flat(mean, spread, up), loss, 5, 0.05)


@program()
def generative_adversary(e: Any, r: random.Random) -> Result:
    a, b, c, d = e.leaf(0.5), e.leaf(0.0), e.leaf(0.1), e.leaf(0.0)
    losses: list[Any] = []
    for _ in range(5):
        real, noise = 3.0 + r.gauss(0, 0.2), r.gauss(0, 1)
        e.zero([a, b, c, d])
        judge = lambda x: e.sigmoid(c * x + d)  # noqa: E731
        critic = -e.log(judge(real)) - e.log(1 - judge(a * noise + b))
        critic.backward()
        e.descend([c, d], 0.1)
        e.zero([a, b, c, d])
        generator = -e.log(judge(a * noise + b))
        generator.backward()
        e.descend([a, b], 0.1)
        losses += [critic, generator]
    return losses, [a, b, c, d]


@program()
def radial_basis_functions(e: Any, r: random.Random) -> Result:
    centres, widths, weights = vector(e, r, 4, 1.0), vector(e, r, 4), vector(e, r, 4)
    data = [(x / 4.0, math.sin(x / 2.0)) for x in range(-6, 7, 2)]

    def loss(_: int) -> Any:
        errors = []
        for x, y in data:
            out = add(w * e.exp(-((x - c) ** 2) * e.exp(s))
                      for w, c, s in zip(weights, centres, widths))  # fmt: skip
            errors.append((out - y) ** 2)
        return add(errors) / len(errors)

    return train(e, flat(centres, widths, weights), loss, 8, 0.2)


# --- optimisers by hand ---


@program(plain=True)
def momentum_by_hand(e: Any, r: random.Random) -> Result:
    x, y = e.leaf(-1.5), e.leaf(2.0)
    speeds, losses = [0.0, 0.0], []
    for _ in range(15):
        e.zero([x, y])
        loss = (1 - x) ** 2 + 0.5 * (y - x * x) ** 2
        loss.backward()
        speeds = [0.8 * s - 0.02 * e.slope(p) for s, p in zip(speeds, (x, y))]
        for p, s in zip((x, y), speeds):
            p.data = p.data + s
        losses.append(loss)
    return losses, [x, y]


@program(plain=True)
def adam_by_hand(e: Any, r: random.Random) -> Result:
    parameters = vector(e, r, 3)
    first, second, losses = [0.0] * 3, [0.0] * 3, []
    for step in range(1, 11):
        e.zero(parameters)
        loss = add(
            (p - t) ** 2 * (i + 1) for i, (p, t) in enumerate(zip(parameters, (1.0, -2.0, 0.5)))
        )
        loss.backward()
        for i, p in enumerate(parameters):
            g = e.slope(p)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            scaled = (second[i] / (1 - 0.999**step)) ** 0.5 + 1e-8
            p.data = p.data - 0.1 * (first[i] / (1 - 0.9**step)) / scaled
        losses.append(loss)
    return losses, parameters


@program(plain=True)
def newtons_method_by_hand(e: Any, r: random.Random) -> Result:
    x = e.leaf(3.0)
    losses = []
    for _ in range(6):
        e.zero([x])
        f = x**3 - 2 * x - 5
        f.backward()
        x.data = x.data - e.number(f) / e.slope(x)
        losses.append(f)
    return losses, [x]


# --- games, choices, physics ---


@program(plain=True)
def minimax_game(e: Any, r: random.Random) -> Result:
    x, y = e.leaf(1.0), e.leaf(-0.5)
    losses = []
    for _ in range(12):
        e.zero([x, y])
        f = x * y + 0.3 * x * x - 0.3 * y * y
        f.backward()
        e.descend([x], 0.1)
        e.descend([y], -0.1)
        losses.append(f)
    return losses, [x, y]


@program()
def bandit_by_policy_gradient(e: Any, r: random.Random) -> Result:
    scores = vector(e, r, 3, 0.1)
    rewards, losses = [0.1, 0.9, 0.4], []
    for _ in range(10):
        arm = r.randrange(3)
        e.zero(scores)
        loss = -e.log(probabilities(e, scores)[arm]) * (rewards[arm] - 0.5)
        loss.backward()
        e.descend(scores, 0.5)
        losses.append(loss)
    return losses, scores


@program()
def preference_loss(e: Any, r: random.Random) -> Result:
    policy = vector(e, r, 4)
    reference = [0.1, -0.2, 0.3, 0.0]
    pairs = [(0, 2), (1, 3), (0, 3)]

    def loss(_: int) -> Any:
        p = [e.log(v) for v in probabilities(e, policy)]
        margins = [0.5 * ((p[a] - reference[a]) - (p[b] - reference[b])) for a, b in pairs]
        return add(-e.log(e.sigmoid(m)) for m in margins) / len(pairs)

    return train(e, policy, loss, 8, 0.5)


@program()
def contrastive_loss(e: Any, r: random.Random) -> Result:
    w = matrix(e, r, 2, 3)
    pairs = [
        ([r.gauss(0, 1) for _ in range(3)], [r.gauss(0, 1) for _ in range(3)], i % 2)
        for i in range(4)
    ]

    def loss(_: int) -> Any:
        total = []
        for a, b, same in pairs:
            u, v = product(w, a), product(w, b)
            distance = e.sqrt(add((x - y) ** 2 for x, y in zip(u, v)) + 1e-9)
            total.append(distance**2 if same else e.relu(2.0 - distance) ** 2)
        return add(total) / 4.0

    return train(e, flat(w), loss, 6, 0.1)


@program()
def knowledge_distillation(e: Any, r: random.Random) -> Result:
    teacher = [[2.0, 0.5, -1.0], [0.1, 0.2, 1.5]]
    w, inputs = matrix(e, r, 3, 2), [[1.0, 0.3], [-0.4, 1.0]]

    def loss(_: int) -> Any:
        total = []
        for x, scores in zip(inputs, teacher):
            powers = [math.exp(s / 2.0) for s in scores]
            soft = [p / sum(powers) for p in powers]
            mine = probabilities(e, [s / 2.0 for s in product(w, x)])
            total += [t * (math.log(t) - e.log(m)) for t, m in zip(soft, mine)]
        return add(total)

    return train(e, flat(w), loss, 8, 0.5)


@program()
def pendulum(e: Any, r: random.Random) -> Result:
    length, angle = e.leaf(1.3), e.leaf(0.4)

    def loss(_: int) -> Any:
        place: Any = angle * 1.0
        speed: Any = 0.0
        for _step in range(20):
            speed = speed - 0.05 * 9.81 / length * e.sin(place)
            place = place + 0.05 * speed
        return (place - 0.1) ** 2

    return train(e, [length, angle], loss, 4, 0.05)


@program()
def orbit_fit(e: Any, r: random.Random) -> Result:
    vx, vy, mass = e.leaf(0.1), e.leaf(0.9), e.leaf(1.1)

    def loss(_: int) -> Any:
        x, y, u, v = 1.0, 0.0, vx, vy
        for _step in range(10):
            inverse = (x * x + y * y) ** -1.5
            u, v = u - 0.1 * mass * x * inverse, v - 0.1 * mass * y * inverse
            x, y = x + 0.1 * u, y + 0.1 * v
        return (x - 0.5) ** 2 + (y - 0.8) ** 2

    return train(e, [vx, vy, mass], loss, 5, 0.05)


@program()
def cooling_curve(e: Any, r: random.Random) -> Result:
    rate, ambient = e.leaf(0.3), e.leaf(18.0)
    data = [(t, 20.0 + 60.0 * math.exp(-0.4 * t)) for t in range(0, 10, 2)]

    def loss(_: int) -> Any:
        return (
            add((ambient + (80.0 - ambient) * e.exp(-rate * t) - y) ** 2 for t, y in data) / 500.0
        )

    return train(e, [rate, ambient], loss, 10, 0.01)


@program(plain=True)
def portfolio(e: Any, r: random.Random) -> Result:
    w = vector(e, r, 3, 0.3)
    covariance = [[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.01]]
    gains = [0.05, 0.1, 0.03]

    def loss(_: int) -> Any:
        risk = add(w[i] * w[j] * covariance[i][j] for i in range(3) for j in range(3))
        budget = (add(w) - 1.0) ** 2
        return risk - add(a * g for a, g in zip(w, gains)) + budget

    return train(e, w, loss, 15, 0.2)
