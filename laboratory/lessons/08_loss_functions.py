"""Loss Functions and Multivariate Optimization

The gradient vector holds the partial derivative for each parameter. A step of gradient descent
moves all parameters at once, each by its own share. Here two parameters of a line learn from
three points, with the mean squared error.

Tasks:
- Write the gradient of the first step by hand, for `slope` and `offset`, and compare.
- Find the largest learning rate (two digits) with which it still converges.
- Replace the square by `abs(...)`. How do the last steps look now?
"""

from tinygrad_edu import Value

points = [(0.0, 1.0), (1.0, 3.0), (2.0, 4.0)]
slope, offset = Value(0.0), Value(0.0)
learning_rate = 0.2

for step in range(60):
    loss = sum((slope * x + offset - y) ** 2 for x, y in points) / len(points)
    loss.backward()
    if step % 10 == 0:
        print(
            f"step {step:2}: loss {loss.data:.4f}, gradient [{slope.grad:+.3f}, {offset.grad:+.3f}]"
        )
    for p in (slope, offset):
        p.data -= learning_rate * p.grad
        p.grad = 0.0

print(f"y = {slope.data:.3f} x + {offset.data:.3f}")
