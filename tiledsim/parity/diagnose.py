"""What a pattern of divergences usually means."""

from tiledsim.parity.compare_logs import Comparison

_GEOMETRY = {
    "pix0_vector_meters", "fdet_vec", "sdet_vec", "pixel_pos_meters", "R_distance_meters",
    "close_distance_meters", "obliquity_factor", "diffracted_vec",
}  # fmt: skip
_BEAM = {"incident_vec", "lambda_meters", "lambda_angstroms"}
_RECIPROCAL = {f"rot_{v}_star_A_inv" for v in "abc"}
_ROTATED = {f"rot_{v}_angstroms" for v in "abc"}


def diagnose(comparison: Comparison) -> str:
    """Say in one or two sentences what a comparison suggests, with the size of the effect."""
    out = {k.key for k in comparison.keys if k.status in ("minor", "divergent")}
    if not out:
        missing = comparison.n_missing
        extra = f"; {missing} keys are in one log only" if missing else ""
        return f"All {comparison.n_compared} keys agree within {comparison.tolerance:g}{extra}."
    return f"{_cause(comparison, out)} {_effect(comparison)}".strip()


def _cause(comparison: Comparison, out: set[str]) -> str:
    first = comparison.first_divergence
    if out & {"pix0_vector_meters", "fdet_vec", "sdet_vec"}:
        return (
            "The detectors stand differently: look at beam centre, pivot, convention and "
            "-pix0_vector (quirks pix0_ignored, pivot_override, near_point_ignored, "
            "beam_centre_ignored)."
        )
    if out & _GEOMETRY:
        return "The detector is the same and the place is not: another pixel, subpixel or layer."
    if out & _BEAM:
        return "The sources differ: wavelength, divergence or the order of sources."
    if out & _RECIPROCAL:
        return (
            "The unrotated cells differ: cell, matrix or misset (quirks cell_cstar, "
            "misset_radians)."
        )
    if out & _ROTATED:
        return (
            "Detector, beam and unrotated cell agree and the rotated cell does not: the φ = 0 step "
            "(quirk phi_carryover: nanoBragg keeps the rotation of the evaluation before), or the "
            "first mosaic domain."
        )
    if out & {"hkl_frac", "hkl_rounded"}:
        return "The Miller indices differ, cell and scattering vector agree: rounding at a half."
    if any(key.startswith("F_latt") for key in out):
        return "The lattice factors differ: number of cells, shape of the crystal, or its fudge."
    if "F_cell" in out:
        return (
            "The structure factors differ: the table, default_F, or interpolation (quirk "
            "interpolation_off)."
        )
    if first == "I_before_scaling":
        return (
            "The first step agrees and the sum does not: other φ steps, domains or sources (their "
            "number, order, seed or weights; quirks phi_carryover, float32_spread, "
            "source_weights_ignored), or the water background (quirk water_twice)."
        )
    if out & {"fluence_photons_per_m2", "steps", "r_e_sqr", "r_e_meters"}:
        return "The scale differs: fluence, flux, or the number of steps."
    if out & {"capture_fraction", "polar", "omega_pixel", "omega_pixel_sr", "cos_2theta"}:
        return (
            "A correction differs: sensor, polarization or solid angle (quirks "
            "first_value_corrections, running_product)."
        )
    return f"{first} differs and nothing before it does."


def _effect(comparison: Comparison) -> str:
    effects = []
    for key in ("I_before_scaling", "I_pixel_final"):
        try:
            found = comparison[key]
        except StopIteration:
            continue
        if found.c and found.py and found.c[0] and found.status in ("minor", "divergent"):
            change = 100 * (found.py[0] / found.c[0] - 1)
            word = "lower" if change < 0 else "higher"
            effects.append(f"{key} is {abs(change):.4g} % {word} than in C")
    return f"The effect: {'; '.join(effects)}." if effects else ""
