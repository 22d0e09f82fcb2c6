# verdict: helper
import math


def squashed(x):
    return math.tanh(x)
