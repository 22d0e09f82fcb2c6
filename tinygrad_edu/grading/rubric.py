"""The rubric: what each concept weighs, which operations are asked for, and the score it makes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinygrad_edu.grading.record import CONCEPTS, CheckRecord

OPERATORS = ("+", "-", "*", "/", "**", "neg")
FUNCTIONS = (
    "relu", "tanh", "exp", "log", "sigmoid",
    "sin", "cos", "tan", "sqrt", "abs", "leaky_relu", "elu", "softplus", "silu", "gelu",
    "sinh", "cosh", "asin", "acos", "atan", "log2", "log10", "exp2", "log1p", "expm1", "square",
)  # fmt: skip


@dataclass(frozen=True)
class Rubric:
    """What counts, and how much.

    A concept earns its weight times the share of its checks that passed; several checks of one
    operation count once. ``required`` operations have to be there and right to pass. ``optional``
    ones may be missing, and then earn nothing, as a broken one does. Operations that are in neither
    list are graded where a class has them (a wrong one fails it) and do not count in the score.

    Attributes:
        weights: Concept -> weight, 0 or more; only their ratios matter.
        required: Operations out of ``OPERATORS`` and ``FUNCTIONS``.
        optional: The same.

    >>> rubric = Rubric.read({"weights": {"order": 40}, "optional": ["tanh"]})
    >>> rubric.weights["order"], rubric.optional
    (40.0, ('tanh',))
    """

    weights: dict[str, float] = field(default_factory=lambda: dict(CONCEPTS))
    required: tuple[str, ...] = OPERATORS
    optional: tuple[str, ...] = FUNCTIONS[:5]

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Rubric:
        """A rubric from ``{"weights": {...}, "required": [...], "optional": [...]}``.

        Concepts that ``weights`` leaves out keep their default weight, and so do the lists.

        Raises:
            ValueError: If anything in it is unknown, of a wrong kind, negative or contradictory.
        """
        if not isinstance(found, Mapping):
            raise ValueError(f"expected the tables of a rubric, got {found!r:.60}")
        _refuse_unknown("a rubric", found, ("weights", "required", "optional"))
        weights = found.get("weights", {})
        if not isinstance(weights, Mapping):
            raise ValueError(f"weights: expected concepts with their weights, got {weights!r:.60}")
        weights = {str(key).replace("_", " "): weight for key, weight in weights.items()}
        _refuse_unknown("weights", weights, tuple(CONCEPTS))
        for concept, weight in weights.items():
            good = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not good or not 0 <= weight < math.inf:
                raise ValueError(
                    f"weights: {concept}: expected a number from 0, got {weight!r:.60}"
                )
        weights = {**CONCEPTS, **{concept: float(weight) for concept, weight in weights.items()}}
        if not any(weights.values()):
            raise ValueError("weights: all are 0; at least one concept has to count")
        lists: dict[str, tuple[str, ...]] = {}
        for name in ("required", "optional"):
            if name not in found:
                continue
            entries = found[name]
            if not isinstance(entries, (list, tuple)) or not all(
                isinstance(x, str) for x in entries
            ):
                raise ValueError(f"{name}: expected a list of operations, got {entries!r:.60}")
            _refuse_unknown(name, entries, OPERATORS + FUNCTIONS)
            lists[name] = tuple(dict.fromkeys(entries))
        required = lists.get("required", cls.required)
        optional = lists.get("optional", tuple(x for x in cls.optional if x not in required))
        both = [x for x in optional if x in required]
        if both and "required" in lists:
            raise ValueError(f"{both[0]!r} is both required and optional")
        return cls(weights, tuple(x for x in required if x not in both), optional)

    @classmethod
    def load(cls, path: str | Path) -> Rubric:
        """Read a rubric from a file, TOML or, if its name ends in ``.json``, JSON.

        Raises:
            OSError: If there is no such file, or it cannot be read.
            ValueError: If it is no rubric; the message names the file and what is wrong.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            if path.suffix.lower() == ".json":
                found = json.loads(text)
            else:
                try:
                    import tomllib
                except ImportError:  # Python 3.10
                    raise ValueError("TOML needs Python 3.11; write it as .json instead") from None
                found = tomllib.loads(text)
            return cls.read(found)
        except ValueError as error:  # also of the decoders
            raise ValueError(f"rubric {path}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; ``Rubric.read`` takes it."""
        return {
            "weights": dict(self.weights),
            "required": list(self.required),
            "optional": list(self.optional),
        }

    def shares(self, checks: Iterable[CheckRecord]) -> dict[str, float | None]:
        """For each concept, the share that is shown to be right; None if nothing of it ran."""
        listed = (*self.required, *self.optional)
        units: dict[str, dict[str, bool]] = {concept: {} for concept in CONCEPTS}
        for concept, operations in (("operators", OPERATORS), ("functions", FUNCTIONS)):
            units[concept] = {x: False for x in listed if x in operations}  # until it is shown
        seen: dict[str, set[str]] = {concept: set() for concept in CONCEPTS}
        for check in checks:
            if check.operation and check.operation not in listed:
                continue
            unit, among = check.operation or check.name, units[check.concept]
            first = unit not in seen[check.concept]
            seen[check.concept].add(unit)
            among[unit] = check.passed and (first or among[unit])
        return {
            concept: sum(among.values()) / len(among) if among else None
            for concept, among in units.items()
        }

    def score(self, checks: Sequence[CheckRecord]) -> float:
        """The score, from 0 to 1.

        A concept of which no check could run, because another fault stood before it, does not
        count: one cause costs once. Only where not even the gradient of a single operation is
        right, what could not be judged earns nothing.
        """
        shares = self.shares(checks)
        waiting = not shares["local derivatives"] and not all(check.passed for check in checks)
        waiting = waiting or not checks
        total = earned = 0.0
        for concept, weight in self.weights.items():
            share = shares[concept]
            if share is None and (not waiting or concept in ("functions", "numerics")):
                continue
            total += weight
            earned += weight * (share or 0.0)
        return min(1.0, earned / total) if total else float(not waiting)


def _refuse_unknown(where: str, found: Iterable[Any], known: Sequence[str]) -> None:
    for name in found:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ValueError(f"{where}: unknown {name!r}{hint}")
