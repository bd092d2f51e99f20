"""The full imgCIF header of a CBF image: a panel however it stands, goniometer and scan.

The categories are those of the imgCIF dictionary (International Tables G, chapter 4.6) that CBFlib
needs to construct a detector, a goniometer and a beam.
"""

from collections.abc import Sequence

import numpy as np

from tiledsim.image_files.instrument import Instrument
from tiledsim.vectors import Array

_OFFSET = ["offset[1]", "offset[2]", "offset[3]"]
_VECTOR = ["vector[1]", "vector[2]", "vector[3]"]


def imgcif_header(name: str, instrument: Instrument, saturation: int) -> str:
    """Return the text before the binary section, for one panel and one shot."""
    panel = instrument.panels[0]
    fast, slow = panel.size_px
    start, width = float(instrument.start_deg[0]), instrument.width_deg
    turns = width > 0
    axes = [
        ["SOURCE", "general", "source", ".", *_numbers([0, 0, 1]), *"..."],
        ["GRAVITY", "general", "gravity", ".", *_numbers([0, -1, 0]), *"..."],
        ["DETECTOR_Z", "translation", "detector", ".", *_numbers([0, 0, -1]), *_numbers([0, 0, 0])],
        ["ELEMENT_X", "translation", "detector", "DETECTOR_Z", *_numbers(panel.fast),
         *_numbers(panel.origin_mm)],
        ["ELEMENT_Y", "translation", "detector", "ELEMENT_X", *_numbers(panel.slow),
         *_numbers([0, 0, 0])],
    ]  # fmt: skip
    settings = [["SCAN1", "DETECTOR_Z", *_numbers([0, 0, 0, 0, 0, 0])]]
    places = [["FRAME1", "DETECTOR_Z", *_numbers([0, 0])]]
    goniometer: list[str] = []
    if turns:
        spindle = _numbers(instrument.spindle)
        axes.insert(0, ["GONIOMETER_PHI", "rotation", "goniometer", ".", *spindle, *"..."])
        settings.append(["SCAN1", "GONIOMETER_PHI", *_numbers([start, width, width, 0, 0, 0])])
        places.append(["FRAME1", "GONIOMETER_PHI", *_numbers([start, 0])])
        goniometer = [
            *_loop("diffrn_measurement", "diffrn_id id number_of_axes method",
                   [["DIFFRN1", "GONIOMETER", "1", "rotation"]]),
            *_loop("diffrn_measurement_axis", "measurement_id axis_id",
                   [["GONIOMETER", "GONIOMETER_PHI"]]),
        ]  # fmt: skip
    # CBFlib counts pixels from their outer corner, so the first stands at displacement 0.
    across, down = panel.pixel_mm
    metres = _numbers([across * 1e-3, down * 1e-3])
    lines = [
        "###CBF: VERSION 1.5, tiledsim", "", f"data_{name}", "",
        *_loop("diffrn", "id crystal_id", [["DIFFRN1", "CRYSTAL1"]]),
        *_loop("diffrn_source", "diffrn_id source", [["DIFFRN1", "simulation"]]),
        *_loop(
            "diffrn_radiation",
            "diffrn_id wavelength_id probe polarizn_source_ratio polarizn_source_norm "
            "div_x_source div_y_source div_x_y_source",
            [["DIFFRN1", "WAVELENGTH1", "x-ray", *_polarization(instrument), *_numbers([0, 0, 0])]],
        ),
        *_loop("diffrn_radiation_wavelength", "id wavelength wt",
               [["WAVELENGTH1", *_numbers([instrument.wavelength_A, 1])]]),
        *_loop("diffrn_detector", "diffrn_id id number_of_axes", [["DIFFRN1", "DETECTOR", "1"]]),
        *_loop("diffrn_detector_axis", "detector_id axis_id", [["DETECTOR", "DETECTOR_Z"]]),
        *_loop("diffrn_detector_element", "id detector_id", [["ELEMENT", "DETECTOR"]]),
        *_loop("diffrn_data_frame", "id detector_element_id array_id binary_id",
               [["FRAME1", "ELEMENT", "ARRAY1", "1"]]),
        *goniometer,
        *_loop("diffrn_scan", "id frame_id_start frame_id_end frames",
               [["SCAN1", "FRAME1", "FRAME1", "1"]]),
        *_loop(
            "diffrn_scan_axis",
            "scan_id axis_id angle_start angle_range angle_increment displacement_start "
            "displacement_range displacement_increment",
            settings,
        ),
        *_loop("diffrn_scan_frame", "frame_id frame_number integration_time scan_id date",
               [["FRAME1", "1", *_numbers([instrument.exposure_s]), "SCAN1",
                 "2000-01-01T00:00:00.000"]]),
        *_loop("diffrn_scan_frame_axis", "frame_id axis_id angle displacement", places),
        *_loop("axis", " ".join(["id", "type", "equipment", "depends_on", *_VECTOR, *_OFFSET]),
               axes),
        *_loop(
            "array_structure_list", "array_id index dimension precedence direction axis_set_id",
            [["ARRAY1", "1", str(fast), "1", "increasing", "ELEMENT_X"],
             ["ARRAY1", "2", str(slow), "2", "increasing", "ELEMENT_Y"]],
        ),
        *_loop(
            "array_structure_list_axis", "axis_set_id axis_id displacement displacement_increment",
            [["ELEMENT_X", "ELEMENT_X", *_numbers([0, across])],
             ["ELEMENT_Y", "ELEMENT_Y", *_numbers([0, down])]],
        ),
        *_loop(
            "array_element_size", "array_id index size",
            [["ARRAY1", "1", metres[0]], ["ARRAY1", "2", metres[1]]],
        ),
        *_loop(
            "array_intensities",
            "array_id binary_id linearity gain gain_esd overload undefined_value",
            [["ARRAY1", "1", "linear", "1.0", "0.0", str(saturation), "-1"]],
        ),
        *_loop("array_structure", "id encoding_type compression_type byte_order",
               [["ARRAY1", "signed 32-bit integer", "byte_offset", "little_endian"]]),
    ]  # fmt: skip
    # No loop: fabio finds the pixels under their name alone.
    lines += ["_array_data.array_id ARRAY1", "_array_data.binary_id 1", "_array_data.data"]
    return "\n".join(lines)


def _numbers(values: Sequence[float] | Array) -> list[str]:
    """Write numbers so that the same ones are read back."""
    return [repr(float(value) + 0.0) for value in values]


def _loop(category: str, items: str, rows: list[list[str]]) -> list[str]:
    quoted = [[f'"{word}"' if " " in word else word for word in row] for row in rows]
    return [
        "loop_", *(f"_{category}.{item}" for item in items.split()),
        *(" ".join(row) for row in quoted), "",
    ]  # fmt: skip


def _polarization(instrument: Instrument) -> list[str]:
    """Return ratio and norm: (Ip − In)/(Ip + In), and the angle of the normal of the plane that
    holds the preferred direction, from +x as seen from the source.
    """
    x, y, _ = instrument.polarization_axis
    norm = np.degrees(np.arctan2(y, x))
    return _numbers([instrument.polarization, 0.0 if abs(norm) < 1e-12 else float(norm)])
