"""The detector as a few lines of text: which parts of it are done, under way, or failed."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARKS = "·░▒▓█"
"""Nothing done, less than a third, less than two thirds, not all, all."""
PLAIN_MARKS = ".-+*#"
FAILED_MARK, PLAIN_FAILED_MARK = "×", "x"
NARROW = 2.0
"""A character is so much higher than wide."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a run: how many there are along each dimension."""

    shots: int
    panels: int
    down: int
    across: int

    def share(self, marked: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return, for tiles [tiles] that are marked, the share of shots [panel, down, across]."""
        shape = (self.shots, self.panels, self.down, self.across)
        whole: NDArray[np.float64] = marked.reshape(shape).mean(axis=0, dtype=np.float64)
        return whole


def draw(
    done: NDArray[np.float64], failed: NDArray[np.float64], *, columns: int, rows: int,
    plain: bool = False,
) -> list[str]:  # fmt: skip
    """Draw shares [panel, down, across] in at most ``columns`` x ``rows`` characters.

    Panels stand side by side; where there is no room for all, those that follow are counted in
    the last line.  ``plain`` uses ASCII alone.
    """
    panels, down, across = done.shape
    width, height, side_by_side = _arrange(panels, down, across, columns, rows)
    lines: list[str] = []
    shown = 0
    while shown < panels:
        left = rows - len(lines) - (1 if lines else 0)
        last = shown + side_by_side >= panels
        if left < height + (0 if last else 1):
            lines.append(f"and {panels - shown:,} more panels"[:columns])
            break
        if lines:
            lines.append("")
        band = range(shown, min(shown + side_by_side, panels))
        drawn = [_panel(done[p], failed[p], width, height, plain=plain) for p in band]
        lines += [" ".join(parts) for parts in zip(*drawn, strict=True)]
        shown = band.stop
    return lines


def _arrange(panels: int, down: int, across: int, columns: int, rows: int) -> tuple[int, int, int]:
    """Choose the characters of a panel (width, height) and how many stand side by side.

    The largest panels that all fit; a tile has at most two characters side by side.
    """
    best = (1, 1, max(1, (columns + 1) // 2))
    for side_by_side in range(1, min(panels, max(1, (columns + 1) // 2)) + 1):
        bands = -(-panels // side_by_side)
        width = min((columns + 1) // side_by_side - 1, round(NARROW * across))
        height = min((rows + 1) // bands - 1 if bands > 1 else rows, down)
        if width < 1 or height < 1:
            continue
        # Keep the panel's shape: tiles are about square.
        scale = min(width / (NARROW * across), height / down)
        width = max(1, math.floor(scale * NARROW * across))
        height = max(1, math.floor(scale * down))
        if width * height >= best[0] * best[1]:
            best = (width, height, side_by_side)
    return best


def _panel(
    done: NDArray[np.float64], failed: NDArray[np.float64], width: int, height: int, *, plain: bool
) -> list[str]:
    """Draw one panel [down, across]; a character stands for all tiles that it touches."""
    down, across = done.shape
    marks = PLAIN_MARKS if plain else MARKS
    lines = []
    for row in range(height):
        top, bottom = _span(row, height, down)
        line = ""
        for column in range(width):
            start, stop = _span(column, width, across)
            share = float(done[top:bottom, start:stop].mean())
            if failed[top:bottom, start:stop].any():
                line += PLAIN_FAILED_MARK if plain else FAILED_MARK
            elif share >= 1:
                line += marks[4]
            else:
                line += marks[0 if share == 0 else 1 + int(3 * share)]
        lines.append(line)
    return lines


def _span(number: int, of: int, tiles: int) -> tuple[int, int]:
    """Return the tiles that a character touches, at least one."""
    start = number * tiles // of
    return start, max(start + 1, -(-(number + 1) * tiles // of))
