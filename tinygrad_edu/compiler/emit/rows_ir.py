"""The frame around row programs: the loop over tiles, and rows in and out of lanes.

A tile is ``lanes`` rows. ``rows_in`` turns rows of a matrix into slots of the tile, ``rows_out``
turns slots into rows; both are transpositions, done in square blocks in vector registers. The last
tile may have fewer rows than lanes: its spare lanes repeat the last row, and nothing of them is
kept.
"""

from __future__ import annotations

from tinygrad_edu.compiler.emit.scalar_ir import Writer, double, kind

# what every segment gets: numbers shared by all rows, those of the tile's rows, how many of its
# lanes hold a row, index tables, partial sums, sums over rows, and space for a transposed copy
RECEIVED = (
    "ptr noalias %shared, ptr noalias %tile, i64 %count, ptr noalias %tables, ptr noalias %sums, "
    "ptr noalias %totals, ptr noalias %scratch"
)
PASSED = "ptr %shared, ptr %tile, i64 %count, ptr %tables, ptr %sums, ptr %totals, ptr %scratch"
TYPES = "ptr, ptr, i64, ptr, ptr, ptr, ptr"


def _block(lanes: int) -> int:
    return min(8, lanes)


def _transpose(w: Writer, rows: list[str]) -> list[str]:
    """Transpose as many vectors as each has lanes, a power of 2, by rounds of pairwise shuffles."""
    n = len(rows)
    ty = kind(n)
    half = 1
    while half < n:
        low = [i if not i & half else i + n - half for i in range(n)]
        high = [i + half if not i & half else i + n for i in range(n)]
        result = [""] * n
        for i in range(n):
            if not i & half:
                for j, picked in ((i, low), (i | half, high)):
                    indices = ", ".join(f"i32 {x}" for x in picked)
                    pair = f"{ty} {rows[i]}, {ty} {rows[i | half]}"
                    result[j] = w.let(f"shufflevector {pair}, <{n} x i32> <{indices}>")
        rows = result
        half *= 2
    return rows


def frame(lanes: int, widths: list[int], helpers: dict[str, str]) -> str:
    """Return ``@rows_in`` and ``@rows_out`` for tiles of ``lanes`` rows of any width.

    ``widths`` are those of the matrices; the narrow ones get functions of their own.
    """
    movers = [_mover(lanes, inward, helpers) for inward in (True, False)]
    narrow = sorted({w for w in widths if 0 < w < _block(lanes)})
    movers += [_narrow(lanes, w, inward, helpers) for w in narrow for inward in (True, False)]
    return "\n".join(movers)


def move(w: Writer, inward: bool, matrix: str, width: int, slots: str, lanes: int) -> None:
    """Write the call that moves the rows of a tile between a matrix and the slots."""
    name = "rows_in" if inward else "rows_out"
    if width < _block(lanes):
        w.say(f"call void @{name}.{width}(ptr {matrix}, i64 %count, ptr {slots})")
    else:
        w.say(f"call void @{name}(ptr {matrix}, i64 {width}, i64 %count, ptr {slots})")


def _define(name: str, parameters: str, w: Writer) -> str:
    body = "\n".join(w.lines)
    return f"define internal void @{name}({parameters}) noinline {{\n{body}\n}}"


def _narrow(lanes: int, width: int, inward: bool, helpers: dict[str, str]) -> str:
    """``(matrix, count, slots)``: move full tiles of rows that are narrower than a block."""
    name = "rows_in" if inward else "rows_out"
    block = _block(lanes)
    w = Writer(True, helpers)
    whole = w.let(f"icmp eq i64 %count, {lanes}")
    w.say(f"br i1 {whole}, label %full, label %part")
    w.label("part")
    w.say(f"call void @{name}(ptr %matrix, i64 {width}, i64 %count, ptr %slots)")
    w.say("ret void")
    w.label("full")
    some = ", ".join(f"i32 {i}" for i in range(width))
    spare = ", ".join(f"i32 {i}" if i < width else "i32 poison" for i in range(block))
    for first in range(0, lanes, block):
        if width == 1:
            source, target = ("%matrix", "%slots") if inward else ("%slots", "%matrix")
            w.store(w.load(source, first, block), target, first, block)
        elif inward:
            rows = []
            for i in range(block):
                row = w.load("%matrix", (first + i) * width, width)
                ty = f"<{width} x double>"
                rows.append(
                    w.let(f"shufflevector {ty} {row}, {ty} poison, <{block} x i32> <{spare}>")
                )
            for j, vector in enumerate(_transpose(w, rows)[:width]):
                w.store(vector, "%slots", j * lanes + first, block)
        else:
            columns = [w.load("%slots", j * lanes + first, block) for j in range(width)]
            columns += ["poison"] * (block - width)
            ty = f"<{block} x double>"
            for i, row in enumerate(_transpose(w, columns)):
                part = w.let(f"shufflevector {ty} {row}, {ty} poison, <{width} x i32> <{some}>")
                w.store(part, "%matrix", (first + i) * width, width)
    w.say("ret void")
    return _define(f"{name}.{width}", "ptr noalias %matrix, i64 %count, ptr noalias %slots", w)


