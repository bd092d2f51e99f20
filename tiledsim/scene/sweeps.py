"""How a count, a range and a step complete each other when only some of them are given."""

import math
from typing import Literal, NamedTuple


class Steps(NamedTuple):
    """A resolved sweep: how many points, over what range, how far apart."""

    points: int
    extent: float
    step: float


def complete(
    count: int | None,
    extent: float | None,
    step: float | None,
    *,
    kind: Literal["divergence", "sensor", "phi"],
) -> Steps:
    """Fill in what is not given (None), as nanoBragg does (docs/physics.md, section 2).

    ``divergence`` (and dispersion) lets the points reach both ends of the range; ``phi`` never
    reaches the end; ``sensor`` is as divergence but for a range alone.  A range or a step that ends
    ≤ 0 is one step of range 0, except for φ.
    """
    counted = count is not None and count > 0
    ranged = extent is not None and extent >= 0
    stepped = step is not None and step > 0
    n, r, s = count or 0, extent or 0.0, step or 0.0
    if not counted and not ranged:
        n, r, s = (2, s, s) if stepped else (1, 0.0, 0.0)
    elif not counted:
        if stepped:
            n = math.ceil(r / s)
        else:
            n, s = 2, (r if kind == "divergence" else r / 2.0)
    elif not ranged:
        if stepped:
            n, r = 2, s
        else:
            r = {"divergence": 1.0, "sensor": 0.5e-6, "phi": math.radians(1.0)}[kind]
            s = r / n
    elif not stepped:
        if kind == "phi":
            s = r / n
        else:
            n = max(n, 2)
            s = r / (n - 1)
    if kind != "phi" and (r <= 0.0 or s <= 0.0 or n <= 0):
        return Steps(1, 0.0, 0.0)
    return Steps(n, r, s)
