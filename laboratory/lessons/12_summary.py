"""Summary: a network learns

All of it together: a network of two layers, the cross entropy of its answers, gradients by
backpropagation, and gradient descent. The data are the four points of XOR, which a straight line
cannot separate. The page below plays the training; the network is drawn as it is at the end.

Tasks:
- Drag the slider of the page: at which epoch is the last point right?
- Take 2 hidden neurons in place of 4. Does it always work? Try several `seed`s.
- Set `learning_rate` to 3, then to 0.01, and look at the loss.
"""

from tinygrad_edu import draw_network, fit, train_page
from tinygrad_edu.nn import MLP, log_loss

X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
y = [0, 1, 1, 0]

model = MLP(2, [4, 1], activation="tanh", output="sigmoid", seed=1)
history = fit(model, X, y, loss=log_loss.mean(), learning_rate=0.8, epochs=150, record=5)
print(f"loss: {history.loss[0]:.3f} at first, {history.loss[-1]:.3f} at the end")
for x, label in zip(X, y):
    print(x, "->", f"{model(x).data:.3f}", "label", label)

page = train_page(model, X, y, history, loss=log_loss)
show(page, draw_network(model, [1.0, 0.0]))
