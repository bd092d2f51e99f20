"""What a person wrote, held against itself.

Two values that say one thing in two ways are refused, as a wavelength beside an energy is; a value
that changes nothing beside the others is told of.  Rules look at the keys that were given, so a
default never contradicts anything.  In the mode c-parity, where nanoBragg has an order of its own
for values that contradict each other, that order holds and a note says so.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

Given = Mapping[str, Any]
"""Values by dotted key; None counts as not given."""

SOFTEST_EV: Final = 100.0
"""An energy below this is most likely one in keV."""


@dataclass(frozen=True)
class Finding:
    """Something that does not go together."""

    keys: tuple[str, ...]
    text: str
    contradiction: bool
    """Whether two values exclude each other; else one merely has no effect."""


def given_values(part: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return the values that somebody set, by dotted key, defaults left out."""
    found: dict[str, Any] = {}
    for name in part.model_fields_set:
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            found |= given_values(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = value
    return found


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted key."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found


def findings(given: Given) -> list[Finding]:
    """Return everything about the given values that does not go together.

    Values of a wrong type, which are refused elsewhere, are passed over.
    """
    found: list[Finding] = []
    for rule in (_twice, _sweeps, _sources, _panels, _placed_origin, _crystal, _factors, _beam,
                 _sampling, _detector, _shots):  # fmt: skip
        try:
            found += rule(given)
        except (TypeError, ValueError, AttributeError, OverflowError, KeyError, IndexError):
            continue
    return found


def contradictions(given: Given) -> list[str]:
    """Return a line for each contradiction; none in the mode c-parity, which has an order."""
    if given.get("mode") == "c-parity":
        return []
    return [finding.text for finding in findings(given) if finding.contradiction]


def notes(given: Given) -> list[str]:
    """Return a line for each value without effect."""
    parity = given.get("mode") == "c-parity"
    told = []
    for finding in findings(given):
        if not finding.contradiction:
            told.append(finding.text)
        elif parity:
            told.append(f"{finding.text} (mode c-parity: nanoBragg's order of precedence holds)")
    return told


def _clash(given: Given, one: str, other: str, why: str = "give one") -> Iterator[Finding]:
    if one in given and other in given:
        yield Finding((one, other), f"{one} and {other} are both given; {why}", True)


def _idle(given: Given, keys: tuple[str, ...], why: str) -> Iterator[Finding]:
    present = tuple(key for key in keys if key in given)
    if present:
        verb = "has" if len(present) == 1 else "have"
        yield Finding(present, f"{', '.join(present)} {verb} no effect: {why}", False)


def _excluded(given: Given, keys: tuple[str, ...], why: str) -> Iterator[Finding]:
    present = tuple(key for key in keys if key in given)
    if present:
        verb = "is" if len(present) == 1 else "are"
        yield Finding(present, f"{', '.join(present)} {verb} not used: {why}", True)


def _twice(given: Given) -> Iterator[Finding]:
    """Two keys for one quantity."""
    yield from _clash(given, "detector.distance_mm", "detector.close_distance_mm",
                      "give one: the distance along the beam, or that of the plane")  # fmt: skip
    if given.get("beam.flux_photons_per_s"):
        yield from _clash(given, "beam.fluence_photons_per_m2", "beam.flux_photons_per_s",
                          "a flux over the beam's size is a fluence: give one")  # fmt: skip
    for axis, (x, org) in enumerate((("near_x_mm", "org_x_px"), ("near_y_mm", "org_y_px"))):
        beam = ("beam_x_mm", "beam_y_mm")[axis]
        yield from _clash(given, f"detector.{org}", f"detector.{x}",
                          "both are the point nearest to the sample: give one")  # fmt: skip
        # With the convention's own axes a beam centre along x need not be that of the near
        # point's, so that either pair excludes the other as a whole.
        for near in (org, x):
            for other in ("beam_x_mm", "beam_y_mm"):
                if beam == other or f"detector.{beam}" not in given:
                    yield from _clash(given, f"detector.{near}", f"detector.{other}",
                                      "the beam centre and the nearest point each place the "
                                      "detector: give one")  # fmt: skip
    cells, size = given.get("crystal.cells"), given.get("crystal.size_mm")
    if cells is not None and size is not None and any(length > 0 for length in size):
        yield from _clash(given, "crystal.cells", "crystal.size_mm",
                          "a size is turned into cells: give one")  # fmt: skip


_SWEEPS: Final[tuple[tuple[str, str, str], ...]] = (
    ("beam.hdiv_steps", "beam.hdiv_range_mrad", "beam.hdiv_step_mrad"),
    ("beam.vdiv_steps", "beam.vdiv_range_mrad", "beam.vdiv_step_mrad"),
    ("beam.dispersion_steps", "beam.dispersion_percent", ""),
)


def _sweeps(given: Given) -> Iterator[Finding]:
    """Count, range and step of a sweep: what comes out must be what was given."""
    for keys in _SWEEPS:
        count, extent, step = (given.get(key) for key in keys)
        if keys[1] == "beam.dispersion_percent" and not extent:
            yield from _idle(given, keys[:1], "beam.dispersion_percent is 0")
        elif extent is not None and count is not None:
            said = ""
            if (count > 1) != (extent > 0):
                said = "several points need a range above 0, and a range above 0 several points"
            elif step is not None and not _close(step * (count - 1), extent):
                said = f"{count} points, {step:g} apart, span {step * (count - 1):g}"
            if said:
                yield _disagreement(given, keys, said)
    keys = ("rotation.steps", "rotation.range_deg", "rotation.step_deg")
    count, extent, step = given.get(keys[0]), given.get(keys[1]), given.get(keys[2])
    if (
        count is not None
        and extent is not None
        and step is not None
        and not _close(count * step, extent)
    ):
        yield _disagreement(given, keys, f"{count} x {step:g} = {count * step:g}")
    elif count == 1 and "rotation.frames" not in given:
        yield from _idle(given, keys[1:], "there is one φ step, at rotation.start_deg")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _disagreement(given: Given, keys: tuple[str, ...], why: str) -> Finding:
    present = tuple(key for key in keys if key in given)
    shown = ", ".join(f"{key} = {given[key]:g}" for key in present)
    return Finding(present, f"{shown} do not agree: {why}; leave one out", True)


_DIVERGENCE: Final = tuple(
    f"beam.{axis}div_{what}" for axis in "hv" for what in ("range_mrad", "step_mrad", "steps")
)
_DISPERSION: Final = ("beam.dispersion_percent", "beam.dispersion_steps")


def _sources(given: Given) -> Iterator[Finding]:
    if "beam.source_file" in given:
        yield from _excluded(given, (*_DIVERGENCE, *_DISPERSION),
                             "beam.source_file lists the sources")  # fmt: skip
        yield from _idle(given, ("beam.round_divergence",), "beam.source_file lists the sources")
        for key in ("beam.wavelength_A", "beam.energy_eV"):
            if key in given:
                only = "lines of beam.source_file without a wavelength, a matrix file and the "
                yield Finding((key,), f"{key} serves {only}automatic oversampling only", False)
        return
    spectral = any(key.startswith("beam.spectrum.") or key == "beam.spectrum" for key in given)
    if spectral:
        yield from _excluded(given, _DISPERSION, "beam.spectrum lists the wavelengths")
        serves = "crystal.mosflm_matrix_file" in given or (
            given.get("sampling.oversample", "auto") == "auto"
        )
        if not serves:
            yield from _idle(given, ("beam.wavelength_A", "beam.energy_eV"),
                             "beam.spectrum has the wavelengths, and neither a matrix file nor "
                             "the automatic oversampling asks for a central one")  # fmt: skip
    divergent = [
        any(given.get(f"beam.{axis}div_{what}") for what in ("range_mrad", "step_mrad"))
        or given.get(f"beam.{axis}div_steps", 1) > 1
        for axis in "hv"
    ]
    if not all(divergent):
        yield from _idle(given, ("beam.round_divergence",),
                         "the beam does not diverge both ways")  # fmt: skip


_PLACEMENT: Final = tuple(
    f"detector.{name}"
    for name in ("distance_mm", "close_distance_mm", "beam_x_mm", "beam_y_mm", "near_x_mm",
                 "near_y_mm", "org_x_px", "org_y_px", "pivot")
)  # fmt: skip


def _panels(given: Given) -> Iterator[Finding]:
    if given.get("detector.panels"):
        axes = ("fast_axis", "slow_axis", "normal", "two_theta_axis", "rotation_deg",
                "two_theta_deg", "pix0_mm")  # fmt: skip
        yield from _excluded(given, (*_PLACEMENT, *(f"detector.{name}" for name in axes)),
                             "each of detector.panels has its own origin and axes")  # fmt: skip
        if "detector.convention" in given:
            yield Finding(("detector.convention",), "detector.convention gives the directions of "
                          "the beam and of the axes only: detector.panels stand by themselves",
                          False)  # fmt: skip


def _placed_origin(given: Given) -> Iterator[Finding]:
    if "detector.pix0_mm" in given and not given.get("detector.panels"):
        if "pix0_ignored" in given.get("quirks", ()):
            return
        yield from _idle(given, _PLACEMENT, "detector.pix0_mm places the detector")


def _crystal(given: Given) -> Iterator[Finding]:
    if given.get("crystal.misset_deg") != "random":
        yield from _idle(given, ("crystal.misset_seed",), "crystal.misset_deg is not 'random'")
    if given.get("crystal.shape", "square") == "square":
        yield from _idle(given, ("crystal.fudge",), "crystal.shape = 'square' has no width")
    mosaic = "crystal.mosaic."
    if mosaic + "matrices_file" in given:
        yield from _excluded(given, (mosaic + "spread_deg", mosaic + "domains"),
                             "crystal.mosaic.matrices_file lists the domains")  # fmt: skip
        yield from _idle(given, (mosaic + "seed",), "nothing is drawn")
    elif not given.get(mosaic + "spread_deg") and (mosaic + "spread_abc_deg") not in given:
        yield from _idle(given, (mosaic + "domains", mosaic + "seed"), "the spread is 0")
    elif given.get(mosaic + "domains") == 1:
        yield from _idle(given, (mosaic + "spread_deg", mosaic + "seed"),
                         "the first domain, here the only one, is not turned")  # fmt: skip
    table = ("structure_factors.hkl_file", "structure_factors.fdump_file", "structure_factors.file")
    if not any(key in given for key in table):
        yield from _idle(given, ("structure_factors.interpolate",), "there is no table")


_OF_A_FILE: Final = tuple(
    f"structure_factors.{name}"
    for name in ("format", "columns", "intensities", "scale", "fill_missing", "model_file",
                 "dmin_A", "solvent_k_e_per_A3", "solvent_B_A2", "f_prime", "anomalous")
)  # fmt: skip


def _factors(given: Given) -> Iterator[Finding]:
    if "structure_factors.file" not in given:
        yield from _idle(given, (*_OF_A_FILE, "crystal.space_group"),
                         "it serves structure_factors.file, which is not given")  # fmt: skip


def _beam(given: Given) -> Iterator[Finding]:
    energy = given.get("beam.energy_eV")
    if energy is not None and not isinstance(energy, bool | str) and energy < SOFTEST_EV:
        yield Finding(
            ("beam.energy_eV",),
            f"beam.energy_eV = {energy:g} is {energy:g} eV, a wavelength of {12398.42 / energy:g} "
            f"Å; for keV write {1000 * energy:g}",
            True,
        )
    if not given.get("beam.flux_photons_per_s"):
        yield from _idle(given, ("beam.flux_photons_per_s",),
                         "a flux of 0 stands for none, and the fluence counts")  # fmt: skip
        yield from _idle(given, ("beam.exposure_s",), "no beam.flux_photons_per_s is given")
        size = given.get("crystal.size_mm", (0, 0, 0))
        illuminated = ("crystal.size_um", "crystal.volume_um3", "beam.profile")
        lit = any(key in given for key in (*illuminated, "background.layers"))
        if given.get("beam.beamsize_mm", 0.0) >= max(size[1:]) and not lit:
            yield from _idle(given, ("beam.beamsize_mm",),
                             "no flux is given, and the beam clips no crystal.size_mm")  # fmt: skip
    lit_by = ("crystal.size_um", "crystal.volume_um3", "background.layers")
    if not any(key in given for key in lit_by):
        yield from _idle(given, ("beam.profile",),
                         "no crystal.size_um or volume_um3 says what is illuminated, and there are "
                         "no background.layers")  # fmt: skip
    if given.get("beam.polarization_correction") is False:
        yield from _idle(given, ("beam.polarization",), "beam.polarization_correction is off")
    polarized = given.get("beam.polarization") and given.get("beam.polarization_correction", True)
    divergent = "beam.source_file" not in given and any(given.get(key) for key in _DIVERGENCE)
    if not polarized and not divergent:
        yield from _idle(given, ("beam.polarization_axis",),
                         "the beam is not polarized and does not diverge")  # fmt: skip


def _sampling(given: Given) -> Iterator[Finding]:
    ways = tuple(f"sampling.oversample_{name}" for name in ("thick", "polar", "omega"))
    quirks = given.get("quirks")
    parity = given.get("mode") == "c-parity"
    active = {"first_value_corrections", "running_product"} & set(
        quirks if quirks is not None else ("running_product",) if parity else ()
    )
    if not active:
        yield from _idle(given, ways, "every subpixel has corrections of its own here, which "
                         "only nanoBragg's quirks change")  # fmt: skip


def _detector(given: Given) -> Iterator[Finding]:
    sensor = "detector.sensor."
    depth = given.get(sensor + "depth_um")
    if depth == 0:
        yield from _idle(given, (sensor + "thickness_um", sensor + "layers"),
                         "detector.sensor.depth_um = 0 switches the sensor off")  # fmt: skip
    elif not given.get(sensor + "thickness_um"):
        yield from _idle(given, (sensor + "depth_um", sensor + "material", sensor + "layers"),
                         "detector.sensor.thickness_um is 0")  # fmt: skip
    if not given.get("detector.two_theta_deg"):
        yield from _idle(given, ("detector.two_theta_axis",), "detector.two_theta_deg is 0")
    still = not given.get("rotation.start_deg") and not any(
        given.get(f"rotation.{name}") for name in ("range_deg", "step_deg", "steps")
    )
    if still:
        yield from _idle(given, ("rotation.axis",), "the crystal is not rotated")


def _shots(given: Given) -> Iterator[Finding]:
    if given.get("shots.orientation") != "random":
        yield from _idle(given, ("shots.seed",), "shots.orientation is not 'random'")
