"""Seconds: is everything there, and do the notes' numbers come out?"""

from __future__ import annotations

import subprocess
import sys

import pytest

import tinygrad_edu


def test_every_public_name_can_be_reached() -> None:
    for name in tinygrad_edu.__all__:
        assert getattr(tinygrad_edu, name) is not None
    for name in ("nn", "optim", "training", "drawing", "compiler", "grading", "saving"):
        assert getattr(tinygrad_edu, name).__name__ == f"tinygrad_edu.{name}"
    assert {"draw", "fit", "compile", "explain"} <= set(dir(tinygrad_edu))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tensor'"):
        tinygrad_edu.tensor


def test_star_import_hides_no_builtin() -> None:
    import builtins

    assert not set(tinygrad_edu.__all__) & set(dir(builtins))
    assert tinygrad_edu.sum([1.0, 2.0]) == 3.0


def test_notebooks_show_pictures_of_graphs_and_models() -> None:
    x = tinygrad_edu.Value(2.0, "x")
    assert "<svg" in (x * x)._repr_svg_()
    assert x._repr_svg_() is None
    assert tinygrad_edu.functional.sum([x * float(i) for i in range(200)])._repr_svg_() is None
    assert "<svg" in tinygrad_edu.MLP(2, [3, 1], seed=0)._repr_svg_()
    assert tinygrad_edu.nn.Module()._repr_svg_() is None
    double = tinygrad_edu.compile(lambda x: x * 2.0)
    assert "nothing compiled yet" in repr(double)
    assert double(2.0) == 4.0
    assert "scalar operations traced" in repr(double)
    history = tinygrad_edu.training.History()
    assert history._repr_png_() is None
    history.loss += [3.0, 2.0]
    assert history._repr_png_().startswith(b"\x89PNG")


def test_the_command_line_draws_figure_2(tmp_path) -> None:
    figure = tmp_path / "figure2.svg"
    command = [sys.executable, "-m", "tinygrad_edu", "draw", "((x+y)+(x*y))*z", "x=2", "y=3", "z=4"]
    done = subprocess.run([*command, "-o", str(figure)], capture_output=True, text=True, check=True)
    assert "44" in done.stdout
    assert figure.read_text(encoding="utf-8").count("<text") > 10
