"""What a geometry file says, whatever its format, and what every file is checked for.

All vectors are in the imgCIF laboratory frame, which DIALS uses too: the sample is at the origin
and the photons travel nearly along −z.
"""

from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from tiledsim.errors import InputFileError
from tiledsim.geometry_files.sensor import FileSensor
from tiledsim.scene.detector.geometry import LARGEST_SKEW
from tiledsim.vectors import Array, unit

MOST_PANELS: Final = 4096
MOST_PIXELS: Final = 2**20
"""Of a panel's side."""
MOST_FRAMES: Final = 1_000_000
Rectangle = tuple[int, int, int, int]
"""Pixels: fast_min, fast_max, slow_min, slow_max, inclusive."""


@dataclass(frozen=True)
class FilePanel:
    """A flat panel."""

    origin_mm: Array
    """Outer corner of pixel 0,0 [3]."""
    fast: Array
    slow: Array
    """Directions [3], of any length."""
    pixel_mm: tuple[float, float]
    """Along fast and slow."""
    size_px: tuple[int, int]
    """(fast, slow)."""
    masked_px: tuple[Rectangle, ...] = ()

    def corners(self) -> Array:
        """Return the outer corners [4, 3] in mm: 0,0, along fast, both, along slow."""
        f = unit(self.fast) * self.pixel_mm[0] * self.size_px[0]
        s = unit(self.slow) * self.pixel_mm[1] * self.size_px[1]
        return self.origin_mm + np.stack([0 * f, f, f + s, s])


@dataclass(frozen=True)
class FileGeometry:
    """Everything about an experiment's geometry that a file may hold; None where it does not."""

    panels: tuple[FilePanel, ...]
    beam: Array = field(default_factory=lambda: np.array([0.0, 0.0, -1.0]))
    """Along which the photons travel [3]."""
    wavelength_A: float | None = None
    polarization: float | None = None
    """Kahn's factor."""
    polarization_axis: Array | None = None
    spindle: Array | None = None
    start_deg: float = 0.0
    step_deg: float | None = None
    frames: int | None = None
    crystals_A: Array | None = None
    """Direct vectors a, b, c as rows at spindle angle 0 [shots, 3, 3]."""
    mask_file: Path | None = None
    """Where a mask of single pixels is."""
    sensor: FileSensor | None = None
    space_group: str | None = None
    """A number, or a symbol that gemmi knows.  It is carried from file to file; an experiment has
    that of its structure factors, since indexing often stops at a lower symmetry."""


def finite(values: ArrayLike, count: int, what: str) -> Array:
    """Return ``count`` finite numbers [count]; ValueError for anything else."""
    found = np.asarray(values, dtype=np.float64).ravel()
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError(f"{what} must be {count} finite number{'s'[: count > 1]}")
    return found


def clip(rectangle: tuple[int, ...], size_px: tuple[int, int]) -> Rectangle | None:
    """Return the part of a rectangle that is on a panel; None for one beside it."""
    f0, f1, s0, s1 = rectangle
    kept = (max(f0, 0), min(f1, size_px[0] - 1), max(s0, 0), min(s1, size_px[1] - 1))
    return kept if kept[0] <= kept[1] and kept[2] <= kept[3] else None


def check(geometry: FileGeometry, path: Path) -> FileGeometry:
    """Return a geometry that makes sense; InputFileError, in one line, for one that does not."""
    try:
        _check(geometry)
    except ValueError as error:
        raise InputFileError(f"{path}: {error}") from None
    return geometry


def _check(geometry: FileGeometry) -> None:
    if not 1 <= len(geometry.panels) <= MOST_PANELS:
        raise ValueError(f"{len(geometry.panels)} panels; 1 to {MOST_PANELS} are read")
    for number, panel in enumerate(geometry.panels):
        finite(panel.origin_mm, 3, f"the origin of panel {number}")
        fast, slow = (finite(axis, 3, f"an axis of panel {number}")
                      for axis in (panel.fast, panel.slow))  # fmt: skip
        if not fast.any() or not slow.any():
            raise ValueError(f"panel {number} has an axis of length 0")
        skew = abs(float(unit(fast) @ unit(slow)))
        if skew > LARGEST_SKEW:
            raise ValueError(f"the axes of panel {number} are not at right angles ({skew:.3g})")
        if any(not 1 <= n <= MOST_PIXELS for n in panel.size_px):
            raise ValueError(f"panel {number} has {panel.size_px[0]} x {panel.size_px[1]} pixels; "
                             f"a side has 1 to {MOST_PIXELS:,}")  # fmt: skip
        across, down = finite(panel.pixel_mm, 2, f"the pixel size of panel {number}")
        if min(across, down) <= 0:
            raise ValueError(f"panel {number} has pixels of {across:g} x {down:g} mm")
    if not finite(geometry.beam, 3, "the beam's direction").any():
        raise ValueError("the beam has no direction")
    wavelength = geometry.wavelength_A
    if wavelength is not None and not 1e-4 < wavelength < 1e4:
        raise ValueError(f"a wavelength of {wavelength:g} Å; must be between 1e-4 and 1e4")
    if geometry.polarization is not None and not abs(geometry.polarization) <= 1:
        raise ValueError(f"a polarization of {geometry.polarization:g}; must be from -1 to 1")
    if geometry.spindle is not None and not finite(geometry.spindle, 3, "the spindle").any():
        raise ValueError("the rotation axis has length 0")
    if geometry.sensor is not None:
        finite(geometry.sensor.thickness_mm, 1, "the thickness of the sensor")
        attenuation = finite(geometry.sensor.attenuation_per_mm or 0.0, 1, "the sensor's µ")[0]
        if geometry.sensor.thickness_mm < 0 or attenuation < 0:
            raise ValueError("a sensor of negative thickness or attenuation")
    finite(geometry.start_deg, 1, "the start of the rotation")
    finite(geometry.step_deg or 0.0, 1, "the rotation of an image")
    if geometry.frames is not None and not 1 <= geometry.frames <= MOST_FRAMES:
        raise ValueError(f"{geometry.frames} images; 1 to {MOST_FRAMES:,} are read")
    for crystal in () if geometry.crystals_A is None else geometry.crystals_A:
        if not np.isfinite(crystal).all() or abs(np.linalg.det(crystal)) < 1e-3:
            raise ValueError("the crystal's vectors a, b, c span no volume")
    _refuse_overlap(geometry.panels)


def _refuse_overlap(panels: tuple[FilePanel, ...]) -> None:
    """Refuse panels that lie on each other in one plane by more than half a pixel."""
    corners = [panel.corners() for panel in panels]
    middles = np.array([four.mean(axis=0) for four in corners])
    reach = np.array([np.linalg.norm(four[2] - four[0]) / 2 for four in corners])
    for i, j in combinations(range(len(panels)), 2):
        if np.linalg.norm(middles[i] - middles[j]) >= reach[i] + reach[j]:
            continue
        slack = 0.5 * min(*panels[i].pixel_mm, *panels[j].pixel_mm)
        axes = [unit(p) for k in (i, j) for p in (panels[k].fast, panels[k].slow)]
        normal = unit(np.cross(axes[0], axes[1]))
        out = np.ptp(np.concatenate([corners[i], corners[j]]) @ normal)
        apart = any(
            min((corners[i] @ a).max(), (corners[j] @ a).max())
            - max((corners[i] @ a).min(), (corners[j] @ a).min())
            <= slack
            for a in axes
        )
        if out < slack and not apart:
            raise ValueError(f"panels {i} and {j} overlap")
