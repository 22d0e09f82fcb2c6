"""Words of torch and other libraries: they work, or the error names the word to use here."""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_edu import GraphWarning, Value, draw_dot, fit
from tinygrad_edu.nn import L2, MLP, Module, Neuron, squared_error
from tinygrad_edu.optim import SGD, Adam, GradientDescent, Momentum

X, Y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]


@pytest.mark.parametrize("kind", [SGD, Adam, Momentum, GradientDescent])
def test_a_loop_in_torchs_form_is_the_loop_in_ours(kind: Any) -> None:
    def train(theirs: bool) -> list[float]:
        model = MLP(1, [2, 1], activation="tanh", seed=0)
        optimizer = kind(model.parameters(), lr=0.05) if theirs else kind(0.05)
        for _ in range(5):
            loss = sum(((model(x) - y) ** 2 for x, y in zip(X, Y)), Value(0.0))
            if theirs:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            else:
                for p in model.parameters():
                    p.grad = 0.0
                loss.backward()
                optimizer.step(model.parameters())
        return [p.data for p in model.parameters()]

    assert train(True) == train(False)


def test_an_optimizer_without_parameters_says_how_to_give_them() -> None:
    for method in ("step", "zero_grad"):
        with pytest.raises(TypeError, match=rf"optimizer\.{method}\(model\.parameters\(\)\)"):
            getattr(Adam(0.1), method)()
    with pytest.raises(TypeError, match="expected a learning rate, or parameters"):
        Adam([0.1], lr=0.1)


@pytest.mark.parametrize(
    ("word", "here"),
    [("lr", "learning_rate="), ("batch_size", "batch="), ("n_epochs", "epochs="),
     ("validation_data", "validation="), ("verbose", "progress=True"), ("shuffle", "mini-batches"),
     ("random_state", "seed="), ("patience", "until=Patience"), ("weight_decay", "penalty=L2")],
)  # fmt: skip
def test_fit_names_the_word_to_use(word: str, here: str) -> None:
    model = MLP(1, [1], seed=0)
    before = [p.data for p in model.parameters()]
    with pytest.raises(TypeError, match=rf"there is no {word}=;.*{here}"):
        fit(model, X, Y, loss=squared_error, **{word: 1})
    assert [p.data for p in model.parameters()] == before


@pytest.mark.parametrize(("word", "here"), [("mse", "mean_squared_error"), ("BCELoss", "log_loss"),
                                            ("cross_entropy", "cross_entropy")])  # fmt: skip
def test_losses_by_other_names(word: str, here: str) -> None:
    with pytest.raises(TypeError, match=f"import {here} from tinygrad_edu.nn"):
        fit(MLP(1, [1], seed=0), X, Y, loss=word, epochs=1)  # type: ignore[arg-type]


def test_draw_dot_draws() -> None:
    x = Value(2.0, "x")
    assert "<svg" in draw_dot(x * x).svg


def test_a_loss_that_depends_on_no_parameter_is_an_error_before_the_first_step() -> None:
    model = MLP(1, [1], seed=0)
    for loss in (lambda p, t: Value(1.0) * t, lambda p, t: (p.data - t) ** 2,
                 lambda p, t: (p.detach() - t) ** 2):  # fmt: skip
        with pytest.raises(ValueError, match="depends on no parameter of the model"):
            fit(model, X, Y, loss=loss, epochs=1)
    fit(model, X, Y, loss=lambda p, t: Value(1.0), penalty=L2(0.1), epochs=1)  # the penalty does


def test_a_loss_may_depend_on_parameters_only_sometimes() -> None:
    fit(
        MLP(1, [1], seed=0), X, Y, loss=lambda p, t: (p - t) ** 2 if t > 2 else Value(0.0), epochs=2
    )


class Forgetful(Module):
    def __init__(self) -> None:
        self.used = Neuron(1, seed=0)
        self.spare = Neuron(1, seed=1)

    def __call__(self, x: Any) -> Any:
        return self.used(x)


def test_a_parameter_that_no_gradient_reaches_is_named_once() -> None:
    with pytest.warns(GraphWarning, match=r"does not depend on spare\.w\.0, spare\.b") as caught:
        fit(Forgetful(), X, Y, loss=squared_error, epochs=5)
    assert len(caught) == 1


def test_a_parameter_replaced_by_what_was_computed_from_it_is_told() -> None:
    neuron = Neuron(2, seed=0)
    with pytest.warns(GraphWarning, match="w was a parameter"):
        neuron.w = [w - 0.1 * w.grad for w in neuron.w]
    with pytest.warns(GraphWarning, match="b was a parameter"):
        neuron.b = neuron.b - 0.1 * neuron.b.grad


def test_weight_decay_and_names_of_optimizers() -> None:
    with pytest.raises(TypeError, match=r"SGD: there is no weight_decay=; write fit\(penalty=L2"):
        SGD([Value(1.0)], lr=0.1, weight_decay=0.1)
    for wrong in ("adam", Adam):
        with pytest.raises(TypeError, match=r"import one from tinygrad_edu\.optim"):
            fit(MLP(1, [1], seed=0), X, Y, loss=squared_error, optimizer=wrong)  # type: ignore[arg-type]
