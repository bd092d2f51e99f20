"""The background of a tile of any shot: what is the same in many shots is computed once.

That is all of it; or all but a factor, where shots differ in fluence; or, where each has a spectrum
of its own, that of a few wavelengths of the band, between which it is a polynomial.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiledsim.campaign.columns import LAYERS, MOVES
from tiledsim.campaign.one_shot import alone
from tiledsim.detector_model.amorphous import Panel, at_points, panel_of
from tiledsim.detector_model.background import chebyshev_points, compute, lagrange
from tiledsim.reach.once import once
from tiledsim.scene import Scene
from tiledsim.tile import Tile
from tiledsim.units import ANGSTROM
from tiledsim.vectors import Array

KEPT_BYTES: Final = 2**29
"""Of backgrounds, and of what those of shots with spectra of their own are made of."""
WAVELENGTHS: Final = (5, 9, 17, 33)
"""Numbers of wavelengths of a band that are tried; the first that is good enough is taken."""
TOLERANCE: Final = 1e-5
"""Relative, at the sources and pixels where a polynomial in the wavelength is checked."""
CHECKS: Final = 5
"""Pixels along each edge of a panel where that is."""
RESHAPES: Final = MOVES | {"wavelength_A", "polarization", *LAYERS}
"""Columns of a campaign after which the background of a shot is another function of the pixel."""


Number = TypeVar("Number", np.float32, np.float64)


class _Kept(Generic[Number]):
    """Arrays that are the same in all shots, KEPT_BYTES of them in a process."""

    def __init__(self) -> None:
        self._arrays: dict[object, NDArray[Number]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], NDArray[Number]]) -> NDArray[Number]:
        """Return an array, made now if it is not there.  It is not to be written to."""
        with self._lock:
            found = self._arrays.get(key)
        if found is not None:
            return found
        made = make()
        made.setflags(write=False)
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = made
                self._bytes += made.nbytes
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._arrays.pop(next(iter(self._arrays))).nbytes
        return made


_WHOLE: Final = _Kept[np.float64]()
"""What all shots have, but for a factor."""
_PARTS: Final = _Kept[np.float32]()
"""What their spectra are laid over.  A run has one of the two."""


class Nodes(NamedTuple):
    """Directions and wavelengths of a beam, N of them, that stand for its S sources."""

    source: NDArray[np.int64]
    """A source of each node's direction [N]."""
    wavelength: Array
    """[m] [N]."""
    shares: Array
    """What takes the weights of the sources to those of the nodes [N, S]."""


def background(scene: Scene, tile: Tile) -> Array | None:
    """Return the photons that amorphous layers scatter into a tile [rows, cols], not yet counted.

    Pixels that are not rendered are 0; None where the scene has no such layers.  The result is not
    to be written to.
    """
    if scene.amorphous_table is None:
        return None
    one, here = alone(scene, tile)
    if scene.shot_values is not None and RESHAPES & set(scene.shot_names):
        made = nodes_of(one, wavelengths_needed(scene))
        return compute(one, here, _panel(one, here.panel, made, made.shares @ one.weight))
    if scene.spectra is not None or scene.sase is not None:
        return _of_spectrum(scene, one, here)
    if scene.shape[0] == 1 and scene.shot_values is None:
        return compute(scene, tile, _panel(scene, tile.panel))
    key = scene.hash, replace(tile, shot=0)
    same = _WHOLE.get(key, lambda: compute(scene, tile, _panel(scene, tile.panel)))
    factor = _factor(scene, one)
    return same if factor == 1.0 else same * factor


def kept_bytes(scene: Scene) -> int:
    """Return about how much of backgrounds a process keeps."""
    shots, panels, slow, fast = scene.shape
    if scene.amorphous_table is None or shots == 1 or RESHAPES & set(scene.shot_names):
        return 0
    a_pixel = 8
    if scene.spectra is not None or scene.sase is not None:
        directions = len(np.unique(np.asarray(scene.incident), axis=0))
        a_pixel = 4 * min(WAVELENGTHS[0] * directions, scene.sources)
    return min(KEPT_BYTES, panels * slow * fast * a_pixel)


def _factor(scene: Scene, one: Scene) -> float:
    """By what the background of a shot is brighter than that of the campaign."""
    return 1.0 if one.fluence == scene.fluence else one.fluence / scene.fluence


