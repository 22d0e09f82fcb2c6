"""The estimators: scikit-learn's own checks, its solutions, its pipelines and searches."""

from __future__ import annotations

import importlib
import math
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import sklearn.linear_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinygrad_edu.interop import from_torch, to_torch
from tinygrad_edu.nn import MLP, cross_entropy
from tinygrad_edu.optim import Adam, GradientDescent, Momentum
from tinygrad_edu.saving import load_model, save
from tinygrad_edu.sklearn import (
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    SoftmaxRegression,
)

ESTIMATORS = [
    LinearRegression,
    LogisticRegression,
    SoftmaxRegression,
    MLPClassifier,
    MLPRegressor,
]
# as quick as learning the data of the checks allows
QUICK_MLP = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "max_iter": 30}

may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# --- scikit-learn's own checks ---


def rows_make_batches(estimator: Any) -> dict[str, str]:
    """A row with weight 2 is not two rows where the order of rows is drawn, there as here."""
    draws = getattr(estimator, "solver", "lbfgs") not in ("auto", "svd", "lbfgs")
    why = "weights change which rows a batch has; scikit-learn's own networks differ as well"
    return {"check_sample_weight_equivalence_on_dense_data": why} if draws else {}


@may_stop_early
@parametrize_with_checks(
    [
        LinearRegression(),
        LogisticRegression(),
        MLPClassifier(**QUICK_MLP, batch_size=32),
    ],
    expected_failed_checks=rows_make_batches,
)
def test_scikit_learn_approves(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@may_stop_early
@parametrize_with_checks(
    [
        SoftmaxRegression(),
        MLPRegressor(**QUICK_MLP, batch_size=32),
        LinearRegression(compiled=False, alpha=1.0),
        LinearRegression(solver=Adam(0.1), max_iter=300),
        LogisticRegression(compiled=False, fit_intercept=False, max_iter=30),
        LogisticRegression(compiled=True, C=math.inf),
        LogisticRegression(solver=GradientDescent(0.5), max_iter=100),
        SoftmaxRegression(compiled=False, max_iter=20),
        SoftmaxRegression(solver="adam", batch_size="auto", max_iter=50),
        MLPClassifier(),
        MLPClassifier((8,), compiled=True, solver="lbfgs", max_iter=50),
        MLPClassifier((4,), "tanh", compiled=False, learning_rate_init=0.05, max_iter=20),
        MLPClassifier((4,), solver="lbfgs"),
        MLPRegressor(),
    ],
    expected_failed_checks=rows_make_batches,
)
def test_scikit_learn_approves_of_variants(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


# --- the same solutions as scikit-learn's ---


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 30.0])
def test_least_squares_as_scikit_learn_has_it(
    alpha: float, fit_intercept: bool, compiled: bool
) -> None:
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X, y = scale(X)[:150] + 0.1, y[:150]
    ours = LinearRegression(alpha=alpha, fit_intercept=fit_intercept, compiled=compiled).fit(X, y)
    theirs = sklearn.linear_model.Ridge(alpha=alpha, fit_intercept=fit_intercept).fit(X, y)
    assert numpy.allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-4)
    assert math.isclose(ours.intercept_, theirs.intercept_, rel_tol=1e-6, abs_tol=1e-12)
    assert numpy.allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)
    assert math.isclose(ours.score(X, y), theirs.score(X, y), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("ours", "load"),
    [
        (LogisticRegression(tol=1e-7, compiled=True), load_breast_cancer),
        (LogisticRegression(tol=1e-7, C=0.01, fit_intercept=False), load_breast_cancer),
        (SoftmaxRegression(tol=1e-7, C=3.0), load_iris),
        (SoftmaxRegression(tol=1e-7, compiled=True, fit_intercept=False), load_wine),
    ],
)
def test_classifiers_as_scikit_learn_has_them(ours: Any, load: Callable[..., Any]) -> None:
    X, y = load(return_X_y=True)
    X = scale(X)
    theirs = sklearn.linear_model.LogisticRegression(
        C=ours.C, fit_intercept=ours.fit_intercept, tol=1e-7, max_iter=1000
    )
    theirs.fit(X, y)
    ours.fit(X, y)
    assert numpy.allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-4)
    assert numpy.allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert numpy.allclose(ours.decision_function(X)[:5], theirs.decision_function(X)[:5], atol=1e-3)
    assert (ours.predict(X) == theirs.predict(X)).all()


@pytest.mark.parametrize("solver", [GradientDescent(0.5), Momentum(0.1), "adam"])
def test_the_optimizers_of_the_notes_find_the_solution_too(solver: Any) -> None:
    X, y = load_iris(return_X_y=True)
    X = scale(X)[:100]
    best = LogisticRegression().fit(X, y[:100])
    before = repr(vars(solver)) if not isinstance(solver, str) else ""
    found = LogisticRegression(solver=solver, max_iter=3000, tol=1e-9, compiled=True)
    found.fit(X, y[:100])
    assert numpy.allclose(found.coef_, best.coef_, atol=0.01)
    assert found.history_.loss[-1] < found.history_.loss[0]
    assert not before or repr(vars(solver)) == before  # it works on a copy


@may_stop_early
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_eager_and_compiled_networks_are_the_same(solver: str) -> None:
    X, y = make_moons(60, noise=0.1, random_state=1)
    found = [
        MLPClassifier((6,), "tanh", solver=solver, max_iter=12, learning_rate_init=0.05,
                      batch_size=16, random_state=3, compiled=compiled).fit(X, y)
        for compiled in (False, True)
    ]  # fmt: skip
    proba = [estimator.predict_proba(X) for estimator in found]
    assert numpy.allclose(*proba, rtol=1e-7, atol=1e-9)
    assert found[0].n_iter_ == found[1].n_iter_


def test_a_network_learns_two_moons() -> None:
    X, y = make_moons(200, noise=0.1, random_state=1)
    mlp = MLPClassifier((16, 16), learning_rate_init=0.01, random_state=0, max_iter=400)
    assert mlp.fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.97
    again = clone(mlp).fit(X[:100], y[:100])
    assert (again.predict_proba(X) == mlp.predict_proba(X)).all()  # random_state decides
    other = clone(mlp).set_params(random_state=1).fit(X[:100], y[:100])
    assert (other.predict_proba(X) != mlp.predict_proba(X)).any()


# --- company ---


def test_pipelines_and_searches() -> None:
    X, y = load_iris(return_X_y=True)
    names = numpy.array(["setosa", "versicolor", "virginica"])
    pipeline = make_pipeline(StandardScaler(), SoftmaxRegression(compiled=False, tol=0.01))
    assert cross_val_score(pipeline, X, names[y], cv=3).mean() > 0.93
    search = GridSearchCV(pipeline, {"softmaxregression__C": [1e-6, 1.0]}, cv=2).fit(X, names[y])
    assert search.best_params_ == {"softmaxregression__C": 1.0}
    assert set(search.predict(X)) == set(names)


def test_features_make_circles_separable() -> None:
    source = numpy.random.default_rng(0)
    X = source.normal(size=(100, 2))
    y = (X**2).sum(axis=1) > 1.0
    plain = LogisticRegression().fit(X, y)
    assert plain.score(X, y) < 0.8
    squares = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=100.0)).fit(X, y)
    assert squares.score(X, y) > 0.95


@may_stop_early
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_copies_and_pickles(kind: Any) -> None:
    X, y = load_iris(return_X_y=True)
    X, y = scale(X)[:100], y[:100]
    options = QUICK_MLP if kind in (MLPClassifier, MLPRegressor) else {}
    estimator = kind(**options).fit(X, y)
    assert (pickle.loads(pickle.dumps(estimator)).predict(X) == estimator.predict(X)).all()
    assert not hasattr(clone(estimator), "model_")


@may_stop_early
def test_the_model_inside_is_one_of_ours(tmp_path: Any) -> None:
    X, y = make_moons(50, noise=0.1, random_state=1)
    mlp = MLPClassifier((4,), "tanh", max_iter=20, learning_rate_init=0.1, random_state=1)
    mlp.fit(X, y)
    assert isinstance(mlp.model_, MLP)
    save(tmp_path / "moons", mlp.model_)
    for model in (load_model(tmp_path / "moons"), from_torch(to_torch(mlp.model_))):
        right = [float(cross_entropy.correct(model(x), t)) for x, t in zip(X.tolist(), y.tolist())]
        assert sum(right) / 50 == mlp.score(X, y)


# --- refusals ---


def test_errors_say_what_was_expected() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"Only binary classification .* SoftmaxRegression takes"):
        LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="expected at least 2 classes, got 1 class"):
        SoftmaxRegression().fit(X[:50], y[:50])
    with pytest.raises(
        ValueError, match=r"The 'C' parameter of SoftmaxRegression must be a float .*Got -1 instead"
    ):
        SoftmaxRegression(C=-1).fit(X, y)
    with pytest.raises(
        ValueError, match=r"The 'alpha' parameter of LinearRegression must be .*Got -1 instead"
    ):
        LinearRegression(alpha=-1).fit(X, y)
    with pytest.raises(
        ValueError, match="The 'solver' parameter of SoftmaxRegression must be a str"
    ):
        SoftmaxRegression(solver="newton").fit(X, y)
    with pytest.raises(ValueError, match=r"The 'activation' parameter .*'logistic'.*Got 'cube'"):
        MLPClassifier(activation="cube").fit(X, y)
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
    for wrong in (0, -3, 1.5, "all"):
        with pytest.raises(
            ValueError, match="The 'batch_size' parameter of MLPClassifier must be an int"
        ):
            MLPClassifier((2,), batch_size=wrong).fit(X, y)


def test_a_warning_when_there_was_not_enough_time() -> None:
    X, y = load_iris(return_X_y=True)
    for estimator in (SoftmaxRegression(max_iter=2), MLPClassifier((2,), max_iter=2)):
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            estimator.fit(X, y)
        assert estimator.n_iter_ == 2


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tinygrad_edu.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[sklearn\]"'):
        importlib.import_module("tinygrad_edu.sklearn")


# --- least squares on data as they come ---


@pytest.mark.parametrize(
    ("shift", "scale"),  # as far from 0 as leaves ten digits of what varies
    [(0.0, 1e-6), (0.0, 1.0), (0.0, 1e7), (-3e6, 1e3), (-3e6, 1e7), (1.7e9, 1e7), (1e-3, 1e-6)],
)
@pytest.mark.parametrize("intercept", [True, False])
def test_least_squares_is_as_good_as_scikit_learns_whatever_the_scale(
    shift: float, scale: float, intercept: bool
) -> None:
    from sklearn import linear_model

    generator = numpy.random.default_rng(3)
    X = shift + scale * generator.normal(size=(30, 3))
    y = X @ [1.0, -2.0, 0.5] + scale * generator.normal(size=30)
    ours = LinearRegression(fit_intercept=intercept).fit(X, y)
    theirs = linear_model.LinearRegression(fit_intercept=intercept).fit(X, y)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-9)


def test_years_and_time_stamps() -> None:
    X, y = [[1.7e9], [1.71e9], [1.72e9], [1.73e9]], [1.0, 3.0, 2.0, 4.0]
    assert LinearRegression().fit(X, y).score(X, y) == pytest.approx(0.64)


def test_a_search_that_ends_far_from_a_minimum_warns() -> None:
    X, y = [[1.7e9], [1.71e9], [1.72e9], [1.73e9]], [1.0, 3.0, 2.0, 4.0]
    with pytest.warns(ConvergenceWarning):
        LinearRegression(solver="lbfgs").fit(X, y)
