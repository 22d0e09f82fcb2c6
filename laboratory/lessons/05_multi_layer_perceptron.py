"""Multi-layer Perceptron

A perceptron that takes as input the outputs of other perceptrons. Here are two hidden neurons and
one output, with weights chosen by hand so that the network computes XOR, which no single
perceptron can.

Each neuron is a linear combination and a step: 1 if it is positive, else −1. The steps are drawn
by `sign`; their derivative is 0 everywhere, so no gradient comes back. That is the trouble with
them.

Tasks:
- Check all four inputs in the printed table.
- Change one bias so that the network computes OR instead.
- Call `out.backward()` and print the gradient of `x1`. Replace `sign` by `tanh` and compare.
"""

from tinygrad_edu import Value, sign


def network(x1, x2):
    h1 = sign(x1 + x2 + 1.0)  # is one of them 1?
    h2 = sign(-x1 - x2 + 1.0)  # is one of them -1?
    return sign(h1 + h2 - 1.0)  # both


for a in (-1.0, 1.0):
    for b in (-1.0, 1.0):
        print(f"{a:+.0f} xor {b:+.0f} = {network(Value(a), Value(b)).data:+.0f}")

x1, x2 = Value(1.0), Value(-1.0)
out = network(x1, x2)
