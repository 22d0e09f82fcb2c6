"""The networks beside scikit-learn's own: the same numbers from the same seed, the same words."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import scale

from docs.estimators import DIFFERENCES, found_differences, table
from tinygrad_edu import optim
from tinygrad_edu import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_IRIS, _KINDS = load_iris(return_X_y=True)
IRIS, KINDS = scale(_IRIS), _KINDS
MOONS, SIDES = make_moons(60, noise=0.1, random_state=1)
_SICK, _SUGAR = load_diabetes(return_X_y=True)
SICK, SUGAR = scale(_SICK)[:80], scale(_SUGAR)[:80]
WEIGHTS = numpy.random.default_rng(0).random(150)
IN_COMMON = {"hidden_layer_sizes": (5, 3), "max_iter": 6, "learning_rate_init": 0.02}

CASES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("MLPClassifier", IRIS, KINDS, {}),
    ("MLPClassifier", IRIS, KINDS, {"activation": "logistic", "sample_weight": WEIGHTS}),
    ("MLPClassifier", IRIS, KINDS, {"hidden_layer_sizes": 4, "shuffle": False, "beta_1": 0.5}),
    ("MLPClassifier", IRIS, KINDS, {"early_stopping": True, "max_iter": 8}),
    ("MLPClassifier", IRIS, numpy.eye(3, dtype=int)[KINDS], {"alpha": 0.5}),
    ("MLPClassifier", IRIS, KINDS, {"solver": "lbfgs", "activation": "tanh"}),
    (
        "MLPClassifier",
        MOONS,
        SIDES,
        {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 16},
    ),
    (
        "MLPClassifier",
        MOONS,
        SIDES,
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "early_stopping": True,
            "n_iter_no_change": 2,
            "max_iter": 15,
            "nesterovs_momentum": False,
        },
    ),
    (
        "MLPClassifier",
        MOONS,
        SIDES,
        {"early_stopping": True, "validation_fraction": 0.3, "sample_weight": WEIGHTS[:60]},
    ),
    ("MLPRegressor", SICK, SUGAR, {"activation": "tanh", "early_stopping": True}),
    ("MLPRegressor", SICK, SUGAR, {"solver": "lbfgs", "alpha": 1.0}),
    ("MLPRegressor", SICK, SUGAR, {"solver": "sgd", "power_t": 0.2, "epsilon": 1e-3}),
    ("MLPRegressor", SICK, numpy.column_stack([SUGAR, -SUGAR]), {"tol": 1e-9}),
]
if "loss" in inspect.signature(theirs.MLPRegressor).parameters:  # since scikit-learn 1.7
    CASES.append(("MLPRegressor", SICK, abs(SUGAR), {"loss": "poisson"}))
WITH_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters  # 1.7


def trained(kind: Any, X: Any, y: Any, options: dict[str, Any], **more: Any) -> Any:
    given = {**IN_COMMON, **options}
    weights = given.pop("sample_weight", None)
    estimator = kind(**given, **more)
    return estimator.fit(X, y) if weights is None else estimator.fit(X, y, weights)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("kind", "X", "y", "options"), CASES)
def test_the_same_seed_gives_the_same_network(
    kind: str, X: Any, y: Any, options: dict[str, Any], compiled: bool
) -> None:
    if "sample_weight" in options and not WITH_WEIGHTS:
        pytest.skip("this scikit-learn's networks take no sample_weight")
    one = trained(getattr(ours, kind), X, y, options, random_state=3, compiled=compiled)
    other = trained(getattr(theirs, kind), X, y, options, random_state=3)
    precision = 1e-6 if options.get("solver") == "lbfgs" else 1e-9  # the search sums up rounding
    for found, expected in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_):
        assert found.shape == expected.shape
        assert numpy.allclose(found, expected, rtol=precision, atol=precision)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(one, name) == getattr(other, name), name
    assert numpy.allclose(one.predict(X), other.predict(X), atol=1e-5)
    if y.ndim == 1:
        assert one.loss_ == pytest.approx(other.loss_, rel=1e-6)
    if kind == "MLPClassifier":
        assert numpy.allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-6)
        assert numpy.allclose(one.predict_log_proba(X), other.predict_log_proba(X), atol=1e-5)
    if options.get("early_stopping"):
        assert one.best_loss_ is None
        assert numpy.allclose(one.validation_scores_, other.validation_scores_)
        assert one.best_validation_score_ == pytest.approx(other.best_validation_score_)
    elif options.get("solver") != "lbfgs" and y.ndim == 1:
        assert numpy.allclose(one.loss_curve_, other.loss_curve_)
        assert one.best_loss_ == pytest.approx(other.best_loss_)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_going_on_goes_on_as_scikit_learn_does(solver: str, compiled: bool) -> None:
    options = {**IN_COMMON, "solver": solver, "random_state": 1, "max_iter": 3}
    one = ours.MLPClassifier(**options, warm_start=True, compiled=compiled)
    other = theirs.MLPClassifier(**options, warm_start=True)
    for _ in range(3):
        one.fit(IRIS, KINDS), other.fit(IRIS, KINDS)
    assert numpy.allclose(one.loss_curve_, other.loss_curve_)
    assert len(one.loss_curve_) == 9
    one, other = ours.MLPClassifier(**options, compiled=compiled), theirs.MLPClassifier(**options)
    for begin in range(0, 150, 50):  # each part has one class
        part = slice(begin, begin + 50)
        one.partial_fit(IRIS[part], KINDS[part], classes=[0, 1, 2])
        other.partial_fit(IRIS[part], KINDS[part], classes=[0, 1, 2])
        one = pickle.loads(pickle.dumps(one))  # the state of the steps goes along
    for found, expected in zip(one.coefs_, other.coefs_):
        assert numpy.allclose(found, expected)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "solver", [optim.Adam(0.05), optim.Momentum(0.1), optim.GradientDescent(0.5)]
)
def test_our_optimizers_are_solvers_and_stay_as_they_are(solver: Any, compiled: bool) -> None:
    before = copy.deepcopy(vars(solver))
    mlp = ours.MLPClassifier(
        6, "tanh", solver=solver, max_iter=60, random_state=0, compiled=compiled
    )
    assert mlp.fit(MOONS, SIDES).loss_curve_[-1] < 0.6 * mlp.loss_curve_[0]
    assert vars(solver).keys() == before.keys()
    assert solver.steps == 0
    other = clone(mlp).set_params(compiled=not compiled).fit(MOONS, SIDES)
    assert numpy.allclose(mlp.loss_curve_, other.loss_curve_, rtol=1e-7)


def test_weights_of_rows_and_classes() -> None:
    twice = numpy.repeat(numpy.arange(60), SIDES + 1)
    for kind in (ours.LogisticRegression, ours.SoftmaxRegression):
        repeated = kind(tol=1e-8).fit(MOONS[twice], SIDES[twice])
        weighed = kind(tol=1e-8).fit(MOONS, SIDES, sample_weight=SIDES + 1)
        by_class = kind(tol=1e-8, class_weight={0: 1, 1: 2}).fit(MOONS, SIDES)
        assert numpy.allclose(repeated.coef_, weighed.coef_, atol=1e-5)
        assert numpy.allclose(repeated.coef_, by_class.coef_, atol=1e-5)
    few = numpy.r_[0:10, 50:90]
    mine = ours.LogisticRegression(class_weight="balanced", tol=1e-8).fit(IRIS[few], KINDS[few])
    model = LogisticRegression(class_weight="balanced", tol=1e-8, max_iter=1000)
    assert numpy.allclose(mine.coef_, model.fit(IRIS[few], KINDS[few]).coef_, atol=1e-4)
    mine = ours.LinearRegression(alpha=2.0).fit(SICK, SUGAR, WEIGHTS[:80])
    assert numpy.allclose(mine.coef_, Ridge(2.0).fit(SICK, SUGAR, WEIGHTS[:80]).coef_)
    network = {**IN_COMMON, "solver": "lbfgs", "random_state": 0, "max_iter": 30}
    by_class = ours.MLPClassifier(**network, class_weight={1: 3.0}).fit(MOONS, SIDES)
    weighed = ours.MLPClassifier(**network).fit(MOONS, SIDES, 1.0 + 2.0 * SIDES)
    assert numpy.allclose(by_class.coefs_[0], weighed.coefs_[0])


def test_logarithms_of_probabilities_that_underflow() -> None:
    model = ours.SoftmaxRegression(C=1e9, tol=1e-9).fit([[0.0], [1.0], [2.0]], [0, 1, 2])
    logs = model.predict_log_proba([[1e4]])
    assert numpy.isfinite(logs).all()
    assert logs.min() < -1e4


def test_verbose_prints_each_iteration(capsys: pytest.CaptureFixture[str]) -> None:
    mlp = ours.MLPClassifier(2, max_iter=2, verbose=True, random_state=0).fit(MOONS, SIDES)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Iteration {i + 1}, loss = {x:.8f}" for i, x in enumerate(mlp.loss_curve_)]


# --- refusals ---

WRONG: list[tuple[str, Any]] = [
    ("hidden_layer_sizes", 0), ("hidden_layer_sizes", (5, -1)), ("hidden_layer_sizes", "5"),
    ("activation", "cube"), ("solver", "newton"), ("alpha", -1.0), ("alpha", float("nan")),
    ("batch_size", 0), ("batch_size", "all"), ("learning_rate", "fast"),
    ("learning_rate_init", 0.0), ("power_t", -0.1), ("max_iter", 0), ("max_iter", 2.5),
    ("shuffle", "yes"), ("tol", -1e-4), ("verbose", "loud"), ("warm_start", 2), ("momentum", 1.5),
    ("nesterovs_momentum", None), ("early_stopping", 1), ("validation_fraction", 1.0),
    ("beta_1", 1.0), ("beta_2", -0.1), ("epsilon", 0.0), ("n_iter_no_change", 0),
    ("max_fun", 0), ("compiled", "maybe"), ("random_state", "x"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_bad_values_are_refused_by_name(kind: str, name: str, wrong: Any) -> None:
    mlp = getattr(ours, kind)(**{name: wrong})
    with pytest.raises(ValueError, match=f"'{name}' parameter of {kind} must be|{wrong!r} cannot"):
        mlp.fit(MOONS, SIDES)
    assert not hasattr(mlp, "model_")


def test_bad_data_are_refused() -> None:
    mlp = ours.MLPClassifier(2, max_iter=2)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        mlp.partial_fit(MOONS, SIDES)
    with pytest.raises(AttributeError, match="partial_fit"):
        ours.MLPClassifier(solver="lbfgs").partial_fit(MOONS, SIDES, classes=[0, 1])
    mlp.fit(MOONS, SIDES)
    with pytest.raises(ValueError, match="has classes not in"):
        mlp.partial_fit(MOONS, SIDES + 1)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected \(60,\)"):
        mlp.fit(MOONS, SIDES, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="Negative values"):
        mlp.fit(MOONS, SIDES, numpy.full(60, -1.0))
    with pytest.raises(ValueError, match="not in class_weight's data"):
        ours.MLPClassifier(2, class_weight={7: 1.0}).fit(MOONS, SIDES)
    with pytest.raises(ValueError, match="targets from 0, got -1"):
        ours.MLPRegressor("poisson", 2).fit(MOONS, SIDES - 1)
    for compiled in (False, True):
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            ours.MLPRegressor(
                hidden_layer_sizes=2, solver="sgd", learning_rate_init=1e9, compiled=compiled
            ).fit(MOONS * 1e6, SIDES)


def test_interrupted_training_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp = ours.MLPClassifier(2, max_iter=50, random_state=0, compiled=False)
    tell, calls = type(mlp)._tell_loss, []

    def interrupting(self: Any, *arguments: Any) -> None:
        calls.append(tell(self, *arguments))
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(mlp), "_tell_loss", interrupting)
    with pytest.warns(UserWarning, match="interrupted by user"):
        mlp.fit(MOONS, SIDES)
    assert mlp.n_iter_ == len(mlp.loss_curve_) == 3
    assert mlp.predict(MOONS).shape == (60,)


def test_not_converged_is_told() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        ours.MLPRegressor(hidden_layer_sizes=2, max_iter=2).fit(SICK, SUGAR)


# --- signatures: the table in the documentation says what differs ---


@pytest.mark.parametrize("kind", [*DIFFERENCES])
def test_signatures_differ_as_the_table_says(kind: str) -> None:
    assert found_differences(kind).keys() == DIFFERENCES[kind].keys()
    for name, difference in found_differences(kind).items():
        assert f"| `{name}` | {difference} | {DIFFERENCES[kind][name]} |" in table(kind)
