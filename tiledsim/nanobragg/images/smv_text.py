"""The text of the SMV headers of nanoBragg, nonBragg and noisify, letter by letter."""

import math

from tiledsim.image_files.smv.header import smv_block
from tiledsim.nanobragg.camera import Camera


def opening(pixels: tuple[int, int], pixel_size: float, distance: float, *, bits: int = 16) -> str:
    """Return the lines that all three begin with; ``pixels`` are fast, slow, lengths in m."""
    kind = "unsigned_short" if bits == 16 else "long_integer"
    return (
        f"HEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE={kind};\n"
        f"SIZE1={pixels[0]};\nSIZE2={pixels[1]};\n"
        f"PIXEL_SIZE={pixel_size * 1000.0:.6g};\nDISTANCE={distance * 1000.0:.6g};\n"
    )


CLOSING = "DETECTOR_SN=000;\nBEAMLINE=fake;\n"


def exposure(phi_deg: float, osc_deg: float) -> str:
    """Return the lines about the rotation."""
    return f"PHI={phi_deg:.6g};\nOSC_START={phi_deg:.6g};\nOSC_RANGE={osc_deg:.6g};\n"


def nanobragg_header(camera: Camera) -> bytes:
    """Return the header of nanoBragg's images, which name the beam centre in five conventions."""
    half = 0.5 * camera.pixel_size
    (x, y), (f, s) = camera.beam, camera.beam_fs
    origin = ",".join(f"{value:.6g}" for value in camera.dials_origin)
    text = opening(camera.pixels, camera.pixel_size, camera.distance)
    text += (
        f"WAVELENGTH={camera.wavelength * 1e10:.6g};\n"
        f"BEAM_CENTER_X={x * 1000.0:.6g};\nBEAM_CENTER_Y={y * 1000:.6g};\n"
        f"ADXV_CENTER_X={f * 1000.0:.6g};\nADXV_CENTER_Y={(camera.sides[1] - s) * 1000:.6g};\n"
        f"MOSFLM_CENTER_X={(s - half) * 1000.0:.6g};\n"
        f"MOSFLM_CENTER_Y={(f - half) * 1000:.6g};\n"
        f"DENZO_X_BEAM={s * 1000.0:.6g};\nDENZO_Y_BEAM={f * 1000:.6g};\n"
        f"DIALS_ORIGIN={origin}\n"
        f"XDS_ORGX={camera.org[0]:.6g};\nXDS_ORGY={camera.org[1]:.6g};\n"
        f"CLOSE_DISTANCE={camera.close_distance * 1000.0:.6g};\n"
        + exposure(math.degrees(camera.phi), math.degrees(camera.osc))
        + f"TWOTHETA={math.degrees(camera.two_theta):.6g};\n"
        + CLOSING
    )
    return smv_block(text)
