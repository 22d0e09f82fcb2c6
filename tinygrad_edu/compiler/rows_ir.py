"""The frame around row programs: the loop over tiles, and rows in and out of lanes.

A tile is ``lanes`` rows. ``load`` turns rows of a matrix into slots of the tile, ``store`` turns
slots into rows; both are transpositions, done in blocks of 8 x 8 in vector registers. The last tile
may have fewer rows than lanes: its spare lanes repeat the last row, and nothing of them is kept.
"""

from __future__ import annotations

from tinygrad_edu.compiler.scalar_ir import Writer

_BLOCK = 8
# what every segment gets: numbers shared by all rows, those of the tile's rows, how many of its lanes
# hold a row, index tables, partial sums, sums over rows, and space for a transposed copy
RECEIVED = (
    "ptr noalias %shared, ptr noalias %tile, i64 %count, ptr noalias %tables, ptr noalias %sums, "
    "ptr noalias %totals, ptr noalias %scratch"
)
PASSED = "ptr %shared, ptr %tile, i64 %count, ptr %tables, ptr %sums, ptr %totals, ptr %scratch"
TYPES = "ptr, ptr, i64, ptr, ptr, ptr, ptr"


def _transpose_8x8(w: Writer, rows: list[str]) -> list[str]:
    """Transpose eight vectors of eight by three rounds of pairwise shuffles."""
    ty = "<8 x double>"
    for half in (1, 2, 4):
        low = [i + (0 if not i & half else 8 - half) for i in range(8)]
        high = [i + (half if not i & half else 8) for i in range(8)]
        result = [""] * 8
        for i in range(8):
            if not i & half:
                a, b = rows[i], rows[i | half]
                for j, picked in ((i, low), (i | half, high)):
                    indices = ", ".join(f"i32 {x}" for x in picked)
                    result[j] = w.let(f"shufflevector {ty} {a}, {ty} {b}, <8 x i32> <{indices}>")
        rows = result
    return rows


def frame(lanes: int, helpers: dict[str, str]) -> str:
    """Return the functions ``@rows_in`` and ``@rows_out`` for tiles of ``lanes`` rows."""
    return f"{_mover(lanes, True, helpers)}\n{_mover(lanes, False, helpers)}"


