# verdict: not loaded
# says: common_engine_base
from common_engine_base import Node


class Value(Node):
    def __add__(self, other):
        return Value(self.data + other.data)