def _mover(lanes: int, inward: bool, helpers: dict[str, str]) -> str:
    """``(matrix, columns, count, slots)``: move ``count`` rows between a matrix and the slots."""
    w = Writer(True, helpers)
    w.label("entry")
    block = _block(lanes)
    full = w.let(f"icmp eq i64 %count, {lanes}")
    wide = w.let(f"icmp uge i64 %columns, {block}")
    blocks = w.let(f"and i1 {full}, {wide}")
    last = w.let(f"sub i64 %columns, {block}")
    w.say(f"br i1 {blocks}, label %block, label %single")
    w.label("block")
    w.say("%c = phi i64 [ 0, %entry ], [ %c.next, %block ]")
    for group in range(0, lanes, block):
        sides = []
        for i in range(block):
            row = w.let(f"mul i64 %columns, {group + i}")
            in_matrix = w.let(f"add i64 {row}, %c")
            slot = w.let(f"mul i64 {w.let(f'add i64 %c, {i}')}, {lanes}")
            sides.append((("%matrix", in_matrix), ("%slots", w.let(f"add i64 {slot}, {group}"))))
        source, target = (0, 1) if inward else (1, 0)
        vectors = [w.load(*side[source], block) for side in sides]
        for side, vector in zip(sides, _transpose(w, vectors)):
            w.store(vector, *side[target], block)
    after = w.let(f"add i64 %c, {block}")
    beyond = w.let(f"icmp ugt i64 {after}, {last}")  # the last block may overlap the one before
    w.say(f"%c.next = select i1 {beyond}, i64 {last}, i64 {after}")
    more = w.let(f"icmp ult i64 %c, {last}")
    w.say(f"br i1 {more}, label %block, label %done")
    # one number at a time: narrow matrices, and tiles that are not full
    w.label("single")
    some = w.let("icmp ne i64 %columns, 0")
    w.say(f"br i1 {some}, label %column, label %done")
    w.label("column")
    w.say("%j = phi i64 [ 0, %single ], [ %j.next, %column.end ]")
    w.say("br label %lane")
    w.label("lane")
    w.say("%l = phi i64 [ 0, %column ], [ %l.next, %lane ]")
    row = "%l"
    if inward:  # spare lanes repeat the last row
        inside = w.let("icmp ult i64 %l, %count")
        row = w.let(f"select i1 {inside}, i64 %l, i64 {w.let('sub i64 %count, 1')}")
    in_matrix = w.let(f"add i64 {w.let(f'mul i64 {row}, %columns')}, %j")
    in_slots = w.let(f"add i64 {w.let(f'mul i64 %j, {lanes}')}, %l")
    if inward:
        w.store(w.load("%matrix", in_matrix), "%slots", in_slots)
    else:
        w.store(w.load("%slots", in_slots), "%matrix", in_matrix)
    w.say("%l.next = add i64 %l, 1")
    w.say(f"%l.more = icmp ult i64 %l.next, {lanes if inward else '%count'}")
    w.say("br i1 %l.more, label %lane, label %column.end")
    w.label("column.end")
    w.say("%j.next = add i64 %j, 1")
    w.say("%j.more = icmp ult i64 %j.next, %columns")
    w.say("br i1 %j.more, label %column, label %done")
    w.label("done")
    w.say("ret void")
    parameters = "ptr noalias %matrix, i64 %columns, i64 %count, ptr noalias %slots"
    return _define("rows_in" if inward else "rows_out", parameters, w)


