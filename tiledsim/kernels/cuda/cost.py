"""What a step costs in float64 against mixed, on a kind of card: counted, not measured."""

from typing import Final, NamedTuple

from tiledsim.kernels.cuda.source import Specialisation, specialise
from tiledsim.kernels.devices import FLOAT64_UNITS, SLOW_FLOAT64_UNITS, float64_is_slow
from tiledsim.scene import Scene

ISSUED: Final = 128
"""Instructions that a multiprocessor issues in a cycle."""


class _Counted(NamedTuple):
    """Instructions of a step: all, and those of float64."""

    all: float
    double: float


_COUNTS: Final[dict[tuple[str, bool, bool], tuple[_Counted, _Counted, _Counted]]] = {
    ("SQUARE", False, False): (_Counted(112.5, 94), _Counted(90.0, 9), _Counted(106.8, 0)),
    ("GAUSS", False, False): (_Counted(81.5, 48), _Counted(45.8, 9), _Counted(65.5, 0)),
    ("ROUND", False, False): (_Counted(91.0, 67), _Counted(93.0, 28), _Counted(93.0, 28)),
    ("SQUARE", True, False): (_Counted(104.5, 88), _Counted(80.8, 3), _Counted(93.0, 0)),
    ("GAUSS", True, False): (_Counted(74.0, 42), _Counted(38.5, 3), _Counted(52.2, 0)),
    ("ROUND", True, False): (_Counted(81.5, 61), _Counted(85.0, 22), _Counted(85.0, 22)),
    ("SQUARE", False, True): (_Counted(416.0, 227), _Counted(381.0, 9), _Counted(399.5, 0)),
    ("GAUSS", False, True): (_Counted(382.5, 181), _Counted(340.0, 9), _Counted(358.5, 0)),
    ("ROUND", False, True): (_Counted(396.5, 200), _Counted(393.5, 31), _Counted(393.5, 31)),
    ("SQUARE", True, True): (_Counted(426.5, 221), _Counted(393.0, 3), _Counted(406.0, 0)),
    ("GAUSS", True, True): (_Counted(394.0, 175), _Counted(352.0, 3), _Counted(363.5, 0)),
    ("ROUND", True, True): (_Counted(408.0, 194), _Counted(403.0, 25), _Counted(403.0, 25)),
}
"""By shape, whether wavelengths share a direction, and interpolation: in float64, mixed, and mixed
without float64 in a step.  ``python benchmarks/instructions.py`` (sm_90, NVRTC 13) counts them."""


def float64_cost(scene: Scene, capability: str) -> float | None:
    """How many times as long a step takes in float64 as in mixed, if nothing but units waits.

    Parameters
    ----------
    scene
        What is rendered.
    capability
        Compute capability of the card, such as ``8.9``.

    Returns
    -------
    float or None
        1 where ``mixed`` computes in float64 as well; None where the card is not known.
    """
    if not capability:
        return None
    exact = specialise(scene, "float64", interpolate=scene.interpolate)
    mixed = specialise(
        scene, "mixed", interpolate=scene.interpolate, anchored=float64_is_slow(capability)
    )
    if not mixed.mixed:
        return 1.0
    return _cycles(exact, capability) / _cycles(mixed, capability)


def _cycles(special: Specialisation, capability: str) -> float:
    """Cycles of a multiprocessor that a step takes."""
    kinds = _COUNTS[special.shape, special.spectrum, special.factors == "TRICUBIC"]
    counted = kinds[special.mixed + special.anchored]
    units = FLOAT64_UNITS.get(capability, SLOW_FLOAT64_UNITS)
    return max(counted.all / ISSUED, counted.double / units)
