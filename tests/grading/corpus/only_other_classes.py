# verdict: not loaded
# says: Neuron
# says: DataSet
class Neuron:
    def __init__(self, count):
        self.weights = [0.0] * count

    def __call__(self, xs):
        return sum(w * x for w, x in zip(self.weights, xs))


class DataSet:
    def __len__(self):
        return 0
