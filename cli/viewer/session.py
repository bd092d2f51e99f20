"""What the page shows of a store: the part in sight, and what is under the pointer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import StoreError
from tiledsim.image_files.pictures.contours import contour, ring_resolutions
from tiledsim.reach.brightest import PredictedSpots, predict_spots
from tiledsim.reference.pixel_facts import one_ray, pixel_facts
from tiledsim.reference.trace import trace
from tiledsim.scheduler.journal.records_of_store import read_records
from tiledsim.scheduler.results.stored_image import StoredImage
from tiledsim.scheduler.store import image as store
from tiledsim.scheduler.store.files import Files
from tiledsim.tile import Tile

SCREEN = 1000
"""Cells along the longer side of what is sent to the page, about."""
GRID = 80
"""Points along a side of the grid on which resolution is computed."""
MOST_TILES = 400
"""That are outlined at once."""
MOST_SPOTS = 500


@dataclass(frozen=True)
class Sight:
    """The part of a panel that is on the screen."""

    cells: NDArray[np.float32]
    slow: range
    fast: range
    factor: int


class Shown:
    """A store, and another one to compare it with."""

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
        self._spots: dict[int, PredictedSpots] = {}

    @cached_property
    def _simple(self) -> Any:
        return one_ray(self.stored.scene)

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
        self, shot: int, panel: int, slow: tuple[float, float], fast: tuple[float, float], *,
        difference: bool = False,
    ) -> Sight:  # fmt: skip
        """Read what a part of a panel shows, at the resolution of the screen."""
        _, _, rows, cols = self.shape
        span = max(slow[1] - slow[0], fast[1] - fast[0], 1.0)
        factor = 2 ** max(0, round(np.log2(span / SCREEN)))
        s, f = (
            range(
                max(0, int(low) // factor * factor),
                min(n, (int(np.ceil(high)) // factor + 1) * factor),
            )
            for (low, high), n in ((slow, rows), (fast, cols))
        )
        if not len(s) or not len(f):
            return Sight(np.full((1, 1), np.nan, dtype=np.float32), range(1), range(1), 1)
        if difference and self.other is not None:
            cells = self._difference(shot, panel, s, f, factor)
        else:
            cells = self.stored.pixels.read([shot], panel, s, f, factor)
        return Sight(cells, s, f, factor)

    def _difference(
        self, shot: int, panel: int, slow: range, fast: range, factor: int
    ) -> NDArray[np.float32]:
        """Largest |difference| of each cell's pixels where they are few, else of the maxima."""
        assert self.other is not None
        pair = (self.stored, self.other)
        a, b = (each.pixels.read([shot], panel, slow, fast, factor) for each in pair)
        return np.asarray(np.abs(a - b), dtype=np.float32)

    def value(self, shot: int, panel: int, slow: int, fast: int) -> float:
        """Return the stored value of a pixel; NaN where there is none yet."""
        one = range(slow, slow + 1), range(fast, fast + 1)
        return float(self.stored.pixels.read([shot], panel, *one, 1)[0, 0])

    def under_pointer(self, shot: int, panel: int, slow: float, fast: float) -> str:
        """Say what is at a place of a panel, in one line; empty outside of it."""
        s, f = int(np.floor(slow)), int(np.floor(fast))
        if not (0 <= s < self.shape[2] and 0 <= f < self.shape[3]):
            return ""
        value = self.value(shot, panel, s, f)
        facts = pixel_facts(self._simple, shot, panel, [s], [f])
        x, y, z = facts.position_mm[0]
        h, k, l = facts.hkl[0]
        said = "not rendered yet" if np.isnan(value) else f"{value:.6g}"
        return (
            f"slow {s}  fast {f}  value {said}  |  d {facts.resolution_A[0]:.3f} Å  "
            f"2θ {facts.two_theta_deg[0]:.3f}°  |  hkl {h:.2f} {k:.2f} {l:.2f}  |  "
            f"x {x:.3f} y {y:.3f} z {z:.3f} mm"
        )

    def traced(self, shot: int, panel: int, slow: int, fast: int) -> str:
        """Return the table of a pixel's trace."""
        return trace(self.stored.scene, panel, slow, fast, shot=shot, backend="cpu").table()

    def rings(self, shot: int, panel: int) -> list[tuple[str, NDArray[np.float64]]]:
        """Return lines of equal resolution: labels and segments [n, 2 ends, 2 (fast, slow)]."""
        _, _, rows, cols = self.shape
        y, x = np.meshgrid(np.linspace(0, rows, GRID), np.linspace(0, cols, GRID), indexing="ij")
        found = pixel_facts(self._simple, shot, panel, y.ravel() - 0.5, x.ravel() - 0.5)
        d = np.minimum(found.resolution_A, 1e6).reshape(y.shape)
        return [
            (f"{ring:g} Å", contour(x, y, 1.0 / d, 1.0 / ring))
            for ring in ring_resolutions(float(d.min()))
        ]

    def spots(self, shot: int, panel: int) -> PredictedSpots:
        """Return the strongest predicted spots of a shot; the caller picks those of its panel."""
        if shot not in self._spots:
            corners = [
                pixel_facts(
                    self._simple, shot, p, [0, 0, self.shape[2], self.shape[2]],
                    [0, self.shape[3], 0, self.shape[3]],
                ).resolution_A.min()
                for p in range(self.shape[1])
            ]  # fmt: skip
            self._spots = {
                shot: predict_spots(
                    self.stored.scene, shot, dmin_A=float(min(corners)), most=MOST_SPOTS
                )
            }
        return self._spots[shot]

    def tiles(self, shot: int, panel: int, sight: Sight) -> list[tuple[Tile, str]]:
        """Return the tiles in sight and how long each took; nothing where they are too many."""
        layout = self.stored.layout
        part = Tile(
            shot, panel, sight.slow.start, sight.slow.stop, sight.fast.start, sight.fast.stop
        )
        numbers = list(layout.tiles_of(part))
        if len(numbers) > MOST_TILES:
            return []
        records = self.stored.records
        return [
            (
                layout.tile_at(n),
                f"{records[n].render_seconds + records[n].write_seconds:.3g} s"
                if n in records else "…",
            )
            for n in numbers
        ]  # fmt: skip
