"""The header of a miniCBF, as Dectris' programs write it: one flat panel square to the beam.

dxtbx's FormatCBFMini, XDS and fabio read the values by the first word of their lines.
"""

import numpy as np

from tiledsim.image_files.instrument import FlatPanel, Instrument
from tiledsim.units import HC_EV_A

DETECTORS = {
    (487, 195, 0.172): "PILATUS 100K",
    (487, 619, 0.172): "PILATUS 300K",
    (1475, 1679, 0.172): "PILATUS 2M",
    (2463, 2527, 0.172): "PILATUS 6M",
    (1030, 1065, 0.075): "EIGER 1M",
    (2070, 2167, 0.075): "EIGER 4M",
    (3110, 3269, 0.075): "EIGER 9M",
    (4150, 4371, 0.075): "EIGER 16M",
    (1028, 1062, 0.075): "EIGER2 1M",
    (2068, 2162, 0.075): "EIGER2 4M",
    (3108, 3262, 0.075): "EIGER2 9M",
    (4148, 4362, 0.075): "EIGER2 16M",
}
"""Detectors by fast and slow pixels and pixel size [mm], as ESRF's pyFAI has them
(``pyFAI/detectors/_dectris.py``)."""
GENERIC = "GENERIC_MINI"
"""The convention for any other: readers then mask no gaps of modules."""
_MATERIALS = {"Si": "Silicon", "CdTe": "CdTe"}


def fits_minicbf(instrument: Instrument) -> bool:
    """Whether a miniCBF header can say where the panel stands: square to the beam, fast along +x
    (as the rotation axis) and slow along −y.
    """
    if len(instrument.panels) != 1 or instrument.curved:
        return False
    panel = instrument.panels[0]
    axes = ((panel.fast, [1, 0, 0]), (panel.slow, [0, -1, 0]), (instrument.spindle, [1, 0, 0]))
    behind = panel.origin_mm[2] < 0
    return bool(behind and all(np.abs(axis - wanted).max() < 1e-9 for axis, wanted in axes))


def detector_name(panel: FlatPanel) -> str:
    """Name the detector that has these pixels; empty where none is known."""
    across, down = (round(side, 6) for side in panel.pixel_mm)
    return DETECTORS.get((*panel.size_px, across), "") if across == down else ""


def minicbf_header(
    name: str, instrument: Instrument, saturation: int, *, has_gaps: bool = False
) -> str:
    """Return the text before the binary section.

    ``has_gaps`` says that the simulated detector has the gaps of the real one; readers mask the
    gaps of a detector that is named.
    """
    panel = instrument.panels[0]
    known = detector_name(panel) if has_gaps else ""
    convention = "PILATUS_1.2" if known else GENERIC
    detector = f"{known}, S/N 0, simulated by tiledsim" if known else "tiledsim, S/N 0"
    centre = panel.beam_centre_px
    assert centre is not None  # by fits_minicbf
    across, down = (f"{side * 1e-3:.9g}" for side in panel.pixel_mm)
    start = float(instrument.start_deg[0])
    sensor = instrument.sensor
    material = _MATERIALS.get(sensor.material) if sensor else None
    lines = [
        f"# Detector: {detector}",
        "# 2000-01-01T00:00:00.000",
        f"# Pixel_size {across} m x {down} m",
        f"# Exposure_time {instrument.exposure_s:.7f} s",
        f"# Exposure_period {instrument.exposure_s:.7f} s",
        "# Tau = 0 s",
        f"# Count_cutoff {saturation} counts",
        f"# Threshold_setting: {HC_EV_A / instrument.wavelength_A / 2:.0f} eV",
        "# N_excluded_pixels = 0",
        "# Excluded_pixels: (nil)",
        "# Flat_field: (nil)",
        "# Trim_file: (nil)",
        "# Image_path: /",
        f"# Wavelength {instrument.wavelength_A:.9f} A",
        f"# Detector_distance {panel.distance_mm * 1e-3:.9f} m",
        f"# Beam_xy ({centre[0]:.6f}, {centre[1]:.6f}) pixels",
        "# Filter_transmission 1.0000",
        f"# Start_angle {start:.6f} deg.",
        f"# Angle_increment {instrument.width_deg:.6f} deg.",
        f"# Polarization {(1 + instrument.polarization) / 2:.6f}",
        "# Detector_2theta 0.0000 deg.",
        "# Kappa 0.0000 deg.",
        f"# Phi {start:.6f} deg.",
        "# N_oscillations 1",
    ]
    if sensor is not None and material is not None:
        lines.insert(3, f"# {material} sensor, thickness {sensor.thickness_mm * 1e-3:.9f} m")
    head = [
        "###CBF: VERSION 1.5, tiledsim", "", f"data_{name}", "",
        f'_array_data.header_convention "{convention}"', "_array_data.header_contents", ";",
    ]  # fmt: skip
    return "\n".join([*head, *lines, ";", "", "_array_data.data"])
