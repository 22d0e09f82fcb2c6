# verdict: passed
# says: Scalar
# class: Scalar
class Scalar:
    """Partials are stored when a node is made; backward multiplies them along."""

    __slots__ = ("value", "gradient", "parents", "partials")

    def __init__(self, value, parents=(), partials=()):
        self.value, self.gradient = float(value), 0.0
        self.parents, self.partials = parents, partials

    @staticmethod
    def of(x):
        return x if isinstance(x, Scalar) else Scalar(x)

    def __add__(self, other):
        other = Scalar.of(other)
        return Scalar(self.value + other.value, (self, other), (1.0, 1.0))

    def __sub__(self, other):
        other = Scalar.of(other)
        return Scalar(self.value - other.value, (self, other), (1.0, -1.0))

    def __mul__(self, other):
        other = Scalar.of(other)
        return Scalar(self.value * other.value, (self, other), (other.value, self.value))

    def __truediv__(self, other):
        other = Scalar.of(other)
        q = self.value / other.value
        return Scalar(q, (self, other), (1 / other.value, -q / other.value))

    def __pow__(self, n):
        slope = n * self.value ** (n - 1) if n else 0.0
        return Scalar(self.value**n, (self,), (slope,))

    def __neg__(self):
        return Scalar(-self.value, (self,), (-1.0,))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return Scalar.of(other) - self

    def __rtruediv__(self, other):
        return Scalar.of(other) / self

    def backward(self):
        order, seen, stack = [], set(), [(self, iter(self.parents))]
        seen.add(id(self))
        while stack:
            node, rest = stack[-1]
            for parent in rest:
                if id(parent) not in seen:
                    seen.add(id(parent))
                    stack.append((parent, iter(parent.parents)))
                    break
            else:
                order.append(node)
                stack.pop()
        self.gradient = 1.0
        for node in reversed(order):
            for parent, partial in zip(node.parents, node.partials):
                parent.gradient += partial * node.gradient
