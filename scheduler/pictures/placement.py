"""Where panels stand in a picture: as in the laboratory, looking along the beam."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tiledsim.scene import Scene
from tiledsim.scene.pixels import pixel_axes
from tiledsim.vectors import Array, unit

GRAZING = 0.2
"""Cosine between a panel's normal and the beam below which panels stand side by side instead."""
GAP = 0.02
"""Between panels that stand side by side, in parts of a panel's width."""


@dataclass(frozen=True)
class Placement:
    """One panel: its pixels (fast, slow) from (x, y) of the picture."""

    panel: int
    forward: Array
    """[2, 2]: (x, y) for a step along fast and slow, as columns."""
    offset: Array
    """(x, y) of the outer corner of the first pixel that is shown."""
    slow: range
    fast: range

    def to_picture(self, slow: Array, fast: Array) -> tuple[Array, Array]:
        """Return x and y of places on the panel, in pixels of the detector."""
        f, s = fast - self.fast.start, slow - self.slow.start
        return (
            self.offset[0] + self.forward[0, 0] * f + self.forward[0, 1] * s,
            self.offset[1] + self.forward[1, 0] * f + self.forward[1, 1] * s,
        )

    def to_panel(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return slow and fast of places in the picture."""
        back = np.linalg.inv(self.forward)
        dx, dy = x - self.offset[0], y - self.offset[1]
        return (
            back[1, 0] * dx + back[1, 1] * dy + self.slow.start,
            back[0, 0] * dx + back[0, 1] * dy + self.fast.start,
        )

    @property
    def factor(self) -> int:
        """Pixels a side of the cells that the picture is made of: not larger than its own."""
        size = abs(float(np.linalg.det(self.forward))) ** 0.5
        return 1 << max(0, int(np.floor(np.log2(1.0 / size) + 1e-9)))

    def through(
        self, left: float, top: float, width: float, height: float, cell: float
    ) -> "Placement | None":
        """Return what a window of the picture shows of it; None where it shows nothing.

        The window is a picture of its own, a pixel of it ``cell`` wide and high.
        """
        x = np.array([left, left + width, left + width, left])
        y = np.array([top, top, top + height, top + height])
        seen = replace(self, forward=self.forward / cell)
        slow, fast = (
            _whole_cells(there, of, seen.factor)
            for there, of in zip(self.to_panel(x, y), (self.slow, self.fast), strict=True)
        )
        if not len(slow) or not len(fast):
            return None
        start = self.to_picture(np.array(float(slow.start)), np.array(float(fast.start)))
        offset = (np.array(start, dtype=np.float64) - (left, top)) / cell
        return replace(seen, offset=offset, slow=slow, fast=fast)

    def corners(self) -> Array:
        """Return the corners in the picture [4, 2]."""
        f, s = len(self.fast), len(self.slow)
        steps = np.array([[0, 0], [f, 0], [f, s], [0, s]], dtype=np.float64)
        return np.asarray(steps @ self.forward.T + self.offset)


def _whole_cells(seen: Array, there: range, edge: int) -> range:
    """Return the pixels of a side that are seen and there, as whole cells, counted from pixel 0."""
    low, high = int(np.floor(seen.min())) // edge * edge, -int(-np.ceil(seen.max()) // edge) * edge
    return range(max(there.start, low), min(there.stop, high))


def place(
    scene: Scene, panels: Sequence[int], slow: range, fast: range, edge: int | None = None
) -> tuple[list[Placement], int, int]:
    """Place panels in a picture whose longer side has ``edge`` pixels; return its rows and columns.

    Without ``edge`` a pixel of the picture is one of the detector.

    One panel stands as it is stored, fast to the right and slow down; of several, the first does so
    as far as it can, and they keep their places against each other.
    """
    frames = _frames(scene, panels, slow, fast)
    unscaled = [
        Placement(panel, forward, offset, slow, fast)
        for panel, (forward, offset) in zip(panels, frames, strict=True)
    ]
    corners = np.concatenate([each.corners() for each in unscaled])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = 1.0 if edge is None else edge / float((high - low).max())
    made = [
        Placement(each.panel, each.forward * scale, (each.offset - low) * scale, slow, fast)
        for each in unscaled
    ]
    width, height = np.maximum(np.ceil((high - low) * scale - 1e-6).astype(int), 1)
    return made, int(height), int(width)


def _frames(
    scene: Scene, panels: Sequence[int], slow: range, fast: range
) -> list[tuple[Array, Array]]:
    """Return how panels lie in a plane: the steps along fast and slow, and the first corner."""
    if len(panels) == 1:
        return [(np.eye(2), np.zeros(2))]
    beam = scene.beam
    if any(abs(float(scene.normal[p] @ beam)) < GRAZING for p in panels):
        step = (1 + GAP) * len(fast)
        return [(np.eye(2), np.array([i * step, 0.0])) for i in range(len(panels))]
    first = scene.fast[panels[0]]
    right = unit(first - (first @ beam) * beam)
    down = np.cross(beam, right)
    if down @ scene.slow[panels[0]] < 0:
        down = -down
    plane = np.stack([right, down])
    frames = []
    for p in panels:
        corner = scene.origin[p] / scene.pixel_size
        along_fast, along_slow = pixel_axes(scene, p)
        corner = corner + slow.start * along_slow + fast.start * along_fast
        forward = plane @ np.stack([along_fast, along_slow], axis=1)
        frames.append((forward, plane @ corner))
    return frames
