"""Logistic Regression

A linear combination of the features becomes a probability: `h = sigmoid(w · x + b)`. The data are
one number per example, and its class, 0 or 1. The notes train it with the L2 loss, `1/2 (y −
h)²`, by gradient descent.

By the chain rule, `dLoss/dw = −(y − h) · h · (1 − h) · x`. The figure shows this for the last
example.

Tasks:
- In the derivation, find the factor `h (1 − h)`: it is the derivative of `sigmoid`.
- Which `x` has the probability one half? It is where `w · x + b = 0`; compute it with `print`.
- Change the label of the last example to 0. What happens to `w`, and why?
"""

from tinygrad_edu import Value, sigmoid

xs = [-2.0, -1.0, 0.5, 1.5]
ys = [0, 0, 1, 1]
w, b = Value(0.0), Value(0.0)

for _ in range(100):
    for x, y in zip(xs, ys):
        h = sigmoid(w * x + b)
        loss = 0.5 * (y - h) ** 2
        loss.backward()
        for p in (w, b):
            p.data -= 1.0 * p.grad
            p.grad = 0.0

print(f"w = {w.data:.3f}, b = {b.data:.3f}")
for x, y in zip(xs, ys):
    print(f"x = {x:4}: P(y = 1) = {sigmoid(w * x + b).data:.3f}, label {y}")

# the last example, with the weights as they are now
h = sigmoid(w * xs[-1] + b)
loss = 0.5 * (ys[-1] - h) ** 2
loss.backward()
