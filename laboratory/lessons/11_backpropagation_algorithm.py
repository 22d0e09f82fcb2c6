"""The Backpropagation Algorithm

Figure 2 of the notes: `((x + y) + (x · y)) · z` at x = 2, y = 3, z = 4. The forward pass computes
the green numbers from left to right; the backward pass the red ones, from right to left,
beginning with df/df = 1.

`x` and `y` are used twice. Gradient values add at path junctions: `df/dx = 4 · 1 + 4 · 3 = 16`.

Tasks:
- Open `Step by step`, tick `Predict the next number`, and fill in every gradient.
- Make it Figure 1, `(x + y) * z`. Which gradients change, and which do not?
- Use `x` a third time. Before you run it: which terms does df/dx have now?
"""

from tinygrad_edu import Value

x, y, z = Value(2.0), Value(3.0), Value(4.0)

h = x + y
i = x * y
g = h + i
f = g * z

f.backward()
print(f"df/dx = {x.grad}, df/dy = {y.grad}, df/dz = {z.grad}")
