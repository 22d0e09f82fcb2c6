"""Non-linear Separators

The points of one class lie between those of the other: on a line, no single threshold separates
them. With `x²` as a second feature a straight line in the plane does.

The features are made by hand here; the model on top is linear, as before.

Tasks:
- Train with the feature `x` alone: `LogisticRegression(1)` on `X`. How many points can it get
  right?
- Read off the weights: at which two `x` does the model change its mind?
- Give it points with three groups, such as 0, 1, 0, 1. Which degree do they need?
"""

from tinygrad_edu import fit
from tinygrad_edu.nn import LogisticRegression, accuracy, log_loss

X = [[-3.0], [-2.5], [-0.8], [0.0], [0.9], [2.2], [3.1]]
y = [1, 1, 0, 0, 0, 1, 1]
features = [[x, x * x] for (x,) in X]

model = LogisticRegression(2, seed=0)
history = fit(model, features, y, loss=log_loss.mean(), learning_rate=0.3, epochs=200)

answers = [model.predict(row) for row in features]
print("answers: ", answers)
print("labels:  ", y)
print("accuracy:", accuracy(answers, y))
print("weights: ", [round(p.data, 2) for p in model.parameters()])
