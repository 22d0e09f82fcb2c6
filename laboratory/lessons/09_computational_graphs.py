"""Neural Networks: Backpropagation

Backpropagation sees a network as a graph of operators and operands. Every `Value` remembers the
operation and the operands that it was made by; that is the graph. One neuron, and the loss of one
example:

Tasks:
- How many nodes has the graph? Which of them are parameters, which are data?
- `Step by step` plays the forward pass, then the backward pass. In which order are nodes visited?
- Replace `tanh` by `relu` with the same weights. Why are so many gradients 0?
"""

from tinygrad_edu import Value, tanh

x1, x2 = Value(1.0), Value(2.0)
w1, w2, b = Value(0.5), Value(-0.75), Value(0.25)

z = w1 * x1 + w2 * x2 + b
h = tanh(z)
loss = (h - 1.0) ** 2

loss.backward()
print("gradients of w1, w2, b:", w1.grad, w2.grad, b.grad)
