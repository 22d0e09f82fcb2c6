"""Measuring Accuracy

Accuracy is the number of correct predictions by that of all. It tells how good a model is, but it
moves in jumps: it cannot be differentiated. The likelihood, the product of the probabilities of
the true classes, can, and so can its logarithm, which has its maximum at the same place.

Tasks:
- Which example is classified wrongly, and which one is the least certain of the right ones?
- Make `w` larger: accuracy stays the same. Does the log-likelihood rise or fall?
- Find a `w` with a higher log-likelihood, by a few steps of gradient ascent.
"""

from tinygrad_edu import Value, log, sigmoid

xs = [-2.0, -1.0, 0.5, 2.0]
ys = [0, 0, 0, 1]
w = Value(1.0)

correct = 0
ll = Value(0.0)
for x, y in zip(xs, ys):
    p = sigmoid(w * x)
    correct += (p.data > 0.5) == (y == 1)
    ll = ll + log(p if y == 1 else 1 - p)
    print(f"x = {x:4}: P(y = 1) = {p.data:.3f}, label {y}")

print(f"accuracy {correct}/{len(xs)}, log-likelihood {ll.data:.3f}")
ll.backward()
print(f"d ll / dw = {w.grad:+.3f}")
