"""A tile: the rectangle of one panel of one shot that one kernel call renders."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Half-open ranges of slow and fast pixels of one panel of one shot."""

    shot: int
    panel: int
    slow_start: int
    slow_stop: int
    fast_start: int
    fast_stop: int

    @property
    def rows(self) -> int:
        """Number of pixels along the slow axis."""
        return self.slow_stop - self.slow_start

    @property
    def cols(self) -> int:
        """Number of pixels along the fast axis."""
        return self.fast_stop - self.fast_start

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.rows * self.cols

    def within(self, other: "Tile") -> tuple[slice, slice]:
        """Return where this tile's pixels are in an array of another tile's.

        Parameters
        ----------
        other
            A tile of the same panel and shot.

        Returns
        -------
        tuple of slice
            Slow and fast; cut to what of this tile lies inside the other.
        """
        return (
            slice(
                max(self.slow_start - other.slow_start, 0),
                max(self.slow_stop - other.slow_start, 0),
            ),
            slice(
                max(self.fast_start - other.fast_start, 0),
                max(self.fast_stop - other.fast_start, 0),
            ),
        )

    def __str__(self) -> str:
        return (
            f"shot {self.shot} panel {self.panel} "
            f"slow {self.slow_start}:{self.slow_stop} fast {self.fast_start}:{self.fast_stop}"
        )
