"""Exported code, called from C: the same numbers as in Python, in memory of the caller alone."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu import Value, compile, functional
from tinygrad_edu.nn import MLP

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on the PATH")


def loss(w: Any, x: Any, y: Any) -> Any:
    return (functional.tanh(functional.dot(w, x)) * functional.exp(x[0]) - y) ** 2 + w[0]


W, X, Y = [0.1, 0.2, 0.3], [1.0, 2.0, 3.0], 0.5

PROGRAM = r"""
#include <stdio.h>
#include "loss.h"
int main(void) {
    double inputs[LOSS_INPUTS] = {0.1, 0.2, 0.3, 1.0, 2.0, 3.0, 0.5};
    double outputs[LOSS_VALUE_AND_GRAD_OUTPUTS], workspace[LOSS_HESSIAN_WORKSPACE];
    double hessian[LOSS_HESSIAN_OUTPUTS];
    loss(inputs, outputs, workspace);
    printf("%.17g\n", outputs[0]);
    loss_value_and_grad(inputs, outputs, workspace);
    for (int i = 0; i < LOSS_VALUE_AND_GRAD_OUTPUTS; i++) printf("%.17g\n", outputs[i]);
    loss_hessian(inputs, hessian, workspace);
    for (int i = 0; i < LOSS_HESSIAN_OUTPUTS; i++) printf("%.17g\n", hessian[i]);
    return 0;
}
"""


def build(folder: Path, program: str, *objects: str) -> list[float]:
    (folder / "main.c").write_text(program)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=undefined"]
    command = ["gcc", *flags, "-o", "main", "main.c", *objects, "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(["./main"], cwd=folder, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


@needs_gcc
@pytest.mark.parametrize("strict", [False, True])
def test_a_c_program_gets_the_same_numbers(tmp_path: Path, strict: bool) -> None:
    fast = compile(loss, strict=strict)
    what = ["value", "value_and_grad", "hessian"]
    made = fast.export(tmp_path / "loss.o", W, X, Y, what=what)
    assert made.functions == ("loss", "loss_value_and_grad", "loss_hessian")
    numbers = build(tmp_path, PROGRAM, "loss.o")
    value, (by_w, by_x, by_y) = fast.value_and_grad(W, X, Y)
    expected = [fast(W, X, Y), value, *by_w, *by_x, by_y, *fast.hessian(W, X, Y).ravel()]
    assert_allclose(numbers, expected, rtol=1e-14)
    if strict:
        assert numbers[0] == loss(W, X, Y)


def load(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def workspace_of(header: Path, function: str) -> int:
    macro = f"#define {function.upper()}_WORKSPACE "
    line = next(line for line in header.read_text().splitlines() if line.startswith(macro))
    return int(line.removeprefix(macro))


@needs_gcc
@pytest.mark.parametrize("rows", [0, 1, 7, 64, 1001])
def test_rows_and_sums_from_a_shared_library(tmp_path: Path, rows: int) -> None:
    generator = np.random.default_rng(rows)
    x, y = generator.normal(size=(rows, 3)), generator.normal(size=rows)
    fast = compile(loss)
    path = tmp_path / "rows.so"
    made = fast.export(path, W, x, y, what=["map", "batch"], shared=[0], wrt=0, name="f")
    assert made.functions == ("f_map", "f_batch")
    library, w = load(path), np.array(W)
    out, sums = np.full(rows + 1, np.nan), np.full(4, np.nan)
    work = np.full(workspace_of(tmp_path / "rows.h", "f_map"), np.nan)
    count = ctypes.c_uint64(rows)
    library.f_map(pointer(w), pointer(x), pointer(y), count, pointer(out), pointer(work))
    assert_allclose(out[:rows], [loss(W, a, b) for a, b in zip(x, y)], rtol=1e-12)
    assert np.isnan(out[rows])  # nothing is written behind the last row
    work = np.full(workspace_of(tmp_path / "rows.h", "f_batch") + 1, 7.25)
    library.f_batch(
        pointer(w), pointer(x), pointer(y), count, pointer(out), pointer(sums), pointer(work)
    )
    assert work[-1] == 7.25  # nor behind the workspace
    value, slopes, _ = fast.batch_value_and_grad(W, x, y, reduce="sum")
    assert_allclose(sums, [*slopes, value], rtol=1e-12, atol=1e-12)


@needs_gcc
def test_functions_keep_nothing_between_calls_and_run_in_threads(tmp_path: Path) -> None:
    model = MLP(2, [16, 16, 1], activation="tanh", seed=0)
    scale = Value(2.0, "scale")
    fast = compile(lambda m, x: m(x) * scale)
    made = fast.export(tmp_path / "net.so", model, [0.0, 0.0], what="value_and_grad", name="net")
    text = (tmp_path / "net.h").read_text()
    assert "the captured Value 'scale' (2.0 when exported)" in text
    function = load(Path(made.path)).net_value_and_grad
    parameters = [p.data for p in model.parameters()]
    size = workspace_of(tmp_path / "net.h", "net_value_and_grad")
    wrong: list[Any] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        own = np.empty(size)
        for _ in range(50):
            x = generator.normal(size=2)
            inputs = np.array([*parameters, *x, 3.0])
            out = np.empty(1 + len(parameters) + 2)
            function(pointer(inputs), pointer(out), pointer(own))
            expected = 3.0 * model(list(x)).data
            if abs(out[0] - expected) > 1e-12 * max(1.0, abs(expected)):
                wrong.append((seed, x, out[0], expected))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FOREIGN = {
    "x86_64-unknown-linux-gnu": b"\x7fELF\x02\x01",
    "aarch64-unknown-linux-gnu": b"\x7fELF\x02\x01",
    "armv7em-none-eabi": b"\x7fELF\x01\x01",
    "thumbv7em-none-eabihf": b"\x7fELF\x01\x01",
    "riscv64-unknown-linux-gnu": b"\x7fELF\x02\x01",
    "wasm32-unknown-unknown": b"\x00asm",
    "x86_64-pc-windows-msvc": b"\x64\x86",
    "arm64-apple-macosx11": b"\xcf\xfa\xed\xfe",
}
MACHINES = {"x86_64": 62, "aarch64": 183, "armv7em": 40, "thumbv7em": 40, "riscv64": 243}


@pytest.mark.parametrize("triple", FOREIGN)
def test_objects_for_other_machines(tmp_path: Path, triple: str) -> None:
    path = tmp_path / "loss.o"
    made = compile(loss).export(path, W, X, Y, target=triple)
    code = path.read_bytes()
    assert code.startswith(FOREIGN[triple])
    if code.startswith(b"\x7fELF"):
        assert int.from_bytes(code[18:20], "little") == MACHINES[triple.split("-")[0]]
    for name in made.functions:
        assert name.encode() in code
    compile(loss).export(path, W, [X], [Y], what=["map", "batch"], shared=(0,), wrt=0,
                         target=triple)  # fmt: skip
    assert b"loss_batch" in path.read_bytes()


def test_what_does_not_fit_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    fast = compile(loss)
    for options, message in (
        ({"what": "gradient"}, "what: expected some of value"),
        ({"what": ["value", "map"]}, "got both; export two files"),
        ({"what": []}, "each question once"),
        ({"name": "a b"}, "name: expected a name as C has them"),
        ({"target": "z80-sinclair-spectrum"}, "LLVM knows no 'z80"),
    ):
        with pytest.raises(ValueError, match=message):
            fast.export(tmp_path / "f.o", W, X, Y, **options)
    with pytest.raises(ValueError, match=r"is exported as one of \.o"):
        fast.export(tmp_path / "f.exe", W, X, Y)
    with pytest.raises(ValueError, match="name: expected a name as C has them, got '<lambda>'"):
        compile(lambda x: x).export(tmp_path / "f.o", 1.0)
    with pytest.raises(FileNotFoundError):
        fast.export(tmp_path / "missing" / "f.o", W, X, Y)
    assert list(tmp_path.iterdir()) == []


def test_without_a_c_compiler_a_shared_library_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no C compiler .* export a \.o file and link it"):
        compile(loss).export(tmp_path / "f.so", W, X, Y)


def test_llvm_ir_on_request(tmp_path: Path) -> None:
    compile(loss).export(tmp_path / "loss.ll", W, X, Y)
    text = (tmp_path / "loss.ll").read_text()
    assert "define void @loss(ptr %inputs, ptr %outputs, ptr %work)" in text
    assert "target triple" in text
