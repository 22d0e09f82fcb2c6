"""Where each number of a lowered program lives while compiled code runs.

There are three places. A *constant* is written into the code. A *shared* number, one that depends
on shared inputs alone, is computed once per call and lives in the array ``shared``. A *lane* number
depends on the row at hand; the rows of a tile are computed together, so each such number has as
many neighbouring doubles in the array ``tile`` as a tile has lanes.

    shared: [shared inputs | outputs, if nothing depends on rows | what segments hand each other]
    tile:   [row inputs | outputs per row | what segments hand each other]
    sums:   a slot for each sum over rows, with a partial sum in each lane
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tinygrad_edu.compiler.trace.lowering import COPY
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.scan_row import PART

CONST, SHARED, LANE = 0, 1, 2


@dataclass
class Request:
    """What is to be compiled.

    Attributes:
        program: A lowered program.
        places: For each input of the program ``(-1, i)``, shared input ``i``, or ``(m, j)``, column
            ``j`` of row matrix ``m``.
        widths: The number of columns of each row matrix.
        each: Nodes wanted for every row (for the one evaluation, if there are no row matrices).
        sums: Nodes wanted summed over the rows; -1: a sum that is 0.
        shared_sums: Which of the sums have a part that is the same for all rows, and its node; it
            is added once for each row.
        strict: No contraction, no reassociation, C library functions only.
    """

    program: Program
    places: Sequence[tuple[int, int]]
    widths: Sequence[int]
    each: list[int]
    sums: list[int]
    strict: bool
    shared_sums: dict[int, int] = field(default_factory=dict)


@dataclass
class Layout:
    """Places of the nodes; addresses count doubles in ``shared``, lanes-wide slots in ``tile``."""

    program: Program
    place: bytearray
    address: array[int]
    each: list[int]
    sums: int
    shared_inputs: int
    row_inputs: int
    shared_size: int
    tile_size: int
    sum_index: dict[int, int] = field(default_factory=dict)
    sum_targets: list[int] = field(default_factory=list)
    constants: list[tuple[int, float]] = field(default_factory=list)
    shared_sums: int = -1  # where in ``shared`` the parts of sums that all rows share begin
    kept: list[int] = field(default_factory=list)  # the nodes that others than segments read

    def reserve(self, node: int) -> int:
        """Give a node a place in memory if it has none yet, and return its address."""
        if self.address[node] < 0:
            if self.place[node] == LANE:
                self.address[node] = self.tile_size
                self.tile_size += 1
            else:
                self.address[node] = self.shared_size
                self.shared_size += 1
                if self.place[node] == CONST:  # a constant among the numbers that a loop runs over
                    self.constants.append((self.address[node], self.program.constants[node]))
        return self.address[node]

    def reserve_many(self, place: int, count: int) -> int:
        """Reserve neighbouring places and return the first address."""
        if place == LANE:
            self.tile_size += count
            return self.tile_size - count
        self.shared_size += count
        return self.shared_size - count

    def sum_slots(self, nodes: list[int]) -> int:
        """Reserve neighbouring slots for sums over rows, one partial sum per lane each."""
        self.sum_targets += [self.sum_index[node] for node in nodes]
        return len(self.sum_targets) - len(nodes)


def places_of(request: Request) -> bytearray:
    """Return the place of each node of a request's program."""
    program = request.program
    place = bytearray(len(program))
    for node, (matrix, _) in zip(program.inputs, request.places):
        place[node] = SHARED if matrix < 0 else LANE
    starts, flat, rows = program.starts, program.operands, program.rows
    part = next((code for code, op in enumerate(rows) if op is PART), -1)
    for node, code in enumerate(program.codes):
        if code == part:
            place[node] = place[flat[starts[node]]]
        elif rows[code] is not None:  # an operation on constants alone, which is rare, is shared
            place[node] = max(SHARED, *[place[x] for x in flat[starts[node] : starts[node + 1]]])
    return place


def lay_out(request: Request) -> Layout:
    """Decide the place of each node, and the addresses of inputs and outputs."""
    program = request.program
    offsets = [0]
    for width in request.widths:
        offsets.append(offsets[-1] + width)
    shared_inputs = sum(matrix < 0 for matrix, _ in request.places)
    place = places_of(request)
    address = array("i", [-1]) * len(program)
    for node, (matrix, index) in zip(program.inputs, request.places):
        address[node] = index if matrix < 0 else offsets[matrix] + index
    flat, rows, codes = program.operands, program.rows, program.codes
    # Outputs stand side by side. One that is an input or a constant, that is wanted twice, that is
    # shared where rows are wanted, or that is summed but has readers, too, becomes a copy.
    has_rows = bool(request.widths)
    taken: set[int] = set()

    # A sum wanted twice, such as one gradient that several parameters share, is read by its copies.
    read = set(flat) if request.sums else set()
    read |= {node for node, count in Counter(request.sums).items() if count > 1}

    def own(node: int, wanted: int, unread: bool = False) -> int:
        if (
            rows[codes[node]] is None
            or node in taken
            or place[node] != wanted
            or (unread and (node in read or rows[codes[node]] is PART))
        ):
            node = program.add_unshared(COPY, [node])
            place.append(wanted)
            address.append(-1)
        taken.add(node)
        return node

    target = LANE if has_rows else SHARED
    each = [own(node, target) for node in request.each]
    sums = {own(node, LANE, True): i for i, node in enumerate(request.sums) if node >= 0}
    parts = {i: own(node, SHARED) for i, node in request.shared_sums.items()}
    base = offsets[-1] if has_rows else shared_inputs
    for i, node in enumerate(each):
        address[node] = base + i
    size = base + len(each)
    shared_size = shared_inputs if has_rows else size
    for i, node in parts.items():
        address[node] = shared_size + i
    return Layout(
        program, place, address, each, len(request.sums), shared_inputs, offsets[-1],
        shared_size=shared_size + (len(request.sums) if parts else 0),
        tile_size=size if has_rows else 0,
        sum_index=sums,
        shared_sums=shared_size if parts else -1,
        kept=[*each, *parts.values()],
    )  # fmt: skip
