"""backward() is all or nothing: under Ctrl-C at any moment, repeatedly, and in several threads."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import Any

import pytest

import tinygrad_edu as tg
from tinygrad_edu import Value
from tinygrad_edu.engine import value as engine
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.value import topological_order


def _graph() -> tuple[list[Value], Value]:
    a, b, c = Value(0.5, "a"), Value(1.5, "b"), Value(-0.7, "c")
    h = (a * b + c).tanh() * a
    return [a, b, c], tg.dot([h, b], [c, h], a) / (b * b + 1.0) + h.relu() + 2.0 * h


def _gradients(output: Value) -> list[float]:
    return [node.grad for node in topological_order(output)]


def _before_and_after() -> tuple[list[float], list[float]]:
    leaves, output = _graph()
    output.backward()
    leaves[0].grad = 10.0
    before = _gradients(output)
    output.backward()
    return before, _gradients(output)


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_an_interrupt_at_any_instruction_leaves_all_gradients_or_none_changed(stride: int) -> None:
    before, after = _before_and_after()
    assert before != after
    interrupts = 0
    for k in range(random.randrange(stride), 100_000, stride):
        leaves, output = _graph()
        output.backward()
        leaves[0].grad = 10.0
        left = k

        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            # In backward() itself Python lets no signal in between the instructions of a with
            # block's end; the test at random times below has what real signals do there.
            nonlocal left
            code = frame.f_code
            if "tinygrad_edu" in code.co_filename and code is not Value.backward.__code__:
                frame.f_trace_opcodes = True
                left -= event == "opcode"
                if left < 0 and event == "opcode":
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            output.backward()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.settrace(None)
        assert _gradients(output) in (before, after), f"interrupt at instruction {k}"
        if left >= 0:
            break
    assert interrupts > 500 / stride
    output.backward()  # the lock is free again


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
@pytest.mark.parametrize("rounds", [400, pytest.param(40_000, marks=pytest.mark.slow)])
def test_repeated_interrupts_at_random_times(rounds: int) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    x = Value(0.999, "x")
    y, output = x, x
    for i in range(300):
        output = output * x if i % 3 else (output + y).tanh()
    output.backward()
    before = _gradients(output)
    output.backward()
    after = _gradients(output)
    hits = more = 0

    def interrupt(_signal: int, frame: FrameType | None) -> None:
        nonlocal hits, more
        for _ in range(6):  # only from within backward(), and up to four times in a row
            if frame is not None and frame.f_code is Value.backward.__code__:
                hits, more = hits + 1, more - 1
                if more:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 3e-5))
                raise KeyboardInterrupt
            frame = frame and frame.f_back

    old = signal.signal(signal.SIGALRM, interrupt)
    nodes = topological_order(output)
    try:
        for _ in range(rounds):
            for node, grad in zip(nodes, before):
                node.grad = grad
            more = 4
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 4e-4))
            try:
                output.backward()
            except KeyboardInterrupt:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            assert _gradients(output) in (before, after), f"seed {seed}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
    assert hits > rounds / 10, "the interrupts came too late"


def test_threads_that_share_leaves_lose_no_gradient() -> None:
    shared = [Value(0.5 + i, str(i)) for i in range(5)]
    outputs = [tg.sum([x * x * 3.0 for x in shared]) for _ in range(4)]
    alike = outputs[0] * 2.0  # and interior nodes
    errors: list[BaseException] = []

    def work(output: Value) -> None:
        try:
            for _ in range(60):
                output.backward()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(f,)) for f in (*outputs, alike)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
    finally:
        sys.setswitchinterval(interval)
    assert not errors
    assert [x.grad for x in shared] == [60 * 6.0 * x.data * (4 + 2) for x in shared]


def test_backward_inside_backward_is_refused_and_nothing_is_changed() -> None:
    inner = Value(2.0) * 3.0

    def rule(_y: Any, _a: Any) -> tuple[float]:
        inner.backward()
        return (1.0,)

    x = Value(1.0)
    output = Op("nested", "n", 1, lambda a: a, rule, "a")(x) * 2.0
    with pytest.raises(RuntimeError, match=r"backward\(\) inside backward\(\).*use grad\(\)"):
        output.backward()
    assert (x.grad, output.grad, inner.grad) == (0.0, 0.0, 0.0)
    (x * x).backward()
    assert x.grad == 2.0
    assert engine._one_at_a_time.acquire(blocking=False)
    engine._one_at_a_time.release()


def test_deep_graphs_need_no_stack() -> None:
    code = """
import threading
from tinygrad_edu import Value, grad
def work():
    x = Value(1.0)
    y = x
    for i in range(40_000):
        y = y + x if i % 2 else (y * 1.0).relu()
    y.backward()
    assert grad(y, x) == x.grad == 20_001.0
    y.zero_grad()
    repr(y), y._repr_svg_()
    del y
threading.stack_size(96 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
