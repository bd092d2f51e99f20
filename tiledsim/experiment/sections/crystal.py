"""The crystal: its cell, orientation, size, shape and mosaic domains."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import (
    Count,
    File,
    NotNegative,
    Part,
    Positive,
    Seed,
    Shape,
    Vector,
)

Vectors = tuple[Vector, Vector, Vector]
"""Direct vectors a, b, c."""


def check_volume(vectors: Vectors) -> None:
    """Raise ValueError for vectors [Å] that span no cell."""
    a, b, c = vectors
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    if abs(cross[0] * c[0] + cross[1] * c[1] + cross[2] * c[2]) < 1e-3:
        raise ValueError(f"vectors_A = {[list(row) for row in vectors]} span no volume")


Domains = Annotated[Count, Field(le=1_000_000)]
Cells = Annotated[Count, Field(le=10**9)]
"""Unit cells along an edge; beyond this δN is no longer known to 1e-6 in float64."""


class Mosaic(Part):
    """Mosaic domains: drawn with nanoBragg's generator, or given as rotation matrices."""

    spread_deg: NotNegative = 0.0
    spread_abc_deg: tuple[NotNegative, NotNegative, NotNegative] | None = None
    domains: Domains | None = None
    seed: Seed = 12345678
    matrices_file: File | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        others = self.spread_deg > 0.0 or self.matrices_file is not None
        if self.spread_abc_deg is not None and others:
            raise ValueError("spread_abc_deg excludes spread_deg and matrices_file; give one")
        return self


class Crystal(Part):
    """The unit cell, its orientation, the size and shape of the crystal and its domains."""

    cell_A_deg: tuple[Positive, Positive, Positive, Positive, Positive, Positive] | None = None
    mosflm_matrix_file: File | None = None
    vectors_A: Vectors | None = None
    """Direct vectors a, b, c in the laboratory, where the spindle is at 0."""
    space_group: str | None = None
    misset_deg: Vector | Literal["random"] | None = None
    misset_seed: Seed = 1
    cells: tuple[Cells, Cells, Cells] = (1, 1, 1)
    size_um: Positive | tuple[Positive, Positive, Positive] | None = None
    volume_um3: Positive | None = None
    block_um: Positive | tuple[Positive, Positive, Positive] | None = None
    B_A2: NotNegative = 0.0
    size_mm: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    shape: Shape = "square"
    fudge: Positive = 1.0
    mosaic: Mosaic = Mosaic()

    @property
    def has_cell(self) -> bool:
        """Whether the crystal itself says what its cell is."""
        given = (self.cell_A_deg, self.mosflm_matrix_file, self.vectors_A)
        return any(value is not None for value in given)

    @model_validator(mode="after")
    def _one_cell(self) -> Self:
        if self.vectors_A is not None:
            if self.cell_A_deg is not None or self.mosflm_matrix_file is not None:
                raise ValueError("vectors_A excludes cell_A_deg and mosflm_matrix_file; give one")
            check_volume(self.vectors_A)
        return self

    @model_validator(mode="after")
    def _has_cells(self) -> Self:
        if self.size_um is not None and self.volume_um3 is not None:
            raise ValueError("size_um and volume_um3 are both given; give one")
        if any(self.size_mm) and (self.size_um or self.volume_um3 or self.block_um):
            raise ValueError(
                "size_mm is the size of one coherent block, as nanoBragg has it; it excludes "
                "size_um, volume_um3 and block_um"
            )
        if self.block_um is not None and self.cells != (1, 1, 1):
            raise ValueError("block_um and cells are both the size of a mosaic block; give one")
        sized = self.size_um is not None or self.volume_um3 is not None
        if sized and self.block_um is None and self.cells == (1, 1, 1):
            raise ValueError("size_um or volume_um3 needs the mosaic blocks' size: give block_um "
                             "or cells")  # fmt: skip
        return self
