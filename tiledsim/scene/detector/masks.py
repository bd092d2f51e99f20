"""Which pixels are rendered: a mask of single pixels, rectangles, and panels of different sizes."""

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError
from tiledsim.experiment import Detector
from tiledsim.scene.detector.pixel_files import read_pixels


def load_mask(detector: Detector, *, linear: bool = False) -> NDArray[np.bool_] | None:
    """Return what is rendered, [slow, fast] or [panel, slow, fast]; None for all.

    True where a pixel is rendered: where the file is neither 0 nor NaN (in a NeXus file: where
    pixel_mask is 0), no rectangle of ``masked_px`` lies, and the panel has pixels.  ``linear``
    takes a larger SMV image as nanoBragg does: its pixels one after the other, whatever the length
    of its rows.
    """
    mask = _of_file(detector, linear=linear)
    fast, slow = detector.size_px
    by_panel = any(panel.size_px or panel.masked_px for panel in detector.panels)
    if by_panel and (mask is None or mask.ndim == 2):
        shape = (len(detector.panels), slow, fast)
        mask = np.array(np.broadcast_to(True if mask is None else mask, shape), dtype=np.bool_)
    elif detector.masked_px and mask is None:
        mask = np.ones((slow, fast), dtype=np.bool_)
    if mask is None:
        return None
    for f0, f1, s0, s1 in detector.masked_px:
        mask[..., s0 : s1 + 1, f0 : f1 + 1] = False
    if by_panel:
        for number, panel in enumerate(detector.panels):
            for f0, f1, s0, s1 in panel.masked_px:
                mask[number, s0 : s1 + 1, f0 : f1 + 1] = False
            if panel.size_px is not None:
                mask[number, panel.size_px[1] :] = False
                mask[number, :, panel.size_px[0] :] = False
    if not mask.any():
        raise ExperimentError(
            f"{detector.mask_file or 'detector.masked_px'}: the mask leaves no pixel to render; "
            "pixels that are 0 or NaN, or in a rectangle of masked_px, are masked"
        )
    return mask


def _of_file(detector: Detector, *, linear: bool) -> NDArray[np.bool_] | None:
    path = detector.mask_file
    if path is None:
        return None
    fast, slow = detector.size_px
    panels = max(1, len(detector.panels))
    if path.suffix in (".h5", ".nxs", ".hdf5", ".nx5"):
        from tiledsim.geometry_files.nxmx import read_nxmx_mask

        good = read_nxmx_mask(path)
        if good.shape != (panels, slow, fast):
            raise ExperimentError(
                f"{path}: its mask has {good.shape} pixels (panel, slow, fast), the detector "
                f"{(panels, slow, fast)}"
            )
        return good if panels > 1 else good[0]
    return read_pixels(path, "the mask", panels, slow, fast, linear=linear)
