"""How long a figure of about 5,000 nodes takes to lay out and to draw: python -m benchmarks.drawing

Processor time counts this process and the system's ``dot``; the first figure in WebAssembly
includes loading the module.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable

from tinygrad_edu import Value, maximum, tanh
from tinygrad_edu.drawing.figures.graph import graph_diagram
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.nn import MLP


def random_graph() -> Value:
    """Random operations on nearby and on far nodes, all added up in the end."""
    source = random.Random(0)
    pool = [Value(source.uniform(-2.0, 2.0), f"x{i}") for i in range(50)]
    while len(pool) < 4000:
        a, b = source.choice(pool[-60:]), source.choice(pool)
        pool.append(source.choice([a + b, a * b, a - b, tanh(a), maximum(a, b)]))
    used = {operand for node in pool for operand in node.operands}
    total = Value(0.0)
    for node in pool:
        total = total if node in used else total + node
    return total


def network() -> Value:
    """A network with every product and sum as a node."""
    return MLP(8, [32, 32, 1], seed=1, expanded=True)([Value(0.1 * i, f"x{i}") for i in range(8)])


def recurrence() -> Value:
    """A recurrent neuron, unrolled: two weights that are used at every step."""
    w, u, h = Value(0.7, "w"), Value(0.5, "u"), Value(0.0, "h")
    for step in range(1000):
        h = tanh(w * h + u * Value(0.1, f"x{step}"))
    return h


def _processor_seconds() -> float:
    import resource

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in used)


def main() -> None:
    """Print a table: graph, nodes, engine, seconds."""
    graphs: tuple[Callable[[], Value], ...] = (random_graph, network, recurrence)
    print(f"{'graph':14}{'nodes':>7}  {'Graphviz':14}{'seconds':>9}{'processor':>11}")
    for make in graphs:
        output = make()
        output.backward()
        for system in [False, True][: 2 if shutil.which("dot") else 1]:
            diagram = graph_diagram(output, max_nodes=10_000)
            wall, used = time.perf_counter(), _processor_seconds()
            svg_text(place(diagram, system=system))
            wall, used = time.perf_counter() - wall, _processor_seconds() - used
            print(
                f"{make.__name__:14}{len(diagram.nodes):>7}  "
                f"{'dot' if system else 'WebAssembly':14}{wall:>9.1f}{used:>11.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
