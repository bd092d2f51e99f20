"""Detectors by name: pixels, gaps between modules and sensors of detectors that are made.

Sizes and modules are those of :data:`tiledsim.detector_model.modules.DECTRIS_LAYOUTS`, and pixels
from where they are: 172 µm of Pilatus, 75 µm of Eiger and Eiger2.  A Pilatus has 320 µm of silicon
(DECTRIS, User Manual PILATUS V1.2, section 4.2; others are sold too), Eiger and Eiger2 450 µm, as
headers of images from Diamond Light Source and the Swiss Light Source say.
"""

from typing import Any, Final, NamedTuple

from tiledsim.detector_model.modules import DECTRIS_LAYOUTS, Modules
from tiledsim.errors import ExperimentError
from tiledsim.experiment.validation import did_you_mean
from tiledsim.geometry_files.sensor import FileSensor


class NamedDetector(NamedTuple):
    """A flat detector of modules."""

    pixel_mm: float
    size_px: tuple[int, int]
    modules: Modules
    thickness_um: float


_FAMILIES: Final = {"pilatus": (0.172, 320.0), "eiger": (0.075, 450.0), "eiger2": (0.075, 450.0)}


def _known() -> dict[str, NamedDetector]:
    found = {}
    for name, known in DECTRIS_LAYOUTS.items():
        pixel, thickness = _FAMILIES[name.partition("_")[0]]
        found[name.replace("_", "-")] = NamedDetector(
            pixel, (known.fast, known.slow), known.modules, thickness
        )
    # Modules of 1024 x 512 pixels of 75 um, 320 um of silicon (European XFEL's documentation of the
    # detector); as 1030 x 514, as those at the edges of chips are twice as wide and cut in two, 8
    # and 36 pixels apart (Jungfraujoch of PSI, for 4M).  9M and 16M are laid out in the same way.
    for name, across, down in (("4m", 2, 4), ("9m", 3, 6), ("16m", 4, 8)):
        size = across * 1030 + (across - 1) * 8, down * 514 + (down - 1) * 36
        found[f"jungfrau-{name}"] = NamedDetector(0.075, size, Modules(across, down, 8, 36), 320.0)
    return found


NAMED: Final = _known()


def named_detector(given: dict[str, Any]) -> tuple[dict[str, Any], FileSensor]:
    """Return the keys of a detector with ``model`` written out, and its sensor.

    Keys that are given go before what the name says.
    """
    name = given.pop("model")
    if not isinstance(name, str) or name not in NAMED:
        advice = did_you_mean(str(name), NAMED) or f"; known are {', '.join(NAMED)}"
        raise ExperimentError(f"detector.model = {str(name)[:40]!r}: no such detector{advice}")
    model = NAMED[name]
    for key in ("size_px", "panels", "pixel_mm"):
        if key in given:
            raise ExperimentError(f"detector.model and detector.{key} are both given; give one")
    gaps = [list(gap) for gap in gap_rectangles(model)]
    masked = gaps + [list(rectangle) for rectangle in given.get("masked_px", ())]
    said = {"pixel_mm": model.pixel_mm, "size_px": list(model.size_px), "masked_px": masked}
    return given | said, FileSensor(model.thickness_um / 1000.0, "Si")


def gap_rectangles(model: NamedDetector) -> list[tuple[int, int, int, int]]:
    """Return the gaps between modules: fast_min, fast_max, slow_min, slow_max, inclusive."""
    fast, slow = model.size_px
    across, down, gap_fast, gap_slow = model.modules
    wide = (fast - (across - 1) * gap_fast) // across
    high = (slow - (down - 1) * gap_slow) // down
    columns = [(n * (wide + gap_fast) - gap_fast, n * (wide + gap_fast) - 1, 0, slow - 1)
               for n in range(1, across)]  # fmt: skip
    rows = [(0, fast - 1, n * (high + gap_slow) - gap_slow, n * (high + gap_slow) - 1)
            for n in range(1, down)]  # fmt: skip
    return columns + rows