def _mover(lanes: int, inward: bool, helpers: dict[str, str]) -> str:
    """``(matrix, columns, count, slots)``: move ``count`` rows between a matrix and the slots."""
    name = "rows_in" if inward else "rows_out"
    blocks = lanes % _BLOCK == 0
    w = Writer(True, helpers)
    w.label("entry")
    if blocks:
        whole = w.let(f"icmp eq i64 %count, {lanes}")
        wide = w.let("and i64 %columns, -8")
        blocked = w.let(f"select i1 {whole}, i64 {wide}, i64 0")
        any_block = w.let(f"icmp ne i64 {blocked}, 0")
        w.say(f"br i1 {any_block}, label %block, label %rest")
        w.label("block")
        w.say(f"%c = phi i64 [ 0, %entry ], [ %c.next, %block ]")
        for group in range(lanes // _BLOCK):
            sides = []
            for i in range(_BLOCK):
                row = w.let(f"mul i64 %columns, {group * _BLOCK + i}")
                in_matrix = w.let(f"add i64 {row}, %c")
                slot = w.let(f"add i64 %c, {i}")
                in_slots = w.let(f"mul i64 {slot}, {lanes}")
                in_slots = w.let(f"add i64 {in_slots}, {group * _BLOCK}")
                sides.append((("%matrix", in_matrix), ("%slots", in_slots)))
            source, target = (0, 1) if inward else (1, 0)
            vectors = [w.load(*side[source], _BLOCK) for side in sides]
            for side, vector in zip(sides, _transpose_8x8(w, vectors)):
                w.store(vector, *side[target], _BLOCK)
        w.say("%c.next = add i64 %c, 8")
        more = w.let(f"icmp ult i64 %c.next, {blocked}")
        w.say(f"br i1 {more}, label %block, label %rest")
        w.label("rest")
        w.say(f"%first = phi i64 [ 0, %entry ], [ {blocked}, %block ]")
    else:
        w.say("br label %rest")
        w.label("rest")
        w.say("%first = phi i64 [ 0, %entry ]")
    # one number at a time: the columns that fill no block, and tiles that are not full
    some = w.let("icmp ult i64 %first, %columns")
    limit = str(lanes) if inward else "%count"
    w.say(f"br i1 {some}, label %column, label %done")
    w.label("column")
    w.say("%j = phi i64 [ %first, %rest ], [ %j.next, %column.end ]")
    w.say("br label %lane")
    w.label("lane")
    w.say("%l = phi i64 [ 0, %column ], [ %l.next, %lane ]")
    if inward:
        last = w.let("sub i64 %count, 1")
        beyond = w.let("icmp ult i64 %l, %count")
        row = w.let(f"select i1 {beyond}, i64 %l, i64 {last}")
    else:
        row = "%l"
    start = w.let(f"mul i64 {row}, %columns")
    in_matrix = w.let(f"add i64 {start}, %j")
    slot = w.let(f"mul i64 %j, {lanes}")
    in_slots = w.let(f"add i64 {slot}, %l")
    if inward:
        w.store(w.load("%matrix", in_matrix), "%slots", in_slots)
    else:
        w.store(w.load("%slots", in_slots), "%matrix", in_matrix)
    w.say("%l.next = add i64 %l, 1")
    w.say(f"%l.more = icmp ult i64 %l.next, {limit}")
    w.say("br i1 %l.more, label %lane, label %column.end")
    w.label("column.end")
    w.say("%j.next = add i64 %j, 1")
    w.say("%j.more = icmp ult i64 %j.next, %columns")
    w.say("br i1 %j.more, label %column, label %done")
    w.label("done")
    w.say("ret void")
    return (
        f"define internal void @{name}(ptr noalias %matrix, i64 %columns, i64 %count, "
        f"ptr noalias %slots) noinline {{\n" + "\n".join(w.lines) + "\n}"
    )


def tile_loop(
    lanes: int, widths: list[int], each: int, sums: int, targets: int, segments: list[str]
) -> str:
    """Return ``@rows``, which runs the segments over the tiles of rows ``begin`` to ``end``.

    Its arguments are those of a segment and ``matrices``, an array of pointers to row-major
    matrices, and ``out``, a matrix with a row of the ``each`` outputs per row. The ``sums`` partial
    sums are set to 0 at the start, and added to ``totals`` at the end, each at the position that
    ``tables`` has at ``targets`` and after.
    """
    w = Writer(True, {})
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
        pointer = w.let(f"getelementptr ptr, ptr %matrices, i64 {m}")
        matrix = w.let(f"load ptr, ptr {pointer}")
        start = w.let(f"mul i64 %row, {width}")
        w.say(
            f"call void @rows_in(ptr {w.address(matrix, start)}, i64 {width}, i64 %count, "
            f"ptr {w.address('%tile', slot * lanes)})"
        )
        slot += width
    for name in segments:
        w.say(f"call void @{name}({PASSED})")
    if each:
        start = w.let(f"mul i64 %row, {each}")
        w.say(
            f"call void @rows_out(ptr {w.address('%out', start)}, i64 {each}, i64 %count, "
            f"ptr {w.address('%tile', slot * lanes)})"
        )
    w.say(f"%next = add i64 %row, {lanes}")
    w.say("%more = icmp ult i64 %next, %end")
    w.say("br i1 %more, label %tiles, label %done")
    w.label("done")
    if sums:
        w.say("br label %sum")
        w.label("sum")
        w.say("%s = phi i64 [ 0, %done ], [ %s.next, %sum ]")
        vector = w.load("%sums", w.let(f"mul i64 %s, {lanes}"), lanes)
        total = w.let(
            f"call reassoc double @llvm.vector.reduce.fadd.v{lanes}f64(double -0.0, "
            f"<{lanes} x double> {vector})"
        )
        entry = w.let(f"getelementptr i32, ptr %tables, i64 {w.let(f'add i64 %s, {targets}')}")
        target = w.let(f"sext i32 {w.let(f'load i32, ptr {entry}')} to i64")
        before = w.load("%totals", target)
        w.store(w.let(f"fadd double {before}, {total}"), "%totals", target)
        w.say("%s.next = add i64 %s, 1")
        w.say(f"%s.more = icmp ult i64 %s.next, {sums}")
        w.say("br i1 %s.more, label %sum, label %end.sums")
        w.label("end.sums")
    w.say("ret void")
    body = "\n".join(w.lines)
    return (
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"
        f"declare double @llvm.vector.reduce.fadd.v{lanes}f64(double, <{lanes} x double>)\n"
        "define void @rows(ptr noalias %shared, ptr noalias %tile, ptr noalias %tables, "
        "ptr noalias %sums, ptr noalias %totals, ptr noalias %scratch, ptr noalias %matrices, "
        f"i64 %begin, i64 %end, ptr noalias %out) {{\n{body}\n}}"
    )
