"""Which tiles go out first: the expensive ones, so that cheap ones fill what is left at the end.

What a tile costs is told by what its scene says is rendered of it, and only roughly: classes by
halves.  Within a class tiles keep their order, in which shots follow each other.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiledsim.scheduler.journal.record_table import numbers
from tiledsim.scheduler.store.layout import Layout
from tiledsim.tile import Tile

CLASSES = 5
"""Tiles of more than a half, a quarter … of the most expensive one; the rest."""


class Rendered(Protocol):
    """A scene, as far as it says which pixels are rendered."""

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """[slow, fast] or [panels, slow, fast]; None where nothing is masked."""

    def count_rendered(self, tile: Tile) -> int:
        """Count the pixels of a tile that are rendered."""


def classes_of(cost: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the class of each cost, 0 for the most expensive; costs are not negative."""
    largest = float(cost.max(initial=0.0))
    if largest <= 0.0:
        return np.zeros(cost.shape, dtype=np.uint8)
    with np.errstate(divide="ignore"):
        halves = np.floor(np.log2(largest / cost))
    return np.clip(halves, 0, CLASSES - 1).astype(np.uint8)


def cost_classes(scene: Rendered, layout: Layout) -> NDArray[np.uint8]:
    """Return the class of each tile of a shot [panels · tiles down · tiles across]."""
    _, panels, down, across = layout.grid
    each = panels * down * across
    counted = [
        scene.count_rendered(layout.tile_at(index))
        for index in range(each if scene.mask is not None else down * across)
    ]
    pixels = np.resize(np.array(counted, dtype=np.float64), each)  # without a mask, panel by panel
    return classes_of(pixels)


def expensive_first(done: NDArray[np.bool_], classes: NDArray[np.uint8] | None) -> Iterator[int]:
    """Yield the tiles that are not done, class by class.

    Parameters
    ----------
    done
        [tiles]; that some which were yielded are done by and by does not matter.
    classes
        [tiles of one shot], which repeat from shot to shot; None where all cost the same.
    """
    if classes is None or not classes.any():
        yield from numbers(~done)
        return
    for wanted in range(int(classes.max()) + 1):
        here = classes == wanted
        if here.any():
            yield from numbers(np.resize(here, done.size) & ~done)
