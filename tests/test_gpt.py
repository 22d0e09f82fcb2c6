"""The tiny GPT of ``demos/gpt.py``: node by node, compiled, and in torch it is the same network."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from typing import Any

import numpy
import pytest

from benchmarks import in_numpy, in_tinygrad, in_torch
from benchmarks._contest import check_equal, flatten
from demos import gpt

PARAMETERS = gpt.initial_parameters(random.Random(5))


@pytest.mark.parametrize("name", ["bo", "amelia"])
def test_steps_agree_with_torch(name: str) -> None:
    arguments = PARAMETERS, gpt.encode(name), 0.01
    reference = in_torch.gpt_step(*arguments)  # another network, another Adam
    steps = [in_tinygrad.eager_gpt_step(*arguments), in_tinygrad.gpt_step(*arguments)]
    steps.append(in_numpy.gpt_step(*arguments))
    for _ in range(2):  # losses and all parameters after the step
        expected = flatten(reference())
        for step in steps:
            check_equal(expected, flatten(step()), 1e-10, name)
    assert max(abs(a - b) for a, b in zip(expected[1:], PARAMETERS)) > 0.009


def test_one_program_serves_all_names_of_a_length() -> None:
    trainer = gpt.Compiled(PARAMETERS)
    eager = gpt.Eager(PARAMETERS)
    for name in ("ada", "eva", "zoe"):
        tokens = gpt.encode(name)
        assert trainer.step(tokens, 0.01) == pytest.approx(eager.step(tokens, 0.01), rel=1e-12)
    check_equal(eager.numbers(), trainer.numbers(), 1e-12, "parameters")
    assert str(trainer.loss.report()).count("name_loss") == 1


def test_padding_free_reading_is_causal() -> None:
    """What follows a letter must not change the scores at the letter."""
    p = gpt.cut(PARAMETERS)

    def scores(tokens: list[int]) -> list[list[float]]:
        keys: list[Any] = []
        values: list[Any] = []
        return [gpt.next_letter(p, token, keys, values) for token in tokens]

    assert scores([0, 5, 22])[:2] == scores([0, 5, 1])[:2]
    assert scores([0, 5, 22])[2] != scores([0, 6, 22])[2]


def test_a_network_that_knows_nothing_is_surprised_by_log_27() -> None:
    assert gpt.name_loss([0.0] * gpt.SIZE, gpt.encode("eva")) == pytest.approx(math.log(27))


def test_it_learns(tmp_path: Path) -> None:
    names = gpt.read_names()
    random.Random(1).shuffle(names)
    trainer = gpt.Compiled(PARAMETERS)
    losses = gpt.train(trainer, [name for name in names if len(name) == 5], 300, rate=0.01)
    assert numpy.mean(losses[:3]) > 3.1
    assert numpy.mean(losses[-100:]) < 2.75
    invented = [gpt.invent(trainer.numbers(), random.Random(i)) for i in range(5)]
    assert all(re.fullmatch("[a-z]{0,15}", name) for name in invented)
    assert invented == [gpt.invent(trainer.numbers(), random.Random(i)) for i in range(5)]
    gpt.plot(losses, tmp_path / "figures" / "loss.png")
    assert (tmp_path / "figures" / "loss.png").stat().st_size > 10_000


def test_names() -> None:
    names = gpt.read_names()
    assert len(names) > 1000
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]{2,15}", name) for name in names)


def test_encode() -> None:
    assert gpt.encode("eva") == [0, 5, 22, 1, 0]
    for wrong in ("Eva", "e va", "é", "", "a" * 16):
        with pytest.raises(ValueError, match="encode: expected"):
            gpt.encode(wrong)
