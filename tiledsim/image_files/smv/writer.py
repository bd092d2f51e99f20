"""SMV images: nanoBragg's header, then unsigned 16-bit pixels.

The beam centre is in ADSC's convention, and the beam line is not called "fake" as nanoBragg's is:
dxtbx reads images of a beam line "fake" with the centre a pixel off and one count subtracted.
"""

from collections.abc import Iterable
from pathlib import Path

from tiledsim.image_files.instrument import Instrument

HEADER_BYTES = 512


def smv_header(instrument: Instrument) -> bytes:
    """Return the header of an image of one panel, square to the beam, and one shot."""
    panel = instrument.panels[0]
    fast, slow = panel.size_px
    centre = panel.beam_centre_px
    assert centre is not None  # by who has chosen the format
    pixel, _ = panel.pixel_mm  # square, as who has chosen the format has seen to
    beam_fast, beam_slow = (c * pixel for c in centre)
    o = panel.origin_mm
    start = float(instrument.start_deg[0])
    values = {
        "HEADER_BYTES": HEADER_BYTES, "DIM": 2, "BYTE_ORDER": "little_endian",
        "TYPE": "unsigned_short", "SIZE1": fast, "SIZE2": slow, "PIXEL_SIZE": f"{pixel:.9g}",
        "DISTANCE": f"{panel.distance_mm:.9g}", "WAVELENGTH": f"{instrument.wavelength_A:.9g}",
        "BEAM_CENTER_X": f"{beam_slow:.9g}", "BEAM_CENTER_Y": f"{beam_fast:.9g}",
        "ADXV_CENTER_X": f"{beam_fast:.9g}", "ADXV_CENTER_Y": f"{slow * pixel - beam_slow:.9g}",
        "DENZO_X_BEAM": f"{beam_slow:.9g}", "DENZO_Y_BEAM": f"{beam_fast:.9g}",
        "DIALS_ORIGIN": ",".join(f"{x:.9g}" for x in o),
        "XDS_ORGX": f"{centre[0] + 0.5:.9g}", "XDS_ORGY": f"{centre[1] + 0.5:.9g}",
        "PHI": f"{start:.9g}", "OSC_START": f"{start:.9g}",
        "OSC_RANGE": f"{instrument.width_deg:.9g}", "TIME": f"{instrument.exposure_s:g}",
        "TWOTHETA": 0, "DETECTOR_SN": 0, "DATE": "Sat Jan 01 00:00:00 2000",
        "BEAMLINE": "tiledsim",
    }  # fmt: skip
    text = "{\n" + "".join(f"{key}={value};\n" for key, value in values.items()) + "}\f"
    return text.encode("ascii").ljust(HEADER_BYTES)


def write_smv(path: Path, rows: Iterable[bytes], instrument: Instrument) -> None:
    """Write an image; ``rows`` are its pixels as little-endian uint16, in order."""
    with path.open("wb") as out:
        out.write(smv_header(instrument))
        out.writelines(rows)