def tile_loop(
    lanes: int,
    widths: list[int],
    each: int,
    sums: int,
    targets: int,
    segments: list[str],
    shared_sums: tuple[int, int],
    helpers: dict[str, str],
) -> str:
    """Return ``@rows``, which runs the segments over the tiles of rows ``begin`` to ``end``.

    Its arguments are those of a segment and ``matrices``, an array of pointers to row-major
    matrices, and ``out``, a matrix with a row of the ``each`` outputs per row. The ``sums`` partial
    sums are set to 0 at the start, and added to ``totals`` at the end, each at the position that
    ``tables`` has at ``targets`` and after. ``shared_sums`` says how many numbers ``totals`` has,
    and where in ``shared`` there are as many to be added once for each row, unless it is -1.
    """
    w = Writer(True, helpers)
    helpers["@llvm.memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    w.label("entry")
    if sums:
        size = sums * lanes * 8
        w.say(f"call void @llvm.memset.p0.i64(ptr %sums, i8 0, i64 {size}, i1 false)")
    w.say("br label %tiles")
    w.label("tiles")
    w.say("%row = phi i64 [ %begin, %entry ], [ %next, %tiles ]")
    w.say("%left = sub i64 %end, %row")
    w.say(f"%part = icmp ult i64 %left, {lanes}")
    w.say(f"%count = select i1 %part, i64 %left, i64 {lanes}")
    slot = 0
    for m, width in enumerate(widths):
        if width == 0:  # rows without numbers are counted, that is all
            continue
        pointer = w.let(f"getelementptr ptr, ptr %matrices, i64 {m}")
        matrix = w.let(f"load ptr, ptr {pointer}")
        start = w.let(f"mul i64 %row, {width}")
        first = w.address("%tile", slot * lanes)
        move(w, True, w.address(matrix, start), width, first, lanes)
        slot += width
    for name in segments:
        w.say(f"call void @{name}({PASSED})")
    if each:
        start = w.let(f"mul i64 %row, {each}")
        move(w, False, w.address("%out", start), each, w.address("%tile", slot * lanes), lanes)
    w.say(f"%next = add i64 %row, {lanes}")
    w.say("%more = icmp ult i64 %next, %end")
    w.say("br i1 %more, label %tiles, label %done")
    w.label("done")
    if sums:
        w.say("br label %sum")
        w.label("sum")
        w.say("%s = phi i64 [ 0, %done ], [ %s.next, %sum ]")
        vector = w.load("%sums", w.let(f"mul i64 %s, {lanes}"), lanes)
        total = w.across(vector, double(-0.0), lanes)
        entry = w.let(f"getelementptr i32, ptr %tables, i64 {w.let(f'add i64 %s, {targets}')}")
        target = w.let(f"sext i32 {w.let(f'load i32, ptr {entry}')} to i64")
        before = w.load("%totals", target)
        w.store(w.let(f"fadd double {before}, {total}"), "%totals", target)
        w.say("%s.next = add i64 %s, 1")
        w.say(f"%s.more = icmp ult i64 %s.next, {sums}")
        w.say("br i1 %s.more, label %sum, label %end.sums")
        w.label("end.sums")
    count, base = shared_sums
    if base >= 0:
        _add_for_each_row(w, count, base)
    w.say("ret void")
    body = "\n".join(w.lines)
    return (
        "define void @rows(ptr noalias %shared, ptr noalias %tile, ptr noalias %tables, "
        "ptr noalias %sums, ptr noalias %totals, ptr noalias %scratch, ptr noalias %matrices, "
        f"i64 %begin, i64 %end, ptr noalias %out) {{\n{body}\n}}"
    )


def _add_for_each_row(w: Writer, count: int, base: int) -> None:
    """Write ``totals[i] += rows * shared[base + i]``, the last numbers one by one."""
    w.say("%rows = sub i64 %end, %begin")
    rows = w.let("uitofp i64 %rows to double")
    parts = w.address("%shared", base)
    whole = count - count % 8
    if whole:
        w.say("br label %vectors")
        before = "end.sums" if "end.sums:" in w.lines else "done"
        w.label("vectors")
        w.say(f"%v = phi i64 [ 0, %{before} ], [ %v.next, %vectors ]")
        part = w.load(parts, "%v", 8)
        total = w.multiply_add(w.splat(rows, 8), part, w.load("%totals", "%v", 8), 8)
        w.store(total, "%totals", "%v", 8)
        w.say("%v.next = add i64 %v, 8")
        w.say(f"%v.more = icmp ult i64 %v.next, {whole}")
        w.say("br i1 %v.more, label %vectors, label %singles")
        w.label("singles")
    for i in range(whole, count):
        part = w.load(parts, i)
        w.store(w.multiply_add(rows, part, w.load("%totals", i), 1), "%totals", i)
