"""What a command line of nanoBragg means: the experiment, what was chosen, and what quirks do."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiledsim.description import describe
from tiledsim.errors import ExperimentError
from tiledsim.nanobragg.command.command import (
    DEFAULT_FLOAT_FILE,
    NanobraggCommand,
    parse_nanobragg,
)
from tiledsim.nanobragg.command.flags import read_flags
from tiledsim.nanobragg.images.outputs import (
    DEFAULT_INT_FILE,
    DEFAULT_NOISE_FILE,
    DEFAULT_PGM_FILE,
)
from tiledsim.quirks import Mode, Quirk
from tiledsim.reference.model import render_pixels
from tiledsim.scene import Scene
from tiledsim.scene.build import build_scene
from tiledsim.vectors import Array

_STEPS: Final = 200_000
_SIDE: Final = 16
_OF_ONE: Final = {"beam.energy_eV": "beam.wavelength_A"}


def explain_command(
    argv: Sequence[str],
    mode: Mode = "c-parity",
    base: Path | None = None,
    *,
    quirks: Iterable[Quirk] | None = None,
) -> list[str]:
    """Return the lines that explain a command line; nothing is run but a coarse grid of pixels.

    Raises ExperimentError for flags that are not understood.
    """
    listed = None if quirks is None else tuple(quirks)
    command = parse_nanobragg(argv, mode, base, quirks=listed)
    scene = build_scene(command.experiment)
    return [
        "# The experiment, as TOML",
        command.experiment.to_toml().rstrip(),
        "",
        "# Chosen or computed, and why",
        *_chosen(command, scene),
        *_unsaid(argv, mode, command, scene),
        "",
        "# Quirks that act",
        *_quirks(argv, mode, base, command, scene),
        "",
        "# Flags that contradict each other, or are taken otherwise than they look",
        *(sorted({*_repeated(argv, mode), *command.notes}) or ["none"]),
    ]


def _chosen(command: NanobraggCommand, scene: Scene) -> Iterator[str]:
    for section, facts in describe(command.experiment, scene).items():
        for fact in facts:
            if fact.why:
                values = fact.value if isinstance(fact.value, list) else [fact.value]
                shown = " ".join(v if isinstance(v, str) else f"{v:.6g}" for v in values)
                yield f"{section}: {fact.name} = {f'{shown} {fact.unit}'.rstrip()} ({fact.why})"
    if command.int_scale is None:
        yield "int image: scale = 55000 / the largest pixel (no -scale)"
    if command.pgm_scale is None and not command.nopgm:
        yield "pgm image: scale = 250 / (5 rmsd) (no -pgmscale)"
    if command.adc_offset is None:
        yield "int and noise images: offset = 40 (no -adc)"
    if command.noise_seed is None and not command.nonoise:
        yield "noise image: seed = the time of the run (no -seed)"


def _unsaid(
    argv: Sequence[str], mode: Mode, command: NanobraggCommand, scene: Scene
) -> Iterator[str]:
    """Name the values that no flag sets; those that a header may set where none is read."""
    beam, crystal, detector = (
        getattr(command.experiment, name) for name in ("beam", "crystal", "detector")
    )
    given = read_flags(argv, lenient=mode == "c-parity")
    names = {entry.flag.name for entry in given}
    told = names | {key for entry in given for key in (*entry.flag.keys, *entry.flag.sets)}
    if "-img" in names or "-mask" in names:
        told |= {"-lambda", "-distance", "-pixel", "-detpixels", "-phi", "-osc"}
    size = " x ".join(map(str, detector.size_px))
    for flag, others, text in (
        ("-lambda", {"-energy"}, f"beam: wavelength = {beam.central_wavelength_A:g} Å"),
        ("-fluence", {"-flux"}, f"beam: fluence = {scene.fluence:g} photons/m²"),
        ("-polar", set(), f"beam: polarization = {beam.polarization:g}"),
        ("-N", {"crystal.cells[0]", "crystal.size_mm[0]"},
         f"crystal: cells = {' x '.join(map(str, scene.cell_counts))}"),
        ("-mosaic_spr", {"crystal.mosaic.spread_deg"},
         f"crystal: mosaic spread = {crystal.mosaic.spread_deg:g} deg"),
        ("-distance", {"-close_distance", "detector.distance_mm"},
         f"detector: distance = {detector.distance_mm:g} mm"),
        ("-pixel", set(), f"detector: pixel = {detector.pixel_mm:g} mm"),
        ("-detpixels", {"detector.size_px[0]", "side_f_mm"}, f"detector: pixels = {size}"),
        ("-mosflm", {"detector.convention"}, f"detector: convention = {detector.convention}"),
        ("-interpolate", {"structure_factors.interpolate"},
         f"structure factors: interpolated = {'yes' if scene.interpolate else 'no'}, which it is "
         "where there is a table and a side has two cells or fewer"),
    ):  # fmt: skip
        if not told & ({flag} | others):
            yield f"{text} (no {flag})"
    files = (
        ("-floatfile", command.float_file, DEFAULT_FLOAT_FILE, False),
        ("-intfile", command.int_file, DEFAULT_INT_FILE, False),
        ("-pgmfile", command.pgm_file, DEFAULT_PGM_FILE, command.nopgm),
        ("-noisefile", command.noise_file, DEFAULT_NOISE_FILE, command.nonoise),
    )
    for flag, file, default, left_out in files:
        if file is None and not left_out:
            yield f"written too: {default} (no {flag}; with --zarr only what is named)"


def _quirks(
    argv: Sequence[str], mode: Mode, base: Path | None, command: NanobraggCommand, scene: Scene
) -> Iterator[str]:
    """Render a coarse grid with and without each quirk, and say by how much it changes."""
    if command.experiment.detector.roi_is_empty:
        yield "the region of interest holds no pixel: every pixel is 0 with and without them"
        return
    slow, fast = _grid(scene)
    with_all = render_pixels(scene, 0, 0, slow, fast)
    active = command.experiment.active_quirks
    idle = []
    yield f"on a grid of {len(slow)} pixels of {scene.shape[2] * scene.shape[3]:,}:"
    for quirk in sorted(active):
        try:
            other = parse_nanobragg(argv, mode, base, quirks=active - {quirk})
            without = render_pixels(build_scene(other.experiment), 0, 0, slow, fast)
        except ExperimentError as error:
            yield f"{quirk}: without it the flags are refused: {error}"
            continue
        except IndexError:
            yield f"{quirk}: changes the size of the image"
            continue
        if np.allclose(with_all, without, rtol=1e-9, atol=0.0):
            idle.append(quirk)
        else:
            yield f"{quirk}: {_difference(with_all, without)}"
    yield f"no change: {', '.join(idle) or 'none'}"


def _difference(with_it: Array, without: Array) -> str:
    brightest = max(float(np.abs(without).max()), float(np.abs(with_it).max()))
    worst = float(np.abs(with_it - without).max()) / brightest
    total = float(without.sum())
    ratio = f"the sum is {float(with_it.sum()) / total:.6g} times" if total else "the sum was 0,"
    return f"{ratio} that without it; a pixel changes by up to {worst:.3g} of the brightest"


def _grid(scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels (slow [n], fast [n]) spread evenly over the region of interest."""
    side = math.isqrt(max(4, min(_SIDE**2, _STEPS // scene.steps_per_pixel)))
    fast_min, fast_max, slow_min, slow_max = scene.roi
    rows = np.unique(np.linspace(slow_min, slow_max, side).astype(np.int64))
    cols = np.unique(np.linspace(fast_min, fast_max, side).astype(np.int64))
    slow, fast = np.meshgrid(rows, cols, indexing="ij")
    return slow.ravel(), fast.ravel()


def _repeated(argv: Sequence[str], mode: Mode) -> Iterator[str]:
    """Name the flags that set one value twice, differently; the last one counts."""
    before: dict[str, tuple[str, object]] = {}
    given = read_flags(argv, lenient=mode == "c-parity")
    names = {entry.flag.name for entry in given}
    for entry in given:
        found: dict[str, object] = dict(entry.flag.sets) | dict.fromkeys(
            entry.flag.keys, entry.values
        )
        for key, value in found.items():
            same = _OF_ONE.get(key, key)
            if value is None:  # what another flag of the same value takes back
                continue
            if same in before and before[same] != (str(entry), value) and "convention" not in key:
                earlier, was = before[same]
                if was != value:
                    yield f"{entry} after {earlier} replaces what it sets of {same}"
            before[same] = (str(entry), value)
    if {"-flux", "-fluence"} <= names:
        yield "-flux and -fluence are both given; the flux counts"
    if {"-detpixels", "-detsize"} <= names:
        yield "-detpixels and -detsize are both given; the pixels count"
    if {"-distance", "-close_distance"} <= names:
        yield "-distance and -close_distance are both given; the close distance counts"
