"""The columns of a table of shots that an image depends on: names, units, and what is allowed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.experiment.validation import nearest


@dataclass(frozen=True)
class Kind:
    """What a column holds."""

    units: str
    meaning: str
    low: float = -np.inf
    high: float = np.inf
    above: bool = False
    """Whether ``low`` itself is excluded."""
    whole: bool = False

    def allowed(self) -> str:
        """Say which values are allowed."""
        what = "a whole number" if self.whole else "a finite number"
        if np.isfinite(self.high):
            return f"{what} from {self.low:g} to {self.high:g}"
        if np.isfinite(self.low):
            return f"{what} {'above' if self.above else 'of at least'} {self.low:g}"
        return what

    def wrong(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which values are not allowed."""
        sound = np.isfinite(values) & (values <= self.high)
        sound &= (values > self.low) if self.above else (values >= self.low)
        if self.whole:
            sound &= values == np.round(values)
        return ~sound


MISSET: Final = ("misset_x_deg", "misset_y_deg", "misset_z_deg")
U: Final = tuple(f"U_{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))
MOST_LATTICES: Final = 100.0
"""Crystals in one shot."""
CELL: Final = (
    "cell_a_A", "cell_b_A", "cell_c_A", "cell_alpha_deg", "cell_beta_deg", "cell_gamma_deg",
)  # fmt: skip
CELLS: Final = ("cells_a", "cells_b", "cells_c")
LAYERS: Final = tuple(f"layer_{n}_thickness_mm" for n in range(1, 10))
MOVES: Final = frozenset({"distance_mm", "detector_shift_fast_mm", "detector_shift_slow_mm"})
"""Columns that move the detector."""
TURN: Final = ("turn_w", "turn_x", "turn_y", "turn_z")
"""The unit quaternion of a shot's rotation, which orientations of every kind become."""

KINDS: Final[dict[str, Kind]] = {
    **{name: Kind("deg", "turn of the crystal about x, then y, then z") for name in MISSET},
    **{name: Kind("1", "element of the rotation matrix U", -1.0, 1.0) for name in U},
    **{name: Kind("angstrom", "length of a cell vector", 0.0, above=True) for name in CELL[:3]},
    **{name: Kind("deg", "angle of the cell", 0.0, above=True) for name in CELL[3:]},
    **{name: Kind("1", "cells along a vector of a block", 1.0, whole=True) for name in CELLS},
    "blocks": Kind("1", "mosaic blocks in the beam", 0.0, above=True),
    "mosaic_spread_deg": Kind("deg", "width of the mosaic domains", 0.0),
    "B_A2": Kind("angstrom^2", "overall B factor", 0.0),
    "fluence_photons_per_m2": Kind("photons/m^2", "fluence", 0.0),
    "wavelength_A": Kind("angstrom", "mean wavelength", 0.0, above=True),
    "energy_eV": Kind("eV", "mean photon energy", 0.0, above=True),
    "spectrum": Kind("1", "row of the file of spectra", 0.0, whole=True),
    "polarization": Kind("1", "Kahn's factor", -1.0, 1.0),
    "distance_mm": Kind("mm", "distance of the detector, moved along the beam", 0.0, above=True),
    "detector_shift_fast_mm": Kind("mm", "shift of the detector along the first fast axis"),
    "detector_shift_slow_mm": Kind("mm", "shift of the detector along the first slow axis"),
    "water_um": Kind("um", "edge of the drop of water", 0.0),
    **{
        name: Kind("mm", f"thickness of layer {n} of the background", 0.0)
        for n, name in enumerate(LAYERS, start=1)
    },
    "lattices": Kind("1", "crystals in the beam", 1.0, MOST_LATTICES, whole=True),
    "noise_seed": Kind("1", "seed of the noise", 0.0, 2.0**32 - 1, whole=True),
}


def check_name(name: str, labels: frozenset[str], fields: frozenset[str]) -> None:
    """Refuse the name of a column that is neither one of :data:`KINDS` nor a label.

    ``labels`` are those that were declared; ``fields`` the keys of an experiment.  Any name that
    resembles no column is a label, declared or not.
    """
    if name in KINDS or name in labels:
        return
    if name in TURN:
        raise ExperimentError(f"[shots] column '{name}': the name is taken; give another")
    if name in fields:
        raise ExperimentError(
            f"[shots] column '{name}' cannot vary from shot to shot yet; those that can: "
            f"{', '.join(KINDS)}"
        )
    if found := nearest(name, KINDS):
        raise ExperimentError(
            f"[shots] column '{name}': no such column; did you mean '{found}'? (if it is a label, "
            "add it to shots.labels)"
        )


def check_values(name: str, values: NDArray[np.float64], first: int = 0) -> None:
    """Refuse values that a column does not allow, with the first row that has one; rows count from
    ``first``.
    """
    wrong = KINDS[name].wrong(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise ExperimentError(
            f"[shots] {name} in row {first + row} is {values[row]:g}: must be "
            f"{KINDS[name].allowed()}"
        )


def check_cells(cells: NDArray[np.float64], first: int = 0) -> None:
    """Refuse cells [shots, 6] whose angles close no volume, with the first row that has one."""
    angles = np.radians(cells[:, 3:])
    half = angles.sum(axis=1) / 2
    skew = np.sin(half) * np.prod(np.sin(half[:, None] - angles), axis=1)
    wrong = (cells[:, 3:].max(axis=1) >= 180) | ~(skew > 1e-12)
    if wrong.any():
        row = int(wrong.argmax())
        shown = ", ".join(f"{value:g}" for value in cells[row])
        raise ExperimentError(
            f"[shots] the cell in row {first + row}, {shown}, closes no volume: each angle must be "
            "below the sum of the other two, and their sum below 360"
        )