def _of_spectrum(scene: Scene, one: Scene, tile: Tile) -> Array:
    """Add up what the nodes of a campaign give, with the spectrum of a shot."""
    nodes = nodes_of(scene, wavelengths_needed(scene))
    parts = _PARTS.get((scene.hash, tile), lambda: _parts(scene, nodes, tile))
    weights = nodes.shares @ (one.weight / one.weight.sum() * _factor(scene, one))
    total = np.zeros(parts.shape[1:])
    for part, weight in zip(parts, weights, strict=True):
        total += np.multiply(part, weight, dtype=np.float64)
    return np.maximum(total, 0.0, out=total)


def _parts(scene: Scene, nodes: Nodes, tile: Tile) -> NDArray[np.float32]:
    """Return the background of a tile as if all photons came from each node [N, rows, cols]."""
    found = np.empty((len(nodes.source), tile.rows, tile.cols), dtype=np.float32)
    for k in range(len(found)):
        at = Nodes(nodes.source[k : k + 1], nodes.wavelength[k : k + 1], nodes.shares[k : k + 1])
        found[k] = compute(scene, tile, _panel(scene, tile.panel, at, np.ones(1)))
    return found


def _panel(
    scene: Scene, panel: int, nodes: Nodes | None = None, weights: Array | None = None
) -> Panel:
    """Return a panel of a scene of one shot, with nodes of some weights in place of its sources."""
    made = panel_of(scene, panel)
    assert made is not None  # by the caller, for scenes with layers
    if nodes is None or weights is None:
        return made
    sources = made.sources[nodes.source]
    sources[:, -2] = nodes.wavelength * ANGSTROM
    sources[:, -1] = weights / weights.sum()
    order = np.argsort(scene.wavelength)
    known = np.asarray(scene.wavelength)[order]
    depth = [np.interp(nodes.wavelength, known, layer[order]) for layer in made.depth]
    return made._replace(sources=sources, depth=np.array(depth))


def nodes_of(scene: Scene, count: int) -> Nodes:
    """Return nodes of a beam, ``count`` at most for each of its directions; 0: its sources."""
    wavelength = np.asarray(scene.wavelength)
    source, points, shares = [], [], []
    _, first, group = np.unique(
        np.asarray(scene.incident), axis=0, return_index=True, return_inverse=True
    )
    for number, leader in enumerate(first):
        mine = np.flatnonzero(group.reshape(-1) == number)
        own = wavelength[mine]
        at = np.unique(own)
        if count == 0 or len(at) <= count:
            basis = (own[:, None] == at).astype(np.float64)
        else:
            low, high = at[0], at[-1]
            at = 0.5 * (low + high) + 0.5 * (high - low) * chebyshev_points(count)
            basis = lagrange(count, (2.0 * own - low - high) / (high - low))
        for k, point in enumerate(at):
            row = np.zeros(len(wavelength))
            row[mine] = basis[:, k]
            shares.append(row)
            points.append(point)
            source.append(leader)
    return Nodes(np.array(source), np.array(points), np.stack(shares))


@once
def wavelengths_needed(scene: Scene) -> int:
    """Return how many wavelengths of a direction stand for its sources: to TOLERANCE of each of
    those that are tried, at CHECKS x CHECKS pixels of each panel; 0 where no number is enough.
    """
    for count in WAVELENGTHS:
        if scene.sources <= count:
            return 0
        if all(_is_enough(scene, panel, count) for panel in range(scene.shape[1])):
            return count
    return 0


def _is_enough(scene: Scene, panel: int, count: int) -> bool:
    _, _, slow, fast = scene.shape
    nodes = nodes_of(scene, count)
    at = [np.linspace(0.5, pixels - 0.5, CHECKS) for pixels in (slow, fast)]

    def seen(made: Panel) -> Array:
        values = []
        for i in range(len(made.sources)):
            source = made.sources[i : i + 1].copy()
            source[:, -1] = 1.0
            one = made._replace(
                sources=source, depth=np.ascontiguousarray(made.depth[:, i : i + 1])
            )
            values.append(at_points(one, *at))
        return np.stack(values)

    tried = np.unique(np.linspace(0, scene.sources - 1, 2 * count + 1).astype(np.int64))
    whole = _panel(scene, panel)
    few = whole._replace(
        sources=whole.sources[tried], depth=np.ascontiguousarray(whole.depth[:, tried])
    )
    expected = seen(few)
    at_nodes = seen(_panel(scene, panel, nodes, np.ones(len(nodes.source))))
    guessed = np.tensordot(nodes.shares[:, tried].T, at_nodes, axes=1)
    return bool((np.abs(guessed - expected) <= TOLERANCE * expected).all())
