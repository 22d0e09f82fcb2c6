"""Optimization

Gradient descent follows the gradient downhill: `w ← w − α · df/dw`, again and again, until `w`
stands still. Gradient ascent goes uphill: the same with a plus.

The gradient is computed by backpropagation. Here it is one step for one number; the figure shows
the graph of the last step.

Tasks:
- Run it. Which `w` does it find, and why that one?
- Set `alpha` to 0.9, then to 1.1. Which one converges, and what does the other do?
- Maximize `6 * w - w * w` instead, by gradient ascent. One sign changes.
"""

from tinygrad_edu import Value

w = Value(0.0)
alpha = 0.1

for step in range(30):
    loss = (w - 3) ** 2
    loss.backward()
    if step % 5 == 0:
        print(f"step {step:2}: w = {w.data:.4f}, gradient {w.grad:+.4f}")
    w.data -= alpha * w.grad
    w.grad = 0.0

print(f"found w = {w.data:.4f}")
