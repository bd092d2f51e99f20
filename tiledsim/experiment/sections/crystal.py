"""The crystal: its cell, orientation, size, shape and mosaic domains."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import (
    Count,
    File,
    NotNegative,
    Part,
    Positive,
    Real,
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
    """Largest angle of the domains' rotations, which are isotropic."""
    spread_abc_deg: tuple[NotNegative, NotNegative, NotNegative] | None = None
    """Widths about a, b and c of an anisotropic one."""
    domains: Domains | None = None
    """Number of domains; 10 by default where there is a spread, else 1."""
    seed: Seed = 12345678
    """Of the domains' rotations."""
    matrices_file: File | None = None
    """Rotation matrices in place of drawn ones: .npy of (domains, 3, 3)."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        others = self.spread_deg > 0.0 or self.matrices_file is not None
        if self.spread_abc_deg is not None and others:
            raise ValueError("spread_abc_deg excludes spread_deg and matrices_file; give one")
        return self


class Absorption(Part):
    """What the crystal itself takes of the photons that it scatters."""

    shape: Literal["slab", "sphere"]
    """A slab across the beam, or a sphere."""
    length_mm: Positive
    """Path after which 1/e of a beam is left, at the beam's wavelength; it goes with λ⁻³."""
    size_um: Positive | None = None
    """Thickness or diameter; the crystal's side along the beam where it is not given."""


class Crystal(Part):
    """The unit cell, its orientation, the size and shape of the crystal and its domains."""

    cell_A_deg: tuple[Positive, Positive, Positive, Positive, Positive, Positive] | None = None
    """a, b, c, α, β, γ."""
    mosflm_matrix_file: File | None = None
    """A MOSFLM orientation matrix: cell and orientation."""
    vectors_A: Vectors | None = None
    """Direct vectors a, b, c in the laboratory, where the spindle is at 0."""
    space_group: str | None = None
    """By its Hermann-Mauguin name or number; that of the file by default."""
    misset_deg: Vector | Literal["random"] | None = None
    """Rotations about x, y and z from the default setting; or `"random"`."""
    misset_seed: Seed = 1
    """Of a random misset."""
    cells: tuple[Cells, Cells, Cells] = (1, 1, 1)
    """Unit cells along a, b and c of the coherent block."""
    cells_ab_bc_ac: tuple[Real, Real, Real] = (0.0, 0.0, 0.0)
    """What makes a gauss block oblique: the elements beside the diagonal of its size tensor, whose
    diagonal is cells."""
    size_um: Positive | tuple[Positive, Positive, Positive] | None = None
    """Edge of a crystal of many blocks, or its edges along the beam, along the polarization axis
    and across both."""
    volume_um3: Positive | None = None
    """In place of size_um."""
    block_um: Positive | tuple[Positive, Positive, Positive] | None = None
    """Edge, or edges, of a mosaic block, in place of cells."""
    B_A2: NotNegative = 0.0
    """Isotropic Debye-Waller factor: F·exp(−B·(sin θ/λ)²)."""
    size_mm: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    """Edges of the coherent block, as nanoBragg's -xtalsize; 0: from cells."""
    shape: Shape = "square"
    """Of the spots: the transform of the block's shape."""
    fudge: Positive = 1.0
    """Scales the width of round, gauss and tophat spots; 1 is the formula."""
    mosaic: Mosaic = Mosaic()
    """Mosaic domains."""
    absorption: Absorption | None = None
    """Absorption by the crystal; without it there is none."""

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
    def _oblique_is_gauss(self) -> Self:
        if any(self.cells_ab_bc_ac) and self.shape != "gauss":
            raise ValueError(
                f"cells_ab_bc_ac belongs to blocks of shape = 'gauss', not '{self.shape}'"
            )
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
