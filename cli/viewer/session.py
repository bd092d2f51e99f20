"""What the page shows of a store: the part in sight, and what is under the pointer."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.one_shot import scene_and_shot
from tiledsim.errors import StoreError
from tiledsim.image_files.pictures.contours import contour, ring_resolutions
from tiledsim.reach.brightest import predict_spots
from tiledsim.reference.pixel_facts import one_ray, pixel_facts
from tiledsim.reference.trace import trace
from tiledsim.scene import Scene
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.pictures.picture import paint_panel
from tiledsim.scheduler.pictures.placement import Placement, place
from tiledsim.scheduler.results.stored_image import StoredImage
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.tile import Tile
from tiledsim.vectors import Array

SCREEN = 1000
"""Cells along the longer side of what is sent to the page, about."""
FINEST_CELL = 0.125
"""Of a pixel, where panels may be turned against the page."""
GRID = 80
"""Points along a side of the grid on which resolution is computed, of one panel."""
MEAGRE_GRID = 10
MOST_TILES = 400
"""That are outlined at once."""
MOST_SPOTS = 500


@dataclass(frozen=True)
class Sight:
    """The part of the detector that is on the screen; places are (x, y) of the page."""

    cells: NDArray[np.float32]
    x: float
    y: float
    """Of the outer corner of the first cell."""
    cell: float
    """Of the page, a side of a cell."""
    panels: tuple[Placement, ...] = ()
    """What is in sight of each, in cells from (x, y)."""


class Shown:
    """A store, and another one to compare it with.

    One panel is shown as it is stored, x along fast and y along slow; several as they stand in the
    laboratory, looking along the beam.
    """

    def __init__(self, files: Files, against: Files | None = None) -> None:
        self.stored = StoredImage(files)
        self.other = None if against is None else StoredImage(against)
        shape = self.stored.layout.shape
        if self.other is not None and self.other.layout.shape != shape:
            raise StoreError(
                f"{self.other.url} has the shape {self.other.layout.shape}, {self.stored.url} "
                f"{shape}: only images of the same shape have a difference"
            )
        self.shape = shape
        _, panels, rows, cols = shape
        scene, _ = scene_and_shot(self.stored.scene, 0)
        self.panels, self.height, self.width = place(scene, range(panels), range(rows), range(cols))
        self._finest = 1.0 if panels == 1 else FINEST_CELL

    @property
    def finished(self) -> bool:
        """Whether nothing changes any more."""
        return self.stored.pixels.finished

    def refresh(self) -> bool:
        """Look which tiles have been finished; return whether there are new ones."""
        stored = self.stored
        before = int(np.count_nonzero(stored.pixels.done))
        finished = "summary" in store.read_attributes(stored.files)
        stored.records = read_records(stored.files, stored.layout)
        stored.pixels.done = stored.records.done
        changed = finished != stored.pixels.finished
        stored.pixels.finished = finished
        return changed or int(np.count_nonzero(stored.records.done)) != before

    def sight(
        self, shot: int, x: tuple[float, float], y: tuple[float, float], *, difference: bool = False
    ) -> Sight:
        """Read what a part of the page shows, at the resolution of the screen."""
        span = max(x[1] - x[0], y[1] - y[0], self._finest)
        cell = max(self._finest, float(2.0 ** round(np.log2(span / SCREEN))))
        # Not more than a screen beside the detector, however far out someone zooms.
        (left, cols), (top, rows) = (
            _cells_of(low, high, size, cell)
            for (low, high), size in ((x, self.width), (y, self.height))
        )
        if rows < 1 or cols < 1:
            return Sight(np.full((1, 1), np.nan, dtype=np.float32), 0.0, 0.0, self._finest)
        seen = tuple(
            part for each in self.panels
            if (part := each.through(left, top, cols * cell, rows * cell, cell)) is not None
        )  # fmt: skip
        cells = _painted(self.stored, shot, seen, (rows, cols))
        if difference and self.other is not None:
            cells = np.abs(cells - _painted(self.other, shot, seen, (rows, cols)))
        return Sight(cells, left, top, cell, seen)

    def at(self, x: float, y: float) -> tuple[int, int, int] | None:
        """Return panel, slow and fast pixel of a place; None beside the panels."""
        for each in self.panels:
            slow, fast = each.to_panel(np.array(x), np.array(y))
            s, f = int(np.floor(slow)), int(np.floor(fast))
            if s in each.slow and f in each.fast:
                return each.panel, s, f
        return None

    def value(self, shot: int, panel: int, slow: int, fast: int) -> float:
        """Return the stored value of a pixel; NaN where there is none yet."""
        one = range(slow, slow + 1), range(fast, fast + 1)
        return float(self.stored.pixels.read([shot], panel, *one, 1)[0, 0])

    def under_pointer(self, shot: int, x: float, y: float) -> str:
        """Say what is at a place, in one line; empty beside the panels."""
        there = self.at(x, y)
        if there is None:
            return ""
        panel, s, f = there
        value = self.value(shot, panel, s, f)
        facts = pixel_facts(*self._simple(shot), panel, [s], [f])
        where = facts.position_mm[0]
        h, k, l = facts.hkl[0]
        said = "not rendered yet" if np.isnan(value) else f"{value:.6g}"
        which = f"panel {panel}  " if len(self.panels) > 1 else ""
        return (
            f"{which}slow {s}  fast {f}  value {said}  |  d {facts.resolution_A[0]:.3f} Å  "
            f"2θ {facts.two_theta_deg[0]:.3f}°  |  hkl {h:.2f} {k:.2f} {l:.2f}  |  "
            f"x {where[0]:.3f} y {where[1]:.3f} z {where[2]:.3f} mm"
        )

    def traced(self, shot: int, x: float, y: float) -> str:
        """Return the table of the trace of the pixel at a place; empty beside the panels."""
        there = self.at(x, y)
        if there is None:
            return ""
        return trace(self.stored.scene, *there, shot=shot, backend="cpu").table()

    def rings(self, shot: int) -> list[tuple[str, NDArray[np.float64]]]:
        """Return lines of equal resolution: labels and segments [n, 2 ends, 2 (x, y)]."""
        _, panels, rows, cols = self.shape
        points = max(MEAGRE_GRID, int(GRID / panels**0.5))
        slow, fast = np.meshgrid(
            np.linspace(0, rows, points), np.linspace(0, cols, points), indexing="ij"
        )
        grids = []
        for each in self.panels:
            found = pixel_facts(
                *self._simple(shot), each.panel, slow.ravel() - 0.5, fast.ravel() - 0.5
            )
            d = np.minimum(found.resolution_A, 1e6).reshape(slow.shape)
            grids.append((*each.to_picture(slow, fast), d))
        finest = min(float(d.min()) for *_, d in grids)
        return [
            (
                f"{ring:g} Å",
                np.concatenate([contour(x, y, 1.0 / d, 1.0 / ring) for x, y, d in grids]),
            )
            for ring in ring_resolutions(finest)
        ]

    def spots(self, shot: int) -> tuple[Array, Array, list[str]]:
        """Return x, y and indices of the strongest predicted spots of a shot."""
        scene, number = scene_and_shot(self.stored.scene, shot)
        _, _, rows, cols = self.shape
        corners = [
            pixel_facts(
                *self._simple(shot), each.panel, [0, 0, rows, rows], [0, cols, 0, cols]
            ).resolution_A.min()
            for each in self.panels
        ]
        found = predict_spots(scene, number, dmin_A=float(min(corners)), most=MOST_SPOTS)
        x, y = np.zeros((2, len(found.panel)))
        for each in self.panels:
            here = found.panel == each.panel
            x[here], y[here] = each.to_picture(found.slow[here], found.fast[here])
        return x, y, [" ".join(map(str, hkl)) for hkl in found.hkl.tolist()]

    def tiles(self, shot: int, sight: Sight) -> list[tuple[Array, str]]:
        """Return the tiles in sight, corners [4, 2 (x, y)] and how long each took.

        Nothing where they are too many.
        """
        layout, records = self.stored.layout, self.stored.records
        found: list[tuple[Array, str]] = []
        for part in sight.panels:
            area = Tile(
                shot, part.panel, part.slow.start, part.slow.stop, part.fast.start, part.fast.stop
            )
            numbers = list(layout.tiles_of(area))
            if len(found) + len(numbers) > MOST_TILES:
                return []
            for n in numbers:
                tile = layout.tile_at(n)
                slow = np.array([tile.slow_start] * 2 + [tile.slow_stop] * 2, dtype=np.float64)
                fast = np.array([tile.fast_start, tile.fast_stop], dtype=np.float64)[[0, 1, 1, 0]]
                corners = np.stack(self.panels[part.panel].to_picture(slow, fast), axis=1)
                took = (
                    f"{records[n].render_seconds + records[n].write_seconds:.3g} s"
                    if n in records else "…"
                )  # fmt: skip
                found.append((corners, took))
        return found

    def _simple(self, shot: int) -> tuple[Scene, int]:
        """Return the scene of a shot with one ray, and the shot's number in it."""
        scene, number = scene_and_shot(self.stored.scene, shot)
        return _one_ray(scene), number


@lru_cache(maxsize=4)
def _one_ray(scene: Scene) -> Scene:
    return one_ray(scene)


def _cells_of(low: float, high: float, size: int, cell: float) -> tuple[float, int]:
    """Return where whole cells over a part of a side begin, and how many there are."""
    first = int(np.floor(max(low, 0.0) / cell))
    return first * cell, int(np.ceil(min(high, float(size)) / cell)) - first


def _painted(
    stored: StoredImage, shot: int, panels: tuple[Placement, ...], shape: tuple[int, int]
) -> NDArray[np.float32]:
    values = np.full(shape, np.nan, dtype=np.float32)
    covered = np.zeros(shape, dtype=np.bool_)
    for each in panels:
        paint_panel(stored.pixels, each, [shot], values, covered)
    return values
