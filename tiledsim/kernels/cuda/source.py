"""The sources of the CUDA kernels: the .cu files behind what is fixed when they are compiled."""

from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Final

import numpy as np

from tiledsim.kernels import polynomials
from tiledsim.kernels.cuda.anchors import anchors_of
from tiledsim.kernels.derived import direction_starts, sinc3_vanishes_below
from tiledsim.pixel_statistics import ROW
from tiledsim.scene import Scene

Layout = np.dtype[np.void]

THREADS: Final = 128
"""Threads a block: four warps that do not wait for one another."""
SHORTEST_SPECTRUM: Final = 8
"""Wavelengths that must share a direction, on average, before projecting once pays."""

_PARTS: Final = ("parameters.cu", "index.cu", "pixels.cu", "crystal.cu", "bragg.cu")
"""What the kernel ``render`` is made of, in this order."""

_NAMES: Final = {
    "shape": ("SQUARE", "ROUND", "GAUSS", "TOPHAT"),
    "factors": ("UNIFORM", "NEAREST", "TRICUBIC", "DISPERSIVE"),
    "polarization": ("NONE", "PLAIN", "LINEAR"),
    "thick": ("OWN", "FIRST", "RUNNING"),
    "polar": ("OWN", "FIRST", "RUNNING"),
    "omega": ("OWN", "FIRST", "RUNNING"),
}
"""Options with more than two values; a value's number is its place."""


@dataclass(frozen=True)
class Specialisation:
    """What is fixed when the kernel is compiled; every field becomes a macro of its name."""

    shape: str
    factors: str
    """Structure factors: one for all, the nearest reflection's, interpolated, or the nearest's as
    it depends on the wavelength."""
    elements: int
    """Elements whose scattering depends on the wavelength."""
    mixed: bool
    anchored: bool
    """Whether a step of ``mixed`` is without float64."""
    polarization: str
    thick: str
    polar: str
    omega: str
    curved: bool
    point_pixel: bool
    absorbing: bool
    radial_sensor: bool
    """Whether every ray meets the sensor at right angles."""
    layers: bool
    """Whether there are several."""
    subpixels: bool
    """Whether there are several."""
    directions: bool
    """Whether there are several."""
    spectrum: bool
    """Whether wavelengths share directions."""
    weighted: bool
    """Whether wavelengths of one direction differ in weight."""
    cut: bool
    """Whether there is a resolution cut."""
    water: bool
    skip_dark: bool
    """Whether a step with F_latt = 0 leaves the running product alone."""
    sinc3_vanishes: bool
    """Whether sinc3 is 0 next to 0 (quirk sinc3_cancellation)."""
    pixels: int
    """Pixels a thread."""
    blocks: int
    """Blocks that a multiprocessor is to hold, which bounds the registers a thread."""

    @property
    def products(self) -> bool:
        """Whether the running sum is multiplied step by step (quirk running_product)."""
        return "RUNNING" in (self.thick, self.polar, self.omega)

    def __str__(self) -> str:
        """Name the precision, the options with several values, and those that are on."""
        named = [getattr(self, name).lower() for name in ("shape", "factors")]
        named += [f"polarization-{self.polarization.lower()}"]
        named += [
            f"{name}-{value.lower()}"
            for name in ("thick", "polar", "omega")
            if (value := getattr(self, name)) != "OWN"
        ]
        on = [f.name for f in fields(self) if getattr(self, f.name) is True and f.name != "mixed"]
        return " ".join(["mixed" if self.mixed else "float64", *named, *on])


def specialise(
    scene: Scene, dtype: str, *, interpolate: bool, anchored: bool = False
) -> Specialisation:
    """Choose the kernel of a scene.

    ``anchored``: whether float64 is to be kept out of the steps of ``mixed``, for GPUs that have
    few units for it.  It is where the indices of a patch lie close enough together, but for
    ``round`` spots, whose number of turns is formed in float64.

    Computed in float64 whatever the ``dtype``: running products, which multiply the whole sum at
    every step, more than float32 can hold; and the top hat, whose edge float32 would move.
    """
    first = direction_starts(scene)
    # A correction that is off is 1 for every term.
    thick = scene.thick_correction if scene.absorbing else "own"
    polar = scene.polar_correction if scene.polarized else "own"
    omega = scene.omega_correction
    running = "running" in (thick, polar, omega)
    mixed = dtype == "mixed" and not running and scene.crystal_shape != "tophat"
    spectrum = (
        scene.sources >= SHORTEST_SPECTRUM * (len(first) - 1) and not running and scene.dmin == 0.0
    )
    weights = np.asarray(scene.weight)
    weighted = spectrum and bool((weights != np.repeat(weights[first[:-1]], np.diff(first))).any())
    factors = "UNIFORM" if scene.uniform_F else "TRICUBIC" if interpolate else "NEAREST"
    elements = 0 if scene.dispersion is None else scene.dispersion.shape[1]
    if elements:
        factors = "DISPERSIVE"
    several = len(first) > 2 if spectrum else scene.sources > 1
    drop = scene.water > 0.0 and not scene.water_twice
    shape = scene.crystal_shape.upper()
    anchored = anchored and mixed and shape != "ROUND"
    pixels, blocks = occupancy(
        shape, factors, mixed=mixed, curved=scene.curved, spectrum=spectrum, several=several,
        water=drop, anchored=anchored,
    )  # fmt: skip
    kahn = "PLAIN" if scene.polarization == 0.0 else "LINEAR"
    return Specialisation(
        shape=shape,
        factors=factors,
        elements=elements,
        mixed=mixed,
        anchored=anchored and anchors_of(scene, pixels, spectrum=spectrum) is not None,
        polarization=kahn if scene.polarized else "NONE",
        thick=thick.upper(),
        polar=polar.upper(),
        omega=omega.upper(),
        curved=scene.curved,
        point_pixel=scene.point_pixel,
        absorbing=scene.absorbing,
        radial_sensor=scene.absorbing and scene.radial_sensor,
        layers=scene.layers > 1,
        subpixels=scene.oversample > 1,
        directions=several,
        spectrum=spectrum,
        weighted=weighted,
        cut=scene.dmin > 0.0,
        water=drop,
        skip_dark=running and scene.water == 0.0,
        sinc3_vanishes=shape == "ROUND" and sinc3_vanishes_below(scene) > 0.0,
        pixels=pixels,
        blocks=blocks,
    )


