# verdict: not loaded
# says: tinygrad_edu
from tinygrad_edu import Value

x = Value(3.0)
