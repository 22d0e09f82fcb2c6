"""Points, curves and boxes, as the layout needs them.

Everything is worked out in a *frame* in which the flow runs along the first axis, whatever the
direction of the figure: one case instead of four.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Point = tuple[float, float]
Path = tuple[Point, ...]  # cubic Bezier segments: the start, then three points for each segment
Box = tuple[Point, Point]  # the corner with the smaller coordinates, the one with the larger


class Frame:
    """The way from figure coordinates to flow coordinates (along, across), and back.

    >>> Frame("TB").into((3.0, 7.0)), Frame("BT").out(Frame("BT").into((3.0, 7.0)))
    ((7.0, 3.0), (3.0, 7.0))
    """

    def __init__(self, direction: str) -> None:
        self.horizontal: bool = direction in ("LR", "RL")
        self.sign: float = 1.0 if direction in ("LR", "TB") else -1.0

    def into(self, point: Point) -> Point:
        x, y = point
        return (self.sign * x, y) if self.horizontal else (self.sign * y, x)

    def out(self, point: Point) -> Point:
        along, across = point
        return (self.sign * along, across) if self.horizontal else (across, self.sign * along)


def box_of(points: Iterable[Point]) -> Box:
    """Return the smallest box around some points.

    >>> box_of([(1.0, 5.0), (3.0, 2.0)])
    ((1.0, 2.0), (3.0, 5.0))
    """
    xs, ys = zip(*points)
    return (min(xs), min(ys)), (max(xs), max(ys))


def middle_of(box: Box) -> Point:
    (left, top), (right, bottom) = box
    return (left + right) / 2.0, (top + bottom) / 2.0


def point_on(segment: Sequence[Point], t: float) -> Point:
    """Return the point of a cubic Bezier segment at ``t`` between 0 and 1.

    >>> point_on([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)], 0.5)
    (1.5, 0.0)
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = segment
    u = 1.0 - t
    a, b, c, d = u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def split(segment: Sequence[Point], t: float) -> Path:
    """Return two segments that are the one, divided at ``t``: de Casteljau's construction."""

    def between(p: Point, q: Point) -> Point:
        return p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t

    start, a, b, end = segment
    ab, bc, cd = between(start, a), between(a, b), between(b, end)
    abc, bcd = between(ab, bc), between(bc, cd)
    return (start, ab, abc, between(abc, bcd), bcd, cd, end)


class Obstacles:
    """Boxes that curves must not run through, found by place.

    >>> obstacles = Obstacles([((0.0, 0.0), (10.0, 10.0))])
    >>> obstacles.hit([(-9.0, 5.0), (0.0, 5.0), (9.0, 5.0), (19.0, 5.0)])
    True
    >>> obstacles.hit([(-9.0, 15.0), (0.0, 15.0), (9.0, 15.0), (19.0, 15.0)])
    False
    """

    _CELL = 150.0
    _STEP = 4.0  # between the points at which a curve is looked at, and at least so many of them
    _FEWEST = 32
    _TOUCH = 1.0  # curves start and end on the borders of boxes

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = boxes
        self._cells: dict[tuple[int, int], list[int]] = {}
        for index, box in enumerate(boxes):
            for cell in self._covered(box):
                self._cells.setdefault(cell, []).append(index)

    def _covered(self, box: Box) -> Iterable[tuple[int, int]]:
        (left, top), (right, bottom) = box
        for i in range(int(left // self._CELL), int(right // self._CELL) + 1):
            for j in range(int(top // self._CELL), int(bottom // self._CELL) + 1):
                yield i, j

    def hit(self, segment: Sequence[Point], but: int = -1) -> bool:
        """Tell whether a Bezier segment runs through a box other than number ``but``."""
        around = box_of(segment)  # a segment stays within the box around its four points
        near = {index for cell in self._covered(around) for index in self._cells.get(cell, ())}
        near.discard(but)
        boxes = [box for box in map(self._boxes.__getitem__, near) if overlap(box, around)]
        if not boxes:
            return False
        (left, top), (right, bottom) = around
        count = max(self._FEWEST, int((right - left + bottom - top) / self._STEP))
        points = [point_on(segment, k / count) for k in range(count + 1)]
        touch = self._TOUCH
        return any(
            x0 + touch < x < x1 - touch and y0 + touch < y < y1 - touch
            for (x0, y0), (x1, y1) in boxes
            for x, y in points
        )


def overlap(a: Box, b: Box) -> bool:
    """Tell whether two boxes have more than a border in common."""
    (left, top), (right, bottom) = a
    (left2, top2), (right2, bottom2) = b
    return left < right2 and left2 < right and top < bottom2 and top2 < bottom
