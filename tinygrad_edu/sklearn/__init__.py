"""The models of the notes as scikit-learn estimators: for pipelines, grid searches and the like.

Each estimator trains one of the models of ``tinygrad_edu.nn`` and keeps it as ``model_``, ready to
be drawn, saved or exported. Where a parameter exists in scikit-learn's own estimator of the kind,
it has the same name, the same values and the same meaning here; what differs, and why, is a table
in the documentation ('The estimators beside scikit-learn's'), which a test compares with the
installed scikit-learn.

- ``LinearRegression``, ``LogisticRegression``, ``SoftmaxRegression`` (the notes, sections
  'Optimization' to 'Multi-Class Logistic Regression'): in closed form or by scipy's L-BFGS, which
  asks our graphs for gradients; or ``solver=GradientDescent(0.1)`` and any other optimizer of
  ``tinygrad_edu.optim``, the way the notes train them.
- ``MLPClassifier``, ``MLPRegressor``: with the same ``random_state`` they start from the same
  weights as scikit-learn's and take the same steps, so they find the same network up to rounding.

What passes through: ``allowed`` checks what was given, ``weights`` tells how much each row
counts, ``estimator`` has what all of them share, ``convex`` and ``networks`` are the estimators,
``steps`` are those of the networks' solvers.

Needs scikit-learn, from the extra ``[sklearn]``.

>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import cross_val_score
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> pipeline = make_pipeline(StandardScaler(), SoftmaxRegression())
>>> float(cross_val_score(pipeline, *load_iris(return_X_y=True)).mean().round(2))
0.96
"""

from __future__ import annotations

try:
    import scipy.optimize  # noqa: F401
    import sklearn.base  # noqa: F401
    from sklearn.utils.validation import validate_data as _since_1_6  # noqa: F401
except ImportError as error:
    raise ImportError(
        'tinygrad_edu.sklearn needs scikit-learn 1.6 or later: pip install "tinygrad_edu[sklearn]"'
    ) from error

from tinygrad_edu.sklearn.convex import LinearRegression, LogisticRegression, SoftmaxRegression
from tinygrad_edu.sklearn.networks import MLPClassifier, MLPRegressor

__all__ = [
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "SoftmaxRegression",
]
