"""What scatters besides the crystal."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import File, NotNegative, Part, Positive

NO_TABLE: Final = {
    "ice": "its rings depend on grain size and texture, and no table states both",
    "paratone": "no measured table of it with its composition is at hand",
}
"""Names that people try, and why there is no built-in of that name."""


class AmorphousLayer(Part):
    """A slab of something amorphous across the beam, by name or as a table of F."""

    material: Literal["water", "air", "helium", "ice", "paratone"] | None = None
    """A built-in table: what the slab is made of."""
    stol_file: File | None = None
    """sin θ/λ (or 4 sin θ/λ, or Q) and F [electrons per molecule]."""
    unit: Literal["stol", "4stol", "Q"] = "stol"
    """Of the table's first column: sin θ/λ or 4 sin θ/λ [1/Å], or Q = 4π sin θ/λ [1/Å]."""
    thickness_mm: Positive
    """Along the beam."""
    density_g_per_cm3: Positive | None = None
    """A material has its own."""
    molecular_weight_g_per_mol: Positive | None = None
    """Of the molecule that F is for."""
    absorption_length_mm: Positive | None = None
    """Path over which the slab takes 1 − 1/e of a beam; with it the slab absorbs what it scatters.
    A material has its own."""

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if (self.material is None) == (self.stol_file is None):
            raise ValueError("give material or stol_file, one of them")
        if self.material in NO_TABLE:
            raise ValueError(
                f"material = '{self.material}' has no built-in table: {NO_TABLE[self.material]}; "
                "give stol_file, density_g_per_cm3 and molecular_weight_g_per_mol"
            )
        if self.stol_file is not None:
            for name in ("density_g_per_cm3", "molecular_weight_g_per_mol"):
                if getattr(self, name) is None:
                    raise ValueError(f"stol_file needs {name} too")
        elif "unit" in self.model_fields_set or self.molecular_weight_g_per_mol is not None:
            raise ValueError(
                "unit and molecular_weight_g_per_mol belong to a stol_file; a material has its own"
            )
        return self


class Background(Part):
    """Scattering from a drop of water, as nanoBragg has it, and from amorphous layers."""

    water_um: NotNegative = 0.0
    """Edge of a cube of water with nanoBragg's F of 2.57 electrons at every angle."""
    layers: Annotated[tuple[AmorphousLayer, ...], Field(max_length=1000)] = ()
    """Slabs that scatter, in any number."""
