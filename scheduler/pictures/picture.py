"""A picture of a store: read block by block, reduced by maximum, drawn with what explains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiledsim.campaign.one_shot import scene_and_shot
from tiledsim.errors import ExperimentError, RunError, StoreError
from tiledsim.image_files.pictures.colours import MAPS, choose_contrast
from tiledsim.image_files.pictures.contours import contour, ring_resolutions
from tiledsim.image_files.pictures.painting import paint
from tiledsim.image_files.pictures.picture import Drawing, Ring, Spot
from tiledsim.reach.brightest import predict_spots
from tiledsim.reach.panels import meet_panels
from tiledsim.reference.pixel_facts import one_ray, pixel_facts
from tiledsim.scene import Scene
from tiledsim.scheduler.export.bands import select
from tiledsim.scheduler.pictures.placement import Placement, place
from tiledsim.scheduler.pictures.target import check_target, put
from tiledsim.scheduler.results.reduced import ReducedImage
from tiledsim.scheduler.results.stored_image import StoredImage
from tiledsim.scheduler.store.files import Files, open_files
from tiledsim.vectors import Array

GRID = 6
"""Pixels of the picture between points where the resolution is computed."""
LABELLED = 12
"""Spots that get their indices written beside them, the strongest."""
EDGES = (64, 8192)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a picture shows, and how."""

    shots: str | None = "0"
    """One, or several whose sum is shown; None: all."""
    panels: str | None = None
    region: tuple[int, int, int, int] | None = None
    """First and end of the slow and of the fast pixels."""
    scale: str = "log"
    low: float | None = None
    high: float | None = None
    colours: str = "grey"
    rings: bool = True
    spots: int = 0
    """Predicted reflections to mark, the strongest."""
    edge: int = 1400
    """Pixels of the longer side."""


