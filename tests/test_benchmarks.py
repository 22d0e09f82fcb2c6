"""The measured programs compute the right thing; how fast they are is not tested.

Every program of ``benchmarks/programs.py``, values and gradients, node by node and compiled,
against torch in float64; and the harness itself: it must refuse to time what does not agree.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from benchmarks import _contest, engine, in_numpy, in_tinygrad, in_torch, programs, recurrences
from benchmarks._contest import Contest, Disagreement, check_equal, flatten

TOLERANCE = 1e-11


def agree(expected: Any, got: Any) -> None:
    a, b = flatten(expected), flatten(got)
    assert len(a) == len(b)
    assert any(x != 0.0 for x in a[1:])  # a gradient of zeros would agree with a broken one
    check_equal(a, b, TOLERANCE, "test")


# --- programs -------------------------------------------------------------------------------------

ROWS = {
    "bundle_adjustment": programs.observations(11, seed=1),
    "determinant": programs.matrices(11, 5, seed=2),
    "predator_prey": programs.populations(11, seed=3),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("gradient", [True, False])
def test_programs_over_rows(name: str, gradient: bool) -> None:
    expected = in_torch.rows(name, ROWS[name], gradient)()
    agree(expected, in_tinygrad.eager_rows(name, ROWS[name], gradient)())
    agree(expected, in_tinygrad.rows(name, ROWS[name], gradient)())


@pytest.mark.parametrize("gradient", [True, False])
def test_gaussian_mixture(gradient: bool) -> None:
    arguments = programs.mixture(3, 3, seed=4), programs.points(13, 3, seed=5), gradient
    expected = flatten(in_torch.mixture(*arguments)())
    for module_function in (in_tinygrad.eager_mixture, in_tinygrad.mixture):
        check_equal(expected, flatten(module_function(*arguments)()), TOLERANCE, "mixture")
    assert len(expected) == (1 + 3 + 9 + 9 + 9 if gradient else 1)


def test_determinant_is_the_determinant() -> None:
    for n in (2, 3, 6):
        (row,) = programs.matrices(1, n, seed=n)
        assert programs.determinant(row) == pytest.approx(
            numpy.linalg.det(numpy.array(row).reshape(n, n)), rel=1e-11
        )


def test_bundle_adjustment_without_distortion_is_a_rotation_and_a_projection() -> None:
    row = [0.0, 0.0, 0.3, 1.0, -1.0, 0.5, 2.0, 0.1, -0.2, 0.0, 0.0, 0.4, 0.6, 5.0, 3.0, 0.7, -0.9]
    turn = numpy.array(
        [[numpy.cos(0.3), -numpy.sin(0.3), 0], [numpy.sin(0.3), numpy.cos(0.3), 0], [0, 0, 1]]
    )
    seen = turn @ (numpy.array(row[11:14]) - row[3:6])
    errors = 3.0 * (2.0 * seen[:2] / seen[2] + row[7:9] - row[15:17])
    assert programs.bundle_adjustment(row) == pytest.approx(0.5 * errors @ errors, rel=1e-12)


def test_gaussian_mixture_is_a_mixture_of_gaussians() -> None:
    (weights, means, log_diagonals, below), (x,) = (
        programs.mixture(2, 2, 6),
        programs.points(1, 2, 7),
    )
    shares, terms = torch.softmax(torch.tensor(weights), 0), []
    for k in range(2):
        root = torch.tensor([[0.0, 0.0], [below[k][0], 0.0]]) + torch.diag(
            torch.tensor(log_diagonals[k]).exp()
        )
        normal = torch.distributions.MultivariateNormal(
            torch.tensor(means[k]), precision_matrix=root.T @ root
        )
        terms.append(shares[k].log() + normal.log_prob(torch.tensor(x)))
    expected = float(torch.stack(terms).logsumexp(0)) + numpy.log(2 * numpy.pi)
    found = programs.gaussian_mixture((weights, means, log_diagonals, below), x)
    assert found == pytest.approx(expected, rel=1e-5)  # torch's distribution is in float32


# --- training steps -------------------------------------------------------------------------------

STEPS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "two moons": (
        "margin_step",
        (programs.initial_layers([2, 5, 4, 1], 1), *programs.two_moons(9, 2), 0.05),
    ),
    "several examples": (
        "classifier_step",
        (programs.initial_layers([12, 6, 4], 3), *programs.images(7, 12, 4, 4), 0.05),
    ),
    "one example": (
        "classifier_step",
        (programs.initial_layers([12, 6, 4], 3), *programs.images(1, 12, 4, 4), 0.05),
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_training_steps(case: str) -> None:
    kind, arguments = STEPS[case]
    reference = getattr(in_torch, kind)(*arguments)
    steps = [
        getattr(in_tinygrad, "eager_" + kind)(*arguments),
        getattr(in_tinygrad, kind)(*arguments),
        getattr(in_numpy, kind)(*arguments),
        getattr(in_torch, "lean_" + kind)(*arguments),
    ]
    for _ in range(3):  # later steps are right only if the updates were
        expected = reference()
        for step in steps:
            agree(expected, step())


def test_both_engines_do_the_same_step() -> None:
    from benchmarks.compiled import _by_layers

    theirs, ours = engine.two_moons_step("micrograd", 12), engine.two_moons_step("tinygrad_edu", 12)
    dots = engine.two_moons_dot_step(12)
    for _ in range(3):
        expected = theirs()
        agree(expected, ours())
        agree(expected, dots())
    reordered = _by_layers(lambda name: engine.two_moons_step(name, 12))
    arguments = programs.initial_layers([2, 16, 16, 1], 2), *programs.two_moons(12, 1), 0.01
    agree(reordered(), in_torch.margin_step(*arguments)())


@pytest.mark.parametrize("work", [engine.random_graph, engine.chain])
def test_graphs_agree_with_torch(work: Callable[..., Any]) -> None:
    size = 300
    value, gradients = work("tinygrad_edu", size)()
    agree(work("micrograd", size)(), (value, gradients))
    if work is engine.random_graph:
        rng = random.Random(4)
        leaves = [
            torch.tensor(rng.uniform(-1.0, 1.0), dtype=torch.float64, requires_grad=True)
            for _ in range(100)
        ]
        output = programs.random_graph(size, leaves=100, seed=3)(leaves)
        by_leaves = torch.autograd.grad(output, leaves, allow_unused=True)
        agree((output, [0.0 if g is None else g for g in by_leaves]), (value, gradients))


# --- the harness ----------------------------------------------------------------------------------


def contest(*results: Any, **options: Any) -> Contest:
    made = Contest("work", **options)
    for i, result in enumerate(results):
        made.enter(f"contestant {i}", lambda result=result: lambda: result)
    return made


def test_contest_times_what_agrees() -> None:
    made = contest((1.0, [2.0, 3.0]), [1.0, {"a": numpy.array([2.0, 3.0])}]).run(rounds=2)
    assert all(len(c.seconds) == 2 and c.median > 0.0 for c in made.contestants)
    assert "contestant 1" in made.table()
    assert made.record()["contestants"]["contestant 0"]["median_seconds"] > 0.0


@pytest.mark.parametrize("wrong", [[1.0, 2.0 + 1e-6], [1.0], [1.0, float("nan")]])
def test_contest_refuses_what_does_not_agree(wrong: list[float]) -> None:
    made = contest([1.0, 2.0], wrong)
    with pytest.raises(Disagreement, match="work: contestant 1 against contestant 0"):
        made.run(rounds=1)
    assert not any(c.seconds for c in made.contestants)


def test_contest_checks_the_update_too() -> None:
    made = Contest("step", checked_calls=2)
    for name, second in (("right", 2.0), ("wrong", 1.0)):
        numbers = iter([1.0, second])
        made.enter(name, lambda numbers=numbers: lambda: next(numbers))
    with pytest.raises(Disagreement, match=r"should be 2\.0, is 1\.0"):
        made.run(rounds=1)


def test_contest_skips_what_is_missing_or_too_deep() -> None:
    def too_deep() -> Any:
        return too_deep()

    made = contest([1.0])
    made.enter("absent", lambda: lambda: [2.0], needs=["no_such_module"])
    made.enter("deep", lambda: too_deep)
    _contest.INSTALL["no_such_module"] = "the extra [none]"
    try:
        made.run(rounds=1)
    finally:
        del _contest.INSTALL["no_such_module"]
    assert made.skipped[0] == ("absent", "no_such_module is not installed: the extra [none]")
    assert "RecursionError" in made.table()
    assert made.ratio("absent", "contestant 0") is None


def test_json_is_written_whole(tmp_path: Any) -> None:
    path = tmp_path / "deep" / "results.json"
    _contest.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        _contest.write_json(path, {"a": object()})
    assert path.read_text() == '{\n "a": 1\n}'
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_memory_is_measured_in_a_fresh_process() -> None:
    few, many = (
        _contest.peak_memory("benchmarks.engine:two_moons_step", "tinygrad_edu", points)
        for points in (50, 200)
    )
    assert 3.0 < many["python"] / few["python"] < 4.0  # points and, once, the penalty
    assert 200 * 650 * 50 < many["python"] < 200 * 650 * 500  # 650 operations for each point
    assert numpy.isnan(many["resident"]) or many["resident"] > few["resident"] > 0


# --- loops over time ------------------------------------------------------------------------------


@pytest.mark.parametrize("program", recurrences.PROGRAMS)
def test_recurrences_agree_with_torch(program: str) -> None:
    turns = 12
    step, weights, start, which = recurrences.PROGRAMS[program](torch)
    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    state = list(torch.tensor(start, dtype=torch.float64))
    for x in torch.tensor(recurrences._numbers(turns, 0.0, 1.0), dtype=torch.float64):
        zero = torch.zeros((), dtype=torch.float64)
        state = [zero + s for s in step(w, state, x)]
    loss = state[which] / turns
    loss.backward()
    assert w.grad is not None
    agree([loss.item(), *w.grad.tolist()], recurrences.contestant("scan", program, turns)())


def test_recurrences_that_disagree_are_refused() -> None:
    with pytest.raises(AssertionError, match="number 1"):
        recurrences.check({"scan": [1.0, 2.0], "plain loop": [1.0, 2.1]}, "a program")
