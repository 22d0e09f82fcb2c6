"""Multi-Class Logistic Regression

With K classes each class has weights of its own, and `softmax` turns the K linear combinations
into probabilities that add up to 1. Training maximizes the log-likelihood: the sum of the
logarithms of the probabilities of the true classes.

The gradient of one example's log-likelihood with respect to `z_j` is `t_j − P(y = j)`: what
should have been, less what was said.

Tasks:
- Run it. Do the three gradients add up to 0? Must they?
- Make class 1 the true one. Which signs change?
- Add 100 to every `z`. Which probabilities change? (This is why `softmax` may subtract the
  largest.)
"""

from tinygrad_edu import Value, log, softmax

z1, z2, z3 = Value(2.0), Value(1.0), Value(-1.0)
true_class = 0

probabilities = softmax([z1, z2, z3])
print("probabilities:", [round(p.data, 4) for p in probabilities])

likelihood = probabilities[true_class]
ll = log(likelihood)
ll.backward()
print("gradients:    ", [round(z.grad, 4) for z in (z1, z2, z3)])
