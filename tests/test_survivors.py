"""Small things that mutation testing (``make mutants``) found no test for, wing by wing."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from tinygrad_edu import MLP, Value, draw, explain, fit, functional, load_model, save, saving
from tinygrad_edu.expression import FormulaError, parse
from tinygrad_edu.nn import squared_error
from tinygrad_edu.optim import GradientDescent, follow_gradient, schedules
from tinygrad_edu.training import GradientNorm, History, LossChange, Patience

# --- optim ---

SCHEDULES = [
    schedules.Constant, schedules.StepDecay, schedules.ExponentialDecay, schedules.InverseTime,
    schedules.Linear, schedules.Cosine,
]  # fmt: skip


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_schedule_checks_what_all_schedules_have(kind: type) -> None:
    for start in (0.0, -0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="start: expected a learning rate above 0"):
            kind(start)
    with pytest.raises(ValueError, match="per: expected 'step' or 'epoch', got 'month'"):
        kind(0.1, per="month")


def test_schedules_at_the_ends_of_their_ranges() -> None:
    assert schedules.InverseTime(0.5, decay=0.0)(10) == 0.5
    assert schedules.Linear(0.5, end=0.0, steps=1)(1) == 0.0
    with pytest.raises(ValueError, match="decay"):
        schedules.InverseTime(0.5, decay=-1e-9)


def test_a_path_says_whether_it_converged() -> None:
    square: Callable[..., Value] = lambda x: x * x  # noqa: E731
    done = follow_gradient(square, [1.0], GradientDescent(0.4))
    cut = follow_gradient(square, [1.0], GradientDescent(1e-6), steps=2)
    assert done.converged
    assert "converged" in repr(done)
    assert "not converged" not in repr(done)
    assert not cut.converged
    assert repr(cut).endswith("not converged>")


# --- training ---


def test_criteria_say_what_they_want_and_got() -> None:
    with pytest.raises(ValueError, match=r"^epochs: expected at least 1, got 0$"):
        LossChange(epochs=0)
    with pytest.raises(ValueError, match=r"^below: expected a number above 0, got 0\.0$"):
        LossChange(below=0.0)
    with pytest.raises(ValueError, match=r"^below: expected a number from 0, got -1\.0$"):
        GradientNorm(-1.0)
    with pytest.raises(ValueError, match=r"^margin: expected a number from 0, got inf$"):
        Patience(margin=math.inf)
    assert LossChange(epochs=1).epochs == Patience(epochs=1).epochs == 1
    assert GradientNorm(0.0)(History(gradient_norm=[0.0])) is not None


def test_patience_counts_any_improvement_by_default() -> None:
    falling = History(loss=[1.0 - 1e-3 * i for i in range(30)])
    assert Patience(epochs=2)(falling) is None
    assert Patience(epochs=2, margin=0.5)(falling) is not None


def test_the_history_has_the_seconds_of_each_epoch() -> None:
    before = perf_counter()
    history = fit(MLP(1, [2, 1], seed=0), [[0.0], [1.0]], [0.0, 1.0], loss=squared_error, epochs=3)
    passed = perf_counter() - before
    assert len(history.seconds) == 3
    assert all(0.0 <= seconds <= passed for seconds in history.seconds)


# --- formulas ---


def test_only_an_operand_that_may_be_left_out_is_said_to() -> None:
    with pytest.raises(FormulaError) as strict:
        parse("atan2(x)")
    assert "may be left out" not in str(strict.value)
    with pytest.raises(FormulaError) as loose:
        parse("leaky_relu(x, 0.1, 2)")
    assert "may be left out" in str(loose.value)


def test_long_lists_of_names_are_cut_with_a_count() -> None:
    names = [f"x{i}" for i in range(11)]
    with pytest.raises(TypeError, match=r"expected 11 values \(x0, .*, x7 and 3 more\), got 0"):
        parse("+".join(names))()
    with pytest.raises(TypeError, match=r"expected 8 values \(x0, .*, x7\), got 0"):
        parse("+".join(names[:8]))()


# --- saving ---


def test_a_damaged_random_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    source = random.Random(1)
    save(path, MLP(1, [1], seed=0), seed=source)
    header, tensors = saving._unpacked(path)
    version, numbers, gauss = header["random"]
    forged = {**header, "random": [version, numbers[1:], gauss]}
    path.write_bytes(saving._packed(forged, tensors))  # with a checksum that fits
    load_model(path)  # the model is whole
    with pytest.raises(ValueError, match="damaged"):
        saving.load(path, MLP(1, [1], seed=0), seed=random.Random(2))


# --- drawing ---


def _leaves(count: int) -> list[Value]:
    return [Value(float(i + 2), "abcdefg"[i]) for i in range(count)]


def test_products_in_a_dot_are_written_pair_by_pair() -> None:
    a, b, c, d, e = _leaves(5)
    f = functional.dot([a, b], [c, d], e)
    f.label = "f"
    f.backward()
    text = str(explain(f))
    assert re.search(r"a \* c \+ b \* d \+ e", text), text
    g = functional.dot([a, b], [c, d])
    g.label = "g"
    g.backward()
    assert re.search(r"g = a \* c \+ b \* d\b(?! \+)", str(explain(g)))


def test_a_captured_constant_is_written_with_its_function() -> None:
    (x,) = _leaves(1)
    f = functional.leaky_relu(x, 0.25)
    f.label = "f"
    f.backward()
    assert "leaky_relu(a, 0.25)" in str(explain(f))


def test_infinity_and_comparisons_in_latex() -> None:
    x, y = Value(-math.inf, "x"), Value(1.0, "y")
    f = functional.less(x, y) * 3.0
    f.label = "f"
    f.backward()
    latex = explain(f)._repr_markdown_()
    assert r"x \lt y" in latex
    assert r"-\infty" in latex


def test_a_rounded_explanation_says_so_and_an_exact_one_does_not() -> None:
    x = Value(1.0, "x")
    third = x / 3.0
    third.label = "f"
    third.backward()
    rounded = explain(third)
    assert rounded.rounded
    assert "four significant digits" in rounded._repr_markdown_()
    double = x * 2.0
    double.label = "f"
    double.backward()
    assert not explain(double).rounded
    assert "four significant digits" not in explain(double)._repr_markdown_()


def test_a_cut_figure_says_which_operands_are_not_drawn() -> None:
    x = Value(2.0, "x")
    f = (x * x + x).exp()
    f.backward()
    assert "operands not drawn" in draw(f, depth=1).svg
    assert "operands not drawn" not in draw(f).svg


def test_the_saved_dot_text_names_its_font() -> None:
    x = Value(2.0, "x")
    assert re.search(r'node \[.*fontname="?Times', draw(x * x).dot)
