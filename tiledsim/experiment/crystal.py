"""The crystal: its cell, orientation, size, shape and mosaic domains."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from tiledsim.experiment.part import Count, NotNegative, Part, Positive, Shape, Vector


class Mosaic(Part):
    """Mosaic domains: drawn with nanoBragg's generator, or given as rotation matrices."""

    spread_deg: NotNegative = 0.0
    domains: Count | None = None
    seed: int = 12345678
    matrices_file: Path | None = None


class Crystal(Part):
    """The unit cell, its orientation, the size and shape of the crystal and its domains."""

    cell_A_deg: tuple[Positive, Positive, Positive, Positive, Positive, Positive] | None = None
    mosflm_matrix_file: Path | None = None
    space_group: str | None = None
    misset_deg: Vector | Literal["random"] | None = None
    misset_seed: int = 1
    cells: tuple[int, int, int] = (1, 1, 1)
    size_mm: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    shape: Shape = "square"
    fudge: Positive = 1.0
    mosaic: Mosaic = Mosaic()

    @model_validator(mode="after")
    def _has_cells(self) -> Self:
        if any(n < 1 for n in self.cells):
            raise ValueError(f"cells = {list(self.cells)}: each must be at least 1")
        return self
