"""Two whole images, pixel by pixel."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiledsim.errors import InputFileError
from tiledsim.io.text import file_size, read_bytes, read_start

EDGES = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, math.inf)
"""Edges of the histogram of relative differences."""


@dataclass(frozen=True)
class ImageComparison:
    """Image B against image A, the reference."""

    pixels: int
    largest_relative: float
    largest_relative_slow: int
    largest_relative_fast: int
    largest_absolute: float
    out_of_tolerance: int
    tolerance: float
    correlation: float
    ratio_of_sums: float
    histogram: tuple[tuple[float, float, int], ...]
    """Relative difference from, to, and the pixels between."""
    trace_slow: int
    trace_fast: int
    """The pixel that adds most to the difference: the one to trace next."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        plain = asdict(self)
        plain["first_divergence"] = "image" if self.out_of_tolerance else None
        plain["histogram"] = [[low, str(high), n] for low, high, n in self.histogram]
        return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v
                for k, v in plain.items()}  # fmt: skip

    def text(self) -> str:
        """Return the comparison for people."""
        lines = [
            f"{self.pixels:,} pixels, {self.out_of_tolerance:,} of them beyond {self.tolerance:g}",
            f"largest relative difference {self.largest_relative:.4g} at slow "
            f"{self.largest_relative_slow}, fast {self.largest_relative_fast}; largest absolute "
            f"{self.largest_absolute:.4g}",
            f"correlation {self.correlation:.12g}, ratio of sums B/A {self.ratio_of_sums:.12g}",
            *(f"  {low:>7.0e} … {high:<7.0e} {n:>12,}" for low, high, n in self.histogram if n),
            f"trace next: --pixel {self.trace_slow} {self.trace_fast}",
        ]
        return "\n".join(lines)


def read_image(path: Path, shape: tuple[int, int] | None) -> NDArray[np.float64]:
    """Read an image [slow, fast]: SMV, or raw float32.

    Raises InputFileError for what cannot be read, or a raw file without its shape.
    """
    if read_start(path, "image", 1) == b"{" and path.suffix == ".img":
        from tiledsim.image_files.smv.image import read_smv

        return read_smv(path).image.astype(np.float64)
    if shape is None:
        raise InputFileError(f"{path}: a raw image needs its shape; give --shape SLOW FAST")
    size = file_size(path, "image")
    if size != 4 * shape[0] * shape[1]:
        raise InputFileError(
            f"{path}: {size} bytes; {shape[0]} x {shape[1]} float32 pixels are "
            f"{4 * shape[0] * shape[1]}"
        )
    return np.frombuffer(read_bytes(path, "image"), dtype="<f4").reshape(shape).astype(np.float64)


def compare_images(
    a: NDArray[np.float64], b: NDArray[np.float64], *, rtol: float = 1e-6
) -> ImageComparison:
    """Compare image B with the reference A, both [slow, fast].

    A pixel is within tolerance at ``rtol`` relative, with a floor of 1e-12 of the maximum of A.
    Raises InputFileError for images of different shapes.
    """
    if a.shape != b.shape:
        raise InputFileError(f"the images have different shapes: {a.shape} and {b.shape}")
    delta = np.nan_to_num(np.abs(b - a), nan=math.inf)
    floor = 1e-12 * float(np.nanmax(np.abs(a)))
    relative = delta / np.maximum(np.nan_to_num(np.abs(a)), max(floor, 1e-300))
    out = delta > rtol * np.abs(np.nan_to_num(a)) + floor
    worst = np.unravel_index(int(relative.argmax()), a.shape)
    most = np.unravel_index(int(delta.argmax()), a.shape)
    counts = np.histogram(np.minimum(relative, 1e300), bins=[*EDGES[:-1], np.inf])[0]
    total = float(np.nansum(a))
    return ImageComparison(
        pixels=a.size,
        largest_relative=float(relative.max()),
        largest_relative_slow=int(worst[0]),
        largest_relative_fast=int(worst[1]),
        largest_absolute=float(delta.max()),
        out_of_tolerance=int(out.sum()),
        tolerance=rtol,
        correlation=_correlation(a, b),
        ratio_of_sums=float(np.nansum(b)) / total if total else math.nan,
        histogram=tuple(zip(EDGES[:-1], EDGES[1:], map(int, counts), strict=True)),
        trace_slow=int(most[0]),
        trace_fast=int(most[1]),
    )


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    x, y = a - np.nanmean(a), b - np.nanmean(b)
    scale = math.sqrt(float(np.nansum(x * x)) * float(np.nansum(y * y)))
    return float(np.nansum(x * y)) / scale if scale else math.nan
