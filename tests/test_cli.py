"""The command line, run in this process and, where that matters, in one of its own."""

from __future__ import annotations

import io
import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tinygrad_edu
from tinygrad_edu import Value
from tinygrad_edu.cli import COMMANDS, forward_table, main

ROOT = Path(tinygrad_edu.__file__).parents[1]
FIGURE_2 = ("((x+y)+(x*y))*z", "x=2", "y=3", "z=4")
TABLE_2 = """\
name  operation  value  gradient
x     input          2        16
y     input          3        12
v1    x + y          5         4
v2    x * y          6         4
v3    v1 + v2       11         4
z     input          4        11
f     v3 * z        44         1
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", *arguments],
        capture_output=True, text=True, env=environment, timeout=120, **options,
    )  # fmt: skip


# --- draw -----------------------------------------------------------------------------------------


def test_draw_prints_the_table_of_figure_2(run: Any) -> None:
    assert run("draw", *FIGURE_2) == (0, TABLE_2, "")


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".dot", b"")]
)
def test_draw_writes_the_figure(run: Any, tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"figure2{suffix}"
    assert run("draw", *FIGURE_2, "-o", str(path)) == (0, TABLE_2, "")
    content = path.read_bytes()
    assert content.startswith(start)
    if suffix == ".svg":
        texts = re.findall(r">([^<>\s]+)<", content.decode())
        assert {"16", "12", "11", "44", "x", "y", "z"} <= set(texts)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_draw_prints_dot(run: Any) -> None:
    code, out, err = run("draw", "--dot", *FIGURE_2)
    assert (code, err) == (0, "")
    assert out.startswith("digraph")
    assert out.rstrip().endswith("}")


def test_steps_name_the_nodes_and_constants_are_told_from_inputs(run: Any) -> None:
    code, out, _ = run(
        "draw", "g = x**2 + 2**x; v1 = -g; f = where(v1 < 1, leaky_relu(v1), 0)", "x=1"
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "name", "x", "v2", "v3", "g", "v1", "1", "v4", "v5", "0", "f",
    ]  # fmt: skip
    for operation in ("x ** 2", "2 ** x", "v2 + v3", "-g", "v1 < 1", "leaky_relu(v1, 0.01)",
                      "where(v4, v5, 0)", "input", "constant"):  # fmt: skip
        assert f"  {operation}  " in out


def test_the_table_of_a_wide_node_stays_readable() -> None:
    output = tinygrad_edu.sum([Value(float(i), f"x{i}") for i in range(100)])
    assert forward_table(output).splitlines()[-1].split("  ")[2].strip() == (
        "sum(x0, x1, x2, x3, ... 100 operands)"
    )


def test_a_figure_that_cannot_be_written_leaves_everything_as_it_was(
    run: Any, tmp_path: Path
) -> None:
    for path in (tmp_path / "missing" / "f.svg", tmp_path / "f.bmp", tmp_path, ""):
        code, out, err = run("draw", *FIGURE_2, "-o", str(path))
        assert (code, out) == (2, "")
        assert re.fullmatch(r"tinygrad-edu: error: .+\n", err)
    old = tmp_path / "old.svg"
    old.write_text("old")
    assert run("draw", "log(x)", "x=-1", "-o", str(old))[0] == 2
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.svg"]


# --- grad and check -------------------------------------------------------------------------------


def test_grad(run: Any) -> None:
    figure_1 = ("g = x + y; f = g * z", "x=2", "y=3", "z=4")
    assert run("grad", *figure_1) == (0, "f = 20\ndf/dx = 4\ndf/dy = 4\ndf/dz = 5\n", "")
    assert run("grad", *figure_1, "--wrt", "g, z")[1] == "f = 20\ndf/dg = 4\ndf/dz = 5\n"
    out = run("grad", "--json", *figure_1, "--wrt=f,x")[1]
    assert json.loads(out) == {
        "formula": "g = x + y; f = g * z", "inputs": {"x": 2.0, "y": 3.0, "z": 4.0},
        "output": "f", "value": 20.0, "gradients": {"f": 1.0, "x": 4.0},
    }  # fmt: skip


def test_json_has_every_digit_and_is_valid_for_nan(run: Any) -> None:
    result = json.loads(run("grad", "exp(x) * y", "x=0.1", "y=3", "--json")[1])
    assert result["gradients"] == {"x": 3 * math.exp(0.1), "y": math.exp(0.1)}
    out = run("grad", "x * y", "x=nan", "y=inf", "--json")[1]
    strict = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert strict["gradients"] == {"x": "inf", "y": "nan"}


def test_values_come_anywhere_and_a_formula_may_start_with_a_minus(run: Any) -> None:
    for arguments in (
        ("-x*y", "x=2", "y=3", "--json"),
        ("-x*y", "x=2", "--json", "y=3"),
        ("--json", "-x*y", "x=2", "y=3"),
        ("--json", "--", "-x*y", "x=2", "y=3"),
    ):
        code, out, err = run("grad", *arguments)
        assert (code, err) == (0, "")
        assert json.loads(out)["formula"] == "-x*y"
        assert json.loads(out)["value"] == -6.0
    assert run("grad", "-hypot(x,4)", "x=3")[:2] == (0, "f = -5\ndf/dx = -0.6\n")  # no -h


def test_check_passes_and_its_exit_code_says_so(run: Any) -> None:
    code, out, _ = run("check", "log(sigmoid(w*x + b))", "w=0.5", "x=2", "b=-1", "--order", "2")
    assert code == 0
    assert out.startswith("gradient check passed")
    assert len(out.splitlines()) == 2 + 3 + 9
    code, out, _ = run("check", "k = 3; relu(x) * k", "x=0")
    assert code == 1
    assert "kink" in out


def test_check_fails_for_a_planted_fault(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tinygrad_edu.engine.ops.sin, "local_gradients", lambda y, a: (0.0,))
    code, out, _ = run("check", "sin(x) * y", "x=0.7", "y=2")
    assert code == 1
    assert out.startswith("gradient check failed for 1 of 2; worst: by x at x = 0.7: analytic 0.0")


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a command: draw, grad, explain, step, check"),
        (("paint",), "invalid choice: 'paint'"),
        (("draw",), "required: FORMULA"),
        (("draw", "x"), "no value given for x"),
        (("draw", "x", "x=1", "y=2"), "'y' is no input of the formula; its inputs are x"),
        (("draw", "x", "x"), "expected NAME=NUMBER, got 'x'"),
        (("draw", "x", "x=one"), "x: expected a number, got 'one'"),
        (("explain", "x", "x=1e400"), "x: 1e400 is too large for a float"),
        (("explain", "1e400*x", "x=1"), "the number is too large for a float"),
        (("draw", "x", "x=1", "x=2"), "two values for 'x'"),
        (("draw", "x", "=1"), "expected NAME=NUMBER"),
        (("draw", "x", "x=1", "--colour"), "unknown option or argument '--colour'"),
        (("draw", "--x", "x=1"), "unknown option or argument '--x'"),
        (("--frobnicate",), "'--frobnicate'"),
        (("draw", "x +", "x=1"), "column 4, at the end: expected a value after '+'"),
        (("draw", "x +\n\n\n@", "x=1"), "column 4"),
        (("grad", "x.real", "x=1"), "column 2, at '.real'"),
        (("grad", "x/0", "x=1"), "div(x=1.0, 0.0): division by zero"),
        (("grad", "sqrt(x)", "x=0"), "gradient of sqrt(x=0.0): division by zero"),
        (("grad", "9**9**9**9"), "too large for a float"),
        (("grad", "x", "x=1", "--wrt", "y"), "--wrt: no 'y' in the formula; it has x, f"),
        (("grad", "p = softmax(x, 1); take(p, 0)", "x=1", "--wrt", "p"), "--wrt: no 'p'"),
        (("grad", "take([x, x], 5)", "x=1"), "whole index from 0 to 1, got 5"),
        (("check", "x", "x=1", "--order", "3"), "invalid choice: 3"),
        (("check", "x", "x=1", "--rtol", "-1"), "rtol: expected a finite number >= 0"),
        (("check", "x", "x=nan"), "x: expected a finite number"),
        (("check", "log(x)", "x=-1"), "log(x=-1.0): needs an operand > 0"),
        (("grad", "(" * 10_000 + "x" + ")" * 10_000, "x=1"), "brackets nest more than 90 deep"),
        (("grad", "\u03c3(x)\x1b[31m", "x=1"), "letters a-z"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    run: Any, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("tinygrad-edu: error: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable()


def test_random_command_lines_give_an_exit_code(run: Any) -> None:
    rng = random.Random(11)
    words = (
        "draw", "grad", "check", "x", "x*y", "x=1", "y=2", "y=", "=", "-", "--", "-x", "--json",
        "--wrt", "x,y", "--order", "2", "--dot", "log(x-y)", "", " ", "f = x; f*", "\u03c3", "-1",
    )  # fmt: skip
    codes = set()
    for _ in range(400):
        arguments = [rng.choice(words) for _ in range(rng.randrange(7))]
        if rng.random() < 0.8:
            arguments.insert(0, rng.choice(("grad", "check", "draw")))
        if "-" in arguments or "--dot" in arguments:
            continue  # standard input; Graphviz
        code, out, err = run(*arguments)
        codes.add(code)
        assert bool(err) == (code == 2), arguments
        assert bool(out) == (code != 2), arguments
        assert err.count("\n") <= 1
    assert codes == {0, 2}


# --- help and the process -------------------------------------------------------------------------


def test_help_shows_examples_that_run(run: Any) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name, command in COMMANDS.items():
        assert f"tinygrad-edu {command.example}" in out
        assert command.summary[:40] in out
        assert "formulas:" in run(name, "--help")[1]


@pytest.mark.parametrize("name", ["draw", "grad", "check"])
def test_the_examples_of_the_help_run(name: str, tmp_path: Path) -> None:
    import shlex

    done = process(*shlex.split(COMMANDS[name].example), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_version_and_module(run: Any) -> None:
    assert run("--version") == (0, f"tinygrad-edu {tinygrad_edu.__version__}\n", "")
    assert process("--version").stdout == f"tinygrad-edu {tinygrad_edu.__version__}\n"


def test_the_formula_from_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# the notes, Figure 1\ng = x + y\nf = g * z\n"
    done = process("grad", "-", "x=2", "y=3", "z=4", input=text)
    assert (done.returncode, done.stdout) == (0, "f = 20\ndf/dx = 4\ndf/dy = 4\ndf/dz = 5\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("x+" * 500_000))
    assert "more than 100000 characters of formula" in run("grad", "-")[2]
    binary = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", "grad", "-"], input=b"x\xff", capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}, timeout=60,
    )  # fmt: skip
    assert binary.returncode == 2
    assert binary.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes and signals")
def test_a_reader_that_goes_away_is_no_error() -> None:
    names = [f"a{i}" for i in range(4000)]  # more lines of table than a pipe holds
    text = ";".join([f"{name}=x*2" for name in names] + [f"sum({','.join(names)})"])
    done = subprocess.run(
        f'{sys.executable} -m tinygrad_edu draw - x=1 | head -1; echo "${{PIPESTATUS[0]}}"',
        shell=True, executable="/bin/bash", input=text, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    header, code = done.stdout.splitlines()
    assert header.split() == ["name", "operation", "value", "gradient"]
    assert code == "141"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tinygrad_edu", "grad", "x", "x=1"],
            stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"tinygrad-edu: error: .*\n", done.stderr)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the files")
@pytest.mark.parametrize("command", ["grad", "check", "draw", "explain", "draw --dot"])
def test_closed_standard_files(command: str, tmp_path: Path) -> None:
    def closed(how: str, formula: str = "x*x") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            f"{sys.executable} -m tinygrad_edu {command} '{formula}' x=1 {how}",
            shell=True, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    error = "tinygrad-edu: error: standard {} is closed"
    done = closed(">&-")
    assert (done.returncode, done.stderr) == (2, error.format("output") + "\n")
    done = closed("2>&-")
    assert done.returncode == 0
    assert done.stdout
    assert closed("2>&-", "x*").returncode == 2
    done = closed("<&-", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(error.format("input"))
    assert closed("<&- >&- 2>&-").returncode == 2
    assert closed("<&- 2>&-").returncode == 0


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    subprocess.run(
        f"{sys.executable} -m tinygrad_edu draw 'x*x' x=1 -o {tmp_path}/f.svg >&- 2>&-",
        shell=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert (tmp_path / "f.svg").read_text(encoding="utf-8").startswith("<")


@pytest.mark.parametrize("command", [["draw", "--dot"], ["explain"], ["explain", "--markdown"]])
def test_letters_that_a_pipe_lacks(command: list[str]) -> None:
    def written(encoding: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tinygrad_edu", *command, "sigmoid(x) - x", "x=1"],
            capture_output=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode(encoding)

    whole, letters = written("utf-8"), re.compile(r"&#(\d+);|\\u([0-9a-f]{4})")
    for encoding in ("cp1252", "ascii"):
        text = written(encoding)
        if "--dot" in command:
            assert "\\u" not in text  # which Graphviz would show as it is
            assert not whole.isascii()
        found = letters.sub(lambda m: chr(int(m[1]) if m[1] else int(m[2], 16)), text)
        assert found.splitlines() == letters.sub(lambda m: chr(int(m[1])), whole).splitlines()


@pytest.mark.skipif(os.name == "nt", reason="POSIX arguments are bytes")
def test_half_a_letter_in_an_argument_is_an_error_of_one_line(tmp_path: Path) -> None:
    for arguments in ([b"draw", b"x\xff*2", b"x=1"], [b"draw", b"x*2", b"x\xff=1"],
                      [b"grad", b"x", b"x=1", b"--wrt", b"\xff"]):  # fmt: skip
        done = subprocess.run(
            [sys.executable.encode(), b"-m", b"tinygrad_edu", *arguments],
            capture_output=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 2, arguments
        assert re.fullmatch(rb"tinygrad-edu: error: .*\n", done.stderr), done.stderr


def test_ctrl_c(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "grad", COMMANDS["grad"]._replace(run=interrupted))
    assert run("grad", "x") == (130, "", "")


def test_output_is_ascii_so_that_any_terminal_shows_it() -> None:
    arguments = ("draw", "sigmoid(x) + log_sigmoid(x) + sum(x, 1) + dot([x], [x])", "x=1")
    done = process(*arguments, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "sigmoid(x)" in done.stdout


def test_starting_up_loads_nothing_heavy() -> None:
    code = (
        "import sys, tinygrad_edu.cli as c; c.main(['--help']); c.main(['grad', 'x*x', 'x=1']); "
        "heavy = {'numpy', 'matplotlib', 'llvmlite', 'torch', 'graphviz', 'wasmtime', 'resvg_py'}; "
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


# --- export ---------------------------------------------------------------------------------------


def test_export_writes_an_object_and_a_header(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "neuron.o"
    code, out, err = run("export", "tanh(w*x + b)", "b", "w", "x", "-o", str(path), "--name", "n")
    assert (code, err) == (0, "")
    assert "n, n_value_and_grad for " in out
    header = path.with_suffix(".h").read_text()
    assert "inputs[0]: b, a number" in header
    assert "inputs[2]: x, a number" in header
    assert "its gradient by b, w, x" in header
    triple = "aarch64-unknown-linux-gnu"
    assert run("export", "x*y", "-o", str(path), "--what", "hessian", "--target", triple)[0] == 0
    assert "void f_hessian(" in path.with_suffix(".h").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x*y", "x"], "expected the inputs x, y, got x"),
        (["x*y", "--what", "gradient"], "what: expected some of value"),
        (["x*y", "--target", "pdp11"], "LLVM knows no 'pdp11'"),
        (["x*"], "expected a value after"),
    ],
)
def test_export_says_what_is_wrong(
    run: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = run("export", *arguments, "-o", str(tmp_path / "f.o"))
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []
