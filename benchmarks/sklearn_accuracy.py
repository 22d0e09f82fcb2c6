"""The estimators beside scikit-learn's own: ``python -m benchmarks.sklearn_accuracy``.

Every data set that comes with scikit-learn, the same splits for both (stratified 5-fold cross
validation, shuffled with a fixed seed; plain 5-fold for numbers), the same scaling, the same
hyperparameters. The table shows the mean over the folds, the standard deviation of the difference
from fold to fold, and how long fitting and predicting took. Networks start from random weights, so
each is trained with several seeds, whose scores are averaged.

The convex models have one solution, which both find. (Not so for softmax regression on two classes:
there scikit-learn trains a single vector of weights, and we train two, which the penalty pulls on
differently; ``LogisticRegression`` is the counterpart.)
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks._contest import hardware, markdown, one_thread, write_json

FOLDS, SEEDS = 5, 3
HEADS = ("data", "model", "tinygrad_edu", "scikit-learn", "difference", "ours", "theirs")


def contests() -> list[tuple[str, str, Any, Any]]:
    """Return data set, kind of model, our estimator, theirs."""
    import sklearn.linear_model as theirs
    from sklearn.neural_network import MLPClassifier

    from tinygrad_edu import sklearn as ours

    rows: list[tuple[str, str, Any, Any]] = [
        ("diabetes", "linear regression", ours.LinearRegression(), theirs.LinearRegression()),
        (
            "diabetes",
            "linear regression, L2",
            ours.LinearRegression(alpha=10.0),
            theirs.Ridge(10.0),
        ),
        (
            "breast_cancer",
            "logistic regression",
            ours.LogisticRegression(),
            theirs.LogisticRegression(max_iter=1000),
        ),
    ]
    softmax = ours.SoftmaxRegression(max_iter=1000), theirs.LogisticRegression(max_iter=1000)
    options: dict[str, Any] = {
        "hidden_layer_sizes": (32,),
        "max_iter": 100,
        "learning_rate_init": 0.01,
    }
    network = ours.MLPClassifier(**options), MLPClassifier(**options)
    names = ("iris", "wine", "breast_cancer", "digits")
    rows += [(name, "softmax regression", *softmax) for name in names]
    rows += [(name, "network, 32 hidden", *network) for name in names]
    return rows


def measure(name: str, estimator: Any, seeds: int) -> tuple[list[float], float]:
    """Return the score of each fold (averaged over seeds) and the seconds that a fold took."""
    from sklearn import datasets
    from sklearn.base import clone
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    kind = KFold if name == "diabetes" else StratifiedKFold
    scores, seconds = [], []
    for train, test in kind(FOLDS, shuffle=True, random_state=0).split(X, y):
        found = []
        for seed in range(seeds):
            model = clone(estimator)
            if "random_state" in model.get_params():
                model.set_params(random_state=seed)
            pipeline = make_pipeline(StandardScaler(), model)
            started = time.perf_counter()
            pipeline.fit(X[train], y[train])
            found.append(pipeline.score(X[test], y[test]))
            seconds.append(time.perf_counter() - started)
        scores.append(statistics.mean(found))
    return scores, statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed for each network")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    one_thread()
    warnings.simplefilter("ignore")  # networks stop after a fixed number of epochs
    print(hardware(), end="\n\n")
    table, numbers = [list(HEADS)], []
    for name, kind, ours, theirs in contests():
        seeds = SEEDS if "network" in kind and not arguments.quick else 1
        (a, a_seconds), (b, b_seconds) = (measure(name, e, seeds) for e in (ours, theirs))
        spread = statistics.stdev(x - y for x, y in zip(a, b))
        table.append(
            [
                name,
                kind,
                f"{statistics.mean(a):.4f}",
                f"{statistics.mean(b):.4f}",
                f"{statistics.mean(a) - statistics.mean(b):+.4f} ± {spread:.4f}",
                f"{1e3 * a_seconds:.0f} ms",
                f"{1e3 * b_seconds:.0f} ms",
            ]
        )
        numbers.append({"data": name, "model": kind, "ours": a, "theirs": b})
    print("Accuracy on held-out folds (R² for diabetes)\n")
    print(markdown(table))
    if arguments.json:
        write_json(arguments.json, numbers)


if __name__ == "__main__":
    main()
