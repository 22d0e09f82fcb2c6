# verdict: failed|not loaded
# says: Value(2.0)
class Value:
    def __init__(self):
        self.data = self.grad = 0.0

    def __add__(self, other):
        return Value()

    def __mul__(self, other):
        return Value()

    def backward(self):
        self.grad = 1.0