def picture(
    location: str | Path, output: str | Path, look: Look | None = None, *, partial: bool = False,
    overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write a picture of a store as a PNG file and return its name.

    ``partial`` shows an unfinished run, what is missing in grey blue.  Raises StoreError or
    ExperimentError, and then nothing is written.
    """
    target = Path(output)
    check_target(target, overwrite=overwrite)
    data = picture_png(location, look, partial=partial)
    put(target, data)
    return target


def picture_png(
    location: str | Path | Files, look: Look | None = None, *, partial: bool = False
) -> bytes:
    """Return a picture of a store as the bytes of a PNG file."""
    files = open_files(location) if isinstance(location, str | Path) else location
    chosen = look or Look()
    stored = StoredImage(files)
    shape = stored.layout.shape
    shots = select(chosen.shots, shape[0], "shots")
    panels = select(chosen.panels, shape[1], "panels")
    slow, fast = _region(chosen.region, shape)
    if not EDGES[0] <= chosen.edge <= EDGES[1]:
        raise ExperimentError(f"`size={chosen.edge}`: must be {EDGES[0]} to {EDGES[1]} pixels")
    if chosen.colours not in MAPS:
        raise ExperimentError(f"`colours={chosen.colours}`: must be one of {', '.join(MAPS)}")
    choose_contrast(np.ones(1), chosen.scale, chosen.low, chosen.high)
    if not partial:
        stored.refuse_missing(shots, panels)
    return _draw(stored, chosen, shots, panels, slow, fast).png()


def _region(
    region: tuple[int, int, int, int] | None, shape: tuple[int, int, int, int]
) -> tuple[range, range]:
    _, _, slow, fast = shape
    if region is None:
        return range(slow), range(fast)
    s0, s1, f0, f1 = region
    if not (0 <= s0 < s1 <= slow and 0 <= f0 < f1 <= fast):
        raise ExperimentError(
            f"`region={s0}:{s1},{f0}:{f1}`: the panel has slow 0:{slow} and fast 0:{fast}"
        )
    return range(s0, s1), range(f0, f1)


def _draw(
    stored: StoredImage, look: Look, shots: list[int], panels: list[int], slow: range, fast: range
) -> Drawing:
    scene, shot = scene_and_shot(stored.scene, shots[0])
    edge = look.edge if len(panels) > 1 else _edge_of(look.edge, len(slow), len(fast))
    places, rows, cols = place(scene, panels, slow, fast, edge)
    values = np.full((rows, cols), np.nan, dtype=np.float32)
    covered = np.zeros((rows, cols), dtype=np.bool_)
    rings: dict[float, list[Array]] = {}
    simple = one_ray(scene)
    grids = [_grid(simple, shot, each, rows, cols) for each in places] if look.rings else []
    finest = min((float(np.nanmin(d)) for _, _, d in grids if np.isfinite(d).any()), default=0.0)
    chosen_rings = ring_resolutions(finest)
    for each in places:
        paint_panel(stored.pixels, each, shots, values, covered)
    for x, y, d in grids:
        for resolution in chosen_rings:
            rings.setdefault(resolution, []).append(contour(x, y, 1.0 / d, 1.0 / resolution))
    labels = [
        Ring(f"{resolution:g} Å", np.concatenate(parts)) for resolution, parts in rings.items()
    ]
    unit = "photons" if stored.layout.dtype == "float32" else "ADU"
    what = f"shot {shots[0]}" if len(shots) == 1 else f"sum of {len(shots)} shots"
    title = stored.title or Path(stored.url).stem
    per_mm = abs(float(np.linalg.det(places[0].forward))) ** 0.5 / (scene.pixel_size * 1e3)
    return Drawing(
        values, covered, choose_contrast(values, look.scale, look.low, look.high), look.colours,
        f"{title}, {what}" if stored.layout.shape[0] > 1 else title, unit, per_mm,
        rings=labels,
        spots=[] if len(shots) > 1 else _spots(scene, shot, places, look.spots, finest),
        beam=_beam(scene, places),
    )  # fmt: skip


def _edge_of(edge: int, slow: int, fast: int) -> int:
    """Return the longer side of one panel's picture: a whole number of pixels a cell, or cells."""
    longest = max(slow, fast)
    if longest <= edge:
        return longest * max(1, edge // longest)
    return -(-longest // -(-longest // edge))


def paint_panel(
    pixels: ReducedImage, at: Placement, shots: Sequence[int], values: Any, covered: Any
) -> None:
    """Put a panel's pixels where they stand."""
    cells = pixels.read(shots, at.panel, at.slow, at.fast, at.factor)
    size = len(at.slow), len(at.fast)
    paint(cells, at.factor, *size, at.forward, at.offset, values, covered)


def _grid(
    simple: Scene, shot: int, at: Placement, rows: int, cols: int
) -> tuple[Array, Array, Array]:
    """Return x, y and the resolution on a grid over one panel; NaN outside it."""
    xs, ys = (np.append(np.arange(0.0, n, GRID), n) for n in (cols, rows))
    x, y = np.meshgrid(xs, ys)
    slow, fast = at.to_panel(x, y)
    inside = (slow >= at.slow.start - 1e-6) & (slow <= at.slow.stop + 1e-6)
    inside &= (fast >= at.fast.start - 1e-6) & (fast <= at.fast.stop + 1e-6)
    d = np.full(x.shape, np.nan)
    facts = pixel_facts(simple, shot, at.panel, slow[inside] - 0.5, fast[inside] - 0.5)
    d[inside] = np.minimum(facts.resolution_A, 1e6)
    return x, y, d


def _beam(scene: Scene, places: list[Placement]) -> tuple[float, float] | None:
    panel, slow, fast = meet_panels(scene, scene.beam[None])
    for each in places:
        if each.panel == panel[0] and _shown(each, slow[0], fast[0]):
            x, y = each.to_picture(slow, fast)
            return float(x[0]), float(y[0])
    return None


def _shown(at: Placement, slow: float, fast: float) -> bool:
    return at.slow.start <= slow < at.slow.stop and at.fast.start <= fast < at.fast.stop


def _spots(
    scene: Scene, shot: int, places: list[Placement], most: int, finest: float
) -> list[Spot]:
    if most < 1:
        return []
    limit = finest if finest > 0 else _finest(scene, shot, places)
    found = predict_spots(scene, shot, dmin_A=limit)
    spots: list[Spot] = []
    by_panel = {each.panel: each for each in places}
    for hkl, panel, slow, fast in zip(found.hkl, found.panel, found.slow, found.fast, strict=True):
        at = by_panel.get(int(panel))
        if at is None or not _shown(at, slow, fast):
            continue
        x, y = at.to_picture(np.array([slow]), np.array([fast]))
        label = ", ".join(map(str, hkl.tolist())) if len(spots) < LABELLED else ""
        spots.append(Spot(float(x[0]), float(y[0]), label))
        if len(spots) >= most:
            break
    return spots


def _finest(scene: Scene, shot: int, places: list[Placement]) -> float:
    simple = one_ray(scene)
    corners = [
        pixel_facts(
            simple, shot, each.panel,
            np.array([each.slow.start, each.slow.start, each.slow.stop, each.slow.stop]) - 0.5,
            np.array([each.fast.start, each.fast.stop, each.fast.start, each.fast.stop]) - 0.5,
        ).resolution_A.min()
        for each in places
    ]  # fmt: skip
    return float(min(corners))


def draw_first_shot(files: Files, target: Path) -> None:
    """Draw the first shot of a finished run.  Raises RunError; the run is done all the same."""
    try:
        put(target, picture_png(files))
    except StoreError as error:
        raise RunError(f"{error}; the run is done, only its picture is not") from None
