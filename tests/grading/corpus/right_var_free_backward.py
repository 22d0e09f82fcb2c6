# verdict: passed
# says: Var
# class: Var
class Var:
    """Partials are stored when a node is made; backward multiplies them along."""

    __slots__ = ("data", "grad", "parents", "partials")

    def __init__(self, data, parents=(), partials=()):
        self.data, self.grad = float(data), 0.0
        self.parents, self.partials = parents, partials

    @staticmethod
    def of(x):
        return x if isinstance(x, Var) else Var(x)

    def __add__(self, other):
        other = Var.of(other)
        return Var(self.data + other.data, (self, other), (1.0, 1.0))

    def __sub__(self, other):
        other = Var.of(other)
        return Var(self.data - other.data, (self, other), (1.0, -1.0))

    def __mul__(self, other):
        other = Var.of(other)
        return Var(self.data * other.data, (self, other), (other.data, self.data))

    def __truediv__(self, other):
        other = Var.of(other)
        q = self.data / other.data
        return Var(q, (self, other), (1 / other.data, -q / other.data))

    def __pow__(self, n):
        slope = n * self.data ** (n - 1) if n else 0.0
        return Var(self.data**n, (self,), (slope,))

    def __neg__(self):
        return Var(-self.data, (self,), (-1.0,))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return Var.of(other) - self

    def __rtruediv__(self, other):
        return Var.of(other) / self


def backward(root):
    order, seen, stack = [], set(), [(root, iter(root.parents))]
    seen.add(id(root))
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
    root.grad = 1.0
    for node in reversed(order):
        for parent, partial in zip(node.parents, node.partials):
            parent.grad += partial * node.grad
