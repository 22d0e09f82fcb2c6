"""The page 'The estimators beside scikit-learn's': what differs, by signature, and why.

The differences are found by comparing with the installed scikit-learn; the reasons are written
here, and a test holds the two together.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

_NOT_HERE = "trained in another way here"
_OURS = "ours: native code, where that is faster"
_COPY = "nothing here writes to X"
_BATCH = "ours: for solvers that take steps"
_JOBS = "one thread; native code and linear algebra are fast enough at this size"
_LOGISTIC = {
    "penalty": "L2 alone, `C=inf` for none",
    "l1_ratio": "L2 alone",
    "dual": _NOT_HERE,
    "intercept_scaling": _NOT_HERE,
    "n_jobs": _JOBS,
    "batch_size": _BATCH,
    "compiled": _OURS,
}

# kind -> parameter -> why it differs from scikit-learn's
DIFFERENCES: dict[str, dict[str, str]] = {
    "MLPClassifier": {
        "class_weight": "ours: as scikit-learn's other classifiers have it",
        "compiled": _OURS,
    },
    "MLPRegressor": {"compiled": _OURS},
    "LinearRegression": {
        "alpha": "0: plain least squares, as scikit-learn's `LinearRegression`",
        "max_iter": "a number, since the model is small",
        "tol": "a gradient, not a change of the coefficients",
        "copy_X": _COPY,
        "positive": "coefficients may be of either sign",
        "batch_size": _BATCH,
        "warm_start": "ours: for solvers that start somewhere",
        "verbose": "ours: prints the loss of each iteration",
        "compiled": _OURS,
    },
    "LogisticRegression": dict(_LOGISTIC),
    "SoftmaxRegression": dict(_LOGISTIC),
}

COUNTERPARTS = {
    "MLPClassifier": "neural_network.MLPClassifier",
    "MLPRegressor": "neural_network.MLPRegressor",
    "LinearRegression": "linear_model.Ridge",
    "LogisticRegression": "linear_model.LogisticRegression",
    "SoftmaxRegression": "linear_model.LogisticRegression",
}

BESIDES = """
Beyond the signatures:

- The networks start from the same weights as scikit-learn's, take the rows in the same order and
  step in the same way: with the same `random_state` the coefficients agree to rounding (tested).
- `solver` may be an optimizer of `tinygrad_edu.optim`; `"saga"`, `"liblinear"`, `"newton-cg"` and
  the like are not there. `LinearRegression` has `"svd"` (`"auto"`), `"lbfgs"` and `"adam"`.
- `activation` may be any name of `tinygrad_edu.nn` and any function of one number.
- `X` is dense and becomes float64; sparse matrices are refused, not made dense behind your back.
- Several targets: `MLPRegressor` (numbers) and `MLPClassifier` (labels that are there or not). The
  loss of several numbers is their sum, which is what scikit-learn's steps follow as well; its
  `loss_curve_` shows their mean.
- `SoftmaxRegression` on two classes has two vectors of weights, scikit-learn one.
- `predict_log_proba` is computed from the logits, so it is finite where a probability is 0.
- After `solver="lbfgs"` there are `loss_curve_` and `best_loss_`, too.
- A row with weight 2 equals two rows where all rows are one batch, not where batches are drawn;
  scikit-learn's networks have the same exception.
"""


def _parameters(kind: Any) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default != "deprecated"
    }


def counterpart(kind: str) -> Any:
    """scikit-learn's own estimator of the kind."""
    import sklearn.linear_model
    import sklearn.neural_network

    room, _, name = COUNTERPARTS[kind].partition(".")
    return getattr(getattr(sklearn, room), name)


def found_differences(kind: str) -> dict[str, str]:
    """What differs by signature: parameter -> in words; ``penalty`` if any version has it."""
    from tinygrad_edu import sklearn as ours

    here = _parameters(getattr(ours, kind))
    there = _parameters(counterpart(kind))
    if kind in ("LogisticRegression", "SoftmaxRegression"):
        there["penalty"] = "l2"
    found = {}
    for name in [*there, *(name for name in here if name not in there)]:
        if name not in here:
            found[name] = "not here"
        elif name not in there:
            found[name] = f"only here, `{here[name]!r}`"
        elif here[name] != there[name]:
            found[name] = f"`{here[name]!r}` here, `{there[name]!r}` there"
    return found


def table(kind: str) -> str:
    """The table of one estimator, in Markdown."""
    found, reasons = found_differences(kind), DIFFERENCES[kind]
    same = len(_parameters(counterpart(kind)).keys() - found.keys())
    lines = [
        f"## {kind}",
        "",
        f"Beside `sklearn.{COUNTERPARTS[kind]}`: {same} parameters have the same name and default.",
        "",
        "| parameter | difference | why |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {how} | {reasons[name]} |" for name, how in found.items()]
    return "\n".join([*lines, ""])


def write(path: Path) -> None:
    """Write the page."""
    lines = [
        "# The estimators beside scikit-learn's",
        "",
        "What has a counterpart has the name, the values, the default and the meaning it has in",
        "scikit-learn. What differs (compared with the installed version when this page was made):",
        "",
        *(table(kind) for kind in DIFFERENCES),
        BESIDES.strip(),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