def occupancy(
    shape: str, factors: str, *, mixed: bool, curved: bool, spectrum: bool, several: bool,
    water: bool, anchored: bool = False,
) -> tuple[int, int]:  # fmt: skip
    """Choose pixels a thread and blocks a multiprocessor, so that the registers suffice.

    ``several``: whether rays come from several directions.  benchmarks/LOG.md has the reasons.
    """
    # What depends on the wavelength is put together from several loads, as a cube is.
    tricubic, round_ = factors in ("TRICUBIC", "DISPERSIVE"), shape == "ROUND"
    pixels = 2 if not mixed or tricubic or curved or round_ else 4
    if tricubic and round_:
        return pixels, 2
    held = spectrum and (several or anchored or (pixels == 4 and shape == "SQUARE"))
    held = held or (pixels == 4 and (several or water))
    return pixels, 3 if tricubic or curved or held else 4


def render_source(special: Specialisation, layout: Layout) -> str:
    """Return the text of the kernel ``render``; ``layout`` is that of its parameters."""
    lines = [
        f"#define {value} {number}"
        for value, number in dict.fromkeys(
            (value, number) for values in _NAMES.values() for number, value in enumerate(values)
        )
    ]
    for field in fields(special):
        value = getattr(special, field.name)
        text = str(int(value) if isinstance(value, bool) else value)
        lines.append(f"#define {field.name.upper()} {text}")
    lines.append(f"#define PRODUCTS {int(special.products)}")
    return _text([*lines, *_numbers(special.mixed)], layout, *_PARTS)


def finish_source(layout: Layout) -> str:
    """Return the text of the kernel ``finish``; ``layout`` is that of its parameters."""
    return _text([f"#define ROW_BYTES {ROW.itemsize}"], layout, "rows.cu")


_OFFSET_OF: Final = """#ifndef OFFSET_OF
#define OFFSET_OF(type, field) __INTADDR__(&((type *)0)->field)
#endif"""
"""What NVRTC's own ``offsetof`` is made of; version 12 has no ``__builtin_offsetof``."""


def _text(macros: list[str], layout: Layout, *names: str) -> str:
    """Put macros and the offsets of the parameters, which the compiler checks, before files."""
    checks = " ".join(
        f"check({name}, {layout.fields[name][1]})"
        for name in layout.names or ()
        if layout.fields is not None
    )
    lines = [
        *macros,
        _OFFSET_OF,
        f"#define THREADS {THREADS}",
        f"#define PARAMETERS_LAYOUT(check) {checks}",
        f"#define PARAMETERS_BYTES {layout.itemsize}",
    ]
    for name in names:
        code = (files("tiledsim.kernels.cuda") / name).read_text(encoding="utf-8")
        lines.append(f'#line 1 "{name}"\n{code}')
    return "\n".join(lines)


def _numbers(mixed: bool) -> list[str]:
    suffix = "f" if mixed else ""
    tables = {
        "SINPI": polynomials.SINPI_SINGLE if mixed else polynomials.SINPI,
        "COSPI": polynomials.COSPI_SINGLE if mixed else polynomials.COSPI,
        "EXP": polynomials.EXP,
        "SINC3": polynomials.SINC3,
    }
    lines = [
        f"#define {name} {{{', '.join(f'{c!r}{suffix}' for c in table)}}}"
        for name, table in tables.items()
    ]
    return [
        *lines,
        f"#define LN2_HIGH {polynomials.LN2_HIGH!r}",
        f"#define LN2_LOW {polynomials.LN2_LOW!r}",
        f"#define EXP_UNDERFLOW {polynomials.EXP_UNDERFLOW!r}",
        f"#define SINC3_CANCELS {polynomials.SINC3_CANCELS!r}",
        f"#define FAINTEST {polynomials.FAINTEST!r}",
        # Its cube (`square`) or its root (`round`) must be a normal number.
        f"#define TINY {'1e-12f' if mixed else '1e-40'}",
        # Where the series of sinc3 takes over: float32 loses digits in the other form sooner.
        f"#define SERIES_TURNS {'0.35f' if mixed else '0.095'}",
    ]
