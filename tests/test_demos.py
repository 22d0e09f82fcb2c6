"""The demos run end to end, in reduced form here, and are notebooks in ``# %%`` cell form.

The demos check themselves: their gradients against the notes' formulas, their weights against the
closed form and scikit-learn. Those checks run here too; the ones that need a finished training run
with the full demos (``-m slow``).
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

import jupytext
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "demos"
DEMOS = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
# What makes a demo short, and the figures it draws, short or not.
REDUCED = {
    "01_gradient_descent": ({"steps": 10}, "ascent_and_descent learning_rates decay"),
    "02_least_squares": ({"steps": 5, "epochs": 2}, "batches fit"),
    "03_logistic_regression": ({"epochs": 2}, "logistic_function training probability"),
    "04_softmax_regression": ({"epochs": 3}, "training regions"),
    "05_nonlinear_separators": ({"epochs": 10}, "nonlinear_separators"),
    "06_perceptrons": ({"epochs": 10}, "perceptron activations loss"),
    "07_universal_approximation": ({"epochs": 2}, "universal_approximation"),
    "08_backpropagation": ({"epochs": 5}, "neuron"),
    "09_classification": (
        {"epochs": 2, "rows": 40},
        "two_moons digits digits_examples over_fitting",
    ),
}


@pytest.fixture
def demos(monkeypatch):
    """Import demos as their scripts do: from their own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield import_module
    for name in ("_shared", "all", "main", *DEMOS):
        sys.modules.pop(name, None)


def test_there_is_a_demo_for_every_section():
    assert [name[:2] for name in DEMOS] == [f"{i:02}" for i in range(1, 10)]


# the last one is what `make demo` runs, which has a test of its own
@pytest.mark.parametrize(
    "name",
    [*sorted(REDUCED)[:-1], pytest.param("09_classification", marks=pytest.mark.slow)],
)
def test_a_demo_runs_and_draws(demos, name, tmp_path, capsys):
    options, figures = REDUCED[name]
    demos(name).main(**options, folder=str(tmp_path))
    printed = capsys.readouterr().out
    wanted = {f"{name[:2]}_{figure}.png" for figure in figures.split()}
    if name == "08_backpropagation":
        wanted |= {"figure1.png", "figure2.png"}
    drawn = sorted(tmp_path.glob("*.png"))
    assert {path.name for path in drawn} == wanted
    for path in drawn:
        assert path.name in printed
        picture = imread(path)
        assert picture.shape[0] > 150
        assert picture.shape[1] > 400
        white = (picture[..., :3].min(axis=2) > 0.99).mean()
        assert 0.02 < white < 0.99  # something is drawn, and not everywhere


def test_make_demo_draws_the_notes_figures_and_trains(demos, tmp_path, capsys):
    demos("main").main(rows=40, epochs=1, folder=str(tmp_path))
    printed = capsys.readouterr().out
    for row in ("x input 2 16", "y input 3 12", "z input 4 11", "f g * z 44 1"):
        assert re.search(row.replace("*", r"\*").replace(" ", " +"), printed)
    for name in ("figure1.svg", "figure2.svg", "09_two_moons.png", "09_digits.png"):
        assert (tmp_path / name).stat().st_size > 2000
        assert name in printed


@pytest.mark.parametrize(
    "name", ["02_least_squares", pytest.param("09_classification", marks=pytest.mark.slow)]
)
def test_a_full_demo_in_native_code_reaches_its_goals(demos, name, tmp_path):
    demos(name).main(full=True, compiled=True, folder=str(tmp_path))  # and its own assertions hold


def test_all_runs_all(demos):
    assert list(demos("all").DEMOS) == DEMOS


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_a_notebook(name):
    cells = jupytext.read(FOLDER / f"{name}.py", fmt="py:percent").cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert len(code) >= 3
    for source in code:
        ast.parse(source)  # each cell is complete by itself


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_takes_a_folder_and_has_defaults(demos, name):
    parameters = inspect.signature(demos(name).main).parameters.values()
    assert "folder" in [p.name for p in parameters]
    assert all(p.default is not inspect.Parameter.empty for p in parameters)


def execute(name, tmp_path):
    notebook = jupytext.read(FOLDER / f"{name}.py", fmt="py:percent")
    # The last cell runs it; here into a folder of its own.
    assert "run(main)" in notebook.cells[-1].source
    notebook.cells[-1].source = f"main(folder={str(tmp_path)!r})"
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    return notebook.cells[-1].outputs


def test_a_notebook_runs_cell_by_cell_and_shows_its_figures(tmp_path):
    outputs = execute("05_nonlinear_separators", tmp_path)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "accuracy 100%" in "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DEMOS if not name.startswith("05")])
def test_every_notebook_runs_cell_by_cell(name, tmp_path):
    execute(name, tmp_path)
