"""Multi-layer Feedforward Neural Networks

In place of the step function stands one with a useful slope: `sigmoid`, `tanh` or `relu`. Two
inputs, three hidden neurons, one output: below are the network with its weights, and its graph
for one input.

Tasks:
- Count the weights in the figure of the network. Does `len(model.parameters())` agree?
- Try `activation="sigmoid"` and `activation="relu"`. How do the gradients of the first layer
  differ?
- `show(draw(out, fold="neurons"))` draws every neuron as one circle. Add that line at the end.
"""

from tinygrad_edu.nn import MLP

model = MLP(2, [3, 1], activation="tanh", seed=0)
print(model, "has", len(model.parameters()), "parameters")

out = model([1.0, -2.0])
out.backward()
print(f"output {out.data:.4f}")
for name, p in list(model.named_parameters())[:4]:
    print(f"{name}: {p.data:+.3f}, gradient {p.grad:+.4f}")
