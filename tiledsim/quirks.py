"""The places where nanoBragg.c departs from its own model, each a switch.

``spec`` has none of them, ``c-parity`` has all.  docs/physics.md describes each one.
"""

from typing import Final, Literal, get_args

Mode = Literal["spec", "c-parity"]

Quirk = Literal[
    "phi_carryover",
    "cell_cstar",
    "first_value_corrections",
    "running_product",
    "source_weights_ignored",
    "water_twice",
    "interpolation_off",
    "pix0_ignored",
    "pivot_override",
    "near_point_ignored",
    "beam_centre_ignored",
    "misset_radians",
    "misset_seed_as_angles",
    "twotheta_axis_raw",
    "gauss_width",
    "sinc3_cancellation",
    "sensor_step",
    "flat_normal",
    "signed_distance",
    "hkl_stops",
    "float32_spread",
]

ALL_QUIRKS: Final[tuple[Quirk, ...]] = get_args(Quirk)


def quirks_of(mode: Mode) -> frozenset[Quirk]:
    """Return the quirks that a mode switches on."""
    return frozenset(ALL_QUIRKS) if mode == "c-parity" else frozenset()
