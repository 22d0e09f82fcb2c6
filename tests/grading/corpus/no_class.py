# verdict: not loaded
# says: class
def add(a, b):
    return a + b


def derivative(f, x, h=1e-6):
    return (f(x + h) - f(x - h)) / (2 * h)
