# verdict: not loaded
# says: micrograd
from micrograd.engine import Value

a = Value(2.0)
b = a * a
b.backward()
