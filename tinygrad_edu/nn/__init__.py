"""Neurons, layers, networks, the notes' linear models, losses and measures (layer 3).

>>> from tinygrad_edu.nn import MLP
>>> model = MLP(2, [16, 16, 1])
>>> len(model.parameters())
337
"""

from tinygrad_edu.nn.features import Polynomial
from tinygrad_edu.nn.layers import MLP, Layer, Neuron
from tinygrad_edu.nn.linear import (
    LinearRegression,
    LogisticRegression,
    MultiLayerPerceptron,
    Perceptron,
    SoftmaxRegression,
)
from tinygrad_edu.nn.loss import Loss
from tinygrad_edu.nn.losses import (
    L2,
    cross_entropy,
    hinge,
    likelihood,
    log_likelihood,
    log_loss,
    logistic_loss,
    mean_squared_error,
    negative_log_likelihood,
    probability_of,
    squared_error,
)
from tinygrad_edu.nn.measures import accuracy, argmax, confusion_matrix, decide, sgn
from tinygrad_edu.nn.module import Module

__all__ = [
    "L2",
    "MLP",
    "Layer",
    "LinearRegression",
    "LogisticRegression",
    "Loss",
    "Module",
    "MultiLayerPerceptron",
    "Neuron",
    "Perceptron",
    "Polynomial",
    "SoftmaxRegression",
    "accuracy",
    "argmax",
    "confusion_matrix",
    "cross_entropy",
    "decide",
    "hinge",
    "likelihood",
    "log_likelihood",
    "log_loss",
    "logistic_loss",
    "mean_squared_error",
    "negative_log_likelihood",
    "probability_of",
    "sgn",
    "squared_error",
]
