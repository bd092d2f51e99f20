"""Values as colours: limits, linear or logarithmic scale, colour maps."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import ExperimentError

MAPS: Final = ("grey", "inferno", "viridis", "cividis", "magma")
"""``grey`` is dark where the value is high, as on film."""
SCALES: Final = ("log", "linear")
DECADES: Final = 5.0
"""That a logarithmic scale spans at most."""
NOTHING: Final = (205, 214, 224)
"""Colour of pixels without a value."""


@dataclass(frozen=True)
class Contrast:
    """From values to shares of a colour map."""

    low: float
    high: float
    scale: str = "log"

    def share(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return where values are between the limits, 0 to 1; NaN stays."""
        low, high = self.low, self.high
        if self.scale == "log":
            values = np.log(np.maximum(values, low))
            low, high = np.log(low), np.log(high)
        return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0), dtype=np.float64)


def choose_contrast(
    values: NDArray[Any], scale: str = "log", low: float | None = None, high: float | None = None
) -> Contrast:
    """Choose limits that show both the background and the spots of values; NaN counts as nothing.

    Those given stay.  Raises ExperimentError for limits that do not go with the scale.
    """
    if scale not in SCALES:
        raise ExperimentError(f"`scale={scale}`: must be log or linear")
    for value in (low, high):
        if value is not None and not (np.isfinite(value) and (scale == "linear" or value > 0)):
            raise ExperimentError(f"{value:g} is no limit of a {scale} scale; give one above 0")
    found = values[np.isfinite(values)]
    if scale == "log":
        found = found[found > 0]
    if not found.size:
        found = np.array([1.0])
    if scale == "log":
        top = float(np.percentile(found, 99.9)) if high is None else high
        typical = float(np.percentile(found, 20))
        bottom = max(typical, top / 10**DECADES) if low is None else low
    else:
        top = float(np.percentile(found, 99.5)) if high is None else high
        bottom = min(0.0, float(found.min())) if low is None else low
    if high is None and top <= bottom:
        top = max(float(found.max()), bottom * 10 if bottom > 0 else bottom + 1.0)
    if low is None and top <= bottom:
        bottom = top / 10 if scale == "log" else top - 1.0
    if top <= bottom:
        raise ExperimentError(f"the limits {bottom:g} and {top:g} leave nothing between them")
    return Contrast(bottom, top, scale)


def colour_table(name: str) -> NDArray[np.uint8]:
    """Return the 256 colours [256, 3] of a map.  Raises ExperimentError for an unknown one."""
    if name not in MAPS:
        raise ExperimentError(f"`colours={name}`: must be one of {', '.join(MAPS)}")
    if name == "grey":
        return np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    from bokeh import palettes

    words = getattr(palettes, f"{name.capitalize()}256")
    return np.array([tuple(bytes.fromhex(word[1:7])) for word in words], dtype=np.uint8)


def coloured(values: NDArray[Any], contrast: Contrast, name: str) -> NDArray[np.uint8]:
    """Return values [rows, cols] as red, green and blue [rows, cols, 3]."""
    share = contrast.share(values)
    missing = np.isnan(share)
    rgb: NDArray[np.uint8] = colour_table(name)[(np.where(missing, 0.0, share) * 255.0).astype(int)]
    rgb[missing] = NOTHING
    return rgb
