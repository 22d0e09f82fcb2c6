# verdict: passed
# says: Tensor
# class: Tensor
class Tensor:
    """Partials are stored when a node is made; backward multiplies them along."""

    __slots__ = ("v", "g", "parents", "partials")

    def __init__(self, v, parents=(), partials=()):
        self.v, self.g = float(v), 0.0
        self.parents, self.partials = parents, partials

    @staticmethod
    def of(x):
        return x if isinstance(x, Tensor) else Tensor(x)

    def __add__(self, other):
        other = Tensor.of(other)
        return Tensor(self.v + other.v, (self, other), (1.0, 1.0))

    def __sub__(self, other):
        other = Tensor.of(other)
        return Tensor(self.v - other.v, (self, other), (1.0, -1.0))

    def __mul__(self, other):
        other = Tensor.of(other)
        return Tensor(self.v * other.v, (self, other), (other.v, self.v))

    def __truediv__(self, other):
        other = Tensor.of(other)
        q = self.v / other.v
        return Tensor(q, (self, other), (1 / other.v, -q / other.v))

    def __pow__(self, n):
        slope = n * self.v ** (n - 1) if n else 0.0
        return Tensor(self.v**n, (self,), (slope,))

    def __neg__(self):
        return Tensor(-self.v, (self,), (-1.0,))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return Tensor.of(other) - self

    def __rtruediv__(self, other):
        return Tensor.of(other) / self

    def backprop(self):
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
        self.g = 1.0
        for node in reversed(order):
            for parent, partial in zip(node.parents, node.partials):
                parent.g += partial * node.g
