"""A picture of a detector as PNG: pixels, rings, spots, a scale bar and what is shown.

It takes what is to be drawn in the picture's own pixels and knows neither scenes nor stores.
"""

import io
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tiledsim.image_files.pictures.colours import Contrast, colour_table, coloured
from tiledsim.vectors import Array

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

RING = (30, 110, 200)
SPOT = (210, 40, 40)
INK = (40, 44, 52)
PAPER = (255, 255, 255)
BACKDROP = (238, 240, 243)


@dataclass(frozen=True)
class Ring:
    """A line of equal resolution."""

    label: str
    segments: Array
    """[n, 2 ends, 2 (x, y)]."""


@dataclass(frozen=True)
class Spot:
    """A predicted reflection."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class Drawing:
    """All that a picture shows; places are (x, y) in its pixels, from the outer corner."""

    values: NDArray[np.float32]
    """[rows, cols]; NaN where nothing is known."""
    covered: NDArray[np.bool_]
    """[rows, cols]: where there is a detector."""
    contrast: Contrast
    colours: str
    caption: str
    unit: str
    pixels_per_mm: float
    rings: list[Ring] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    beam: tuple[float, float] | None = None

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        from PIL import Image, ImageDraw

        rgb = coloured(self.values, self.contrast, self.colours)
        rgb[~self.covered] = BACKDROP
        rows, cols = self.values.shape
        size = max(11, min(22, cols // 55))
        strip = int(size * 2.6)
        width = max(cols, 40 * size)
        left = (width - cols) // 2
        whole = Image.new("RGB", (width, rows + strip), PAPER)
        whole.paste(BACKDROP, (0, 0, width, rows))
        area = Image.fromarray(rgb)
        self._overlays(ImageDraw.Draw(area), size)
        whole.paste(area, (left, 0))
        self._strip(whole, ImageDraw.Draw(whole), rows, strip, size)
        out = io.BytesIO()
        whole.save(out, "PNG", compress_level=6)
        return out.getvalue()

    def _overlays(self, draw: "ImageDraw.ImageDraw", size: int) -> None:
        dark = self.colours != "grey"
        ring = (120, 200, 255) if dark else RING
        halo = (0, 0, 0) if dark else PAPER
        font = _font(size)
        line = max(1, size // 9)
        taken: list[tuple[float, float, float, float]] = []
        for each in self.rings:
            for (x0, y0), (x1, y1) in each.segments:
                draw.line((x0, y0, x1, y1), fill=ring, width=line)
        for each in self.rings:
            if len(each.segments):
                ends = each.segments.reshape(-1, 2)
                x, y = ends[ends[:, 1].argmin()]
                self._label(draw, x, y + 0.6 * size, each.label, font, ring, halo, taken)
        radius = 0.45 * size
        for spot in self.spots:
            box = (spot.x - radius, spot.y - radius, spot.x + radius, spot.y + radius)
            draw.ellipse(box, outline=SPOT, width=line)
        small = _font(0.8 * size)
        for spot in self.spots:
            if spot.label:
                self._label(draw, spot.x, spot.y - 1.1 * size, spot.label, small, SPOT, halo, taken)
        if self.beam is not None:
            x, y = self.beam
            for dx, dy in ((1, 0), (0, 1)):
                near, far = 0.35 * size, 1.1 * size
                for sign in (-1, 1):
                    draw.line(
                        (x + sign * near * dx, y + sign * near * dy,
                         x + sign * far * dx, y + sign * far * dy),
                        fill=SPOT, width=line + 1,
                    )  # fmt: skip

    def _label(
        self, draw: "ImageDraw.ImageDraw", x: float, y: float, text: str,
        font: "ImageFont.FreeTypeFont", colour: tuple[int, int, int], halo: tuple[int, int, int],
        taken: list[tuple[float, float, float, float]],
    ) -> None:  # fmt: skip
        """Write a label around a place, inside the picture; none over another."""
        rows, cols = self.values.shape
        text = _written(text)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font, anchor="mm")
        x = float(np.clip(x, 2 - left, cols - 2 - right))
        y = float(np.clip(y, 2 - top, rows - 2 - bottom))
        box = (x + left, y + top, x + right, y + bottom)
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            return
        taken.append(box)
        draw.text((x, y), text, colour, font, anchor="mm", stroke_width=2, stroke_fill=halo)

    def _strip(
        self, whole: "Image.Image", draw: "ImageDraw.ImageDraw", top: int, height: int, size: int
    ) -> None:
        """Draw what stands below: caption, colour bar with its limits, scale bar."""
        from PIL import Image

        font = _font(0.85 * size)
        middle, edge, width = top + height / 2, size, whole.width
        bar = _round_length(0.16 * width / self.pixels_per_mm)
        length = bar * self.pixels_per_mm
        x = width - edge - length
        draw.line((x, middle + 0.35 * size, x + length, middle + 0.35 * size), INK, 3)
        draw.text((x + length / 2, middle - 0.35 * size), f"{bar:g} mm", INK, font, anchor="mm")
        ramp = colour_table(self.colours)[None].repeat(max(6, int(0.7 * size)), axis=0)
        high, low = f"{_short(self.contrast.high)} {self.unit}", _short(self.contrast.low)
        span = int(0.14 * width)
        x -= 2 * edge + draw.textlength(high, font)
        draw.text((x, middle), high, INK, font, anchor="lm")
        x -= span + 0.4 * size
        ramp_image = Image.fromarray(ramp).resize((span, ramp.shape[0]))
        whole.paste(ramp_image, (int(x), int(middle - ramp.shape[0] / 2)))
        draw.rectangle(
            (x - 1, middle - ramp.shape[0] / 2 - 1, x + span, middle + ramp.shape[0] / 2),
            outline=INK,
        )
        x -= 0.4 * size
        draw.text((x, middle), low, INK, font, anchor="rm")
        room = x - draw.textlength(low, font) - 2 * edge
        caption = _written(self.caption)
        while caption and draw.textlength(caption, font) > room:
            caption = caption[:-2].rstrip(" …") + "…" if len(caption) > 2 else ""
        draw.text((edge, middle), caption, INK, font, anchor="lm")


def _font(size: float) -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]


def _written(text: str) -> str:
    """Return a text in the letters that Pillow's own font has: Å becomes A."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(plain.split())


def _round_length(most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``most``."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(power * max(step for step in (1, 2, 5) if step * power <= most))


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 1000 else f"{value:,.0f}"
