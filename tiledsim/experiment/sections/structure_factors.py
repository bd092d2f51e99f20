"""Where structure factors come from."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.sections.part import File, NotNegative, Part, Positive, Real, Switch

FileFormat = Literal["auto", "text", "fdump", "mtz", "sf-cif", "pdb", "mmcif"]


class StructureFactors(Part):
    """Structure factors: a file of reflections or atoms, or one value for all."""

    file: File | None = None
    """MTZ, mmCIF, PDB or text; recognised by content."""
    format: FileFormat = "auto"
    """Of the file, where its content does not decide."""
    hkl_file: File | None = None
    """Lines of h k l F, as nanoBragg's -hkl."""
    fdump_file: File | None = None
    """nanoBragg's Fdump.bin."""
    default_F: Real = 0.0
    """Amplitude of reflections that no table has."""
    interpolate: Switch | Literal["auto"] = "auto"
    """Tricubic between Miller indices; auto: where a block has two cells or fewer along an edge."""
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] | None = None
    """Names of the file's columns: one, or F(+) and F(−)."""
    intensities: Literal["french-wilson", "sqrt"] = "french-wilson"
    """How amplitudes come from them."""
    scale: Positive | Literal["electrons", "model"] | None = None
    """To electrons per cell: a factor, by a model, or none needed."""
    fill_missing: Switch = False
    """Reflections that the file lacks have the model's amplitudes."""
    model_file: File | None = None
    """Coordinates that scale and fill."""
    dmin_A: Positive | None = None
    """Resolution of sums over atoms; that of the detector's corner by default."""
    solvent_k_e_per_A3: NotNegative = 0.35
    """Density of the bulk solvent; 0: none."""
    solvent_B_A2: NotNegative = 46.0
    """Of the bulk solvent."""
    f_prime: dict[str, tuple[Real, Real]] = Field(default_factory=dict)
    """f′ and f″ of elements, in place of the table's."""
    anomalous: tuple[str, ...] = ()
    """Elements whose f′ and f″ follow the wavelength of each source."""

    @property
    def source(self) -> Path | None:
        """The file that structure factors come from, whichever key names it."""
        return self.file or self.hkl_file or self.fdump_file

    @model_validator(mode="after")
    def _something_scatters(self) -> Self:
        given = [n for n in ("file", "hkl_file", "fdump_file") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; give one")
        if not given and self.default_F == 0.0:
            raise ValueError("nothing scatters: give file, hkl_file, fdump_file or a default_F "
                             "above 0")  # fmt: skip
        needs_file = [
            name
            for name in ("columns", "fill_missing", "model_file", "anomalous", "scale", "f_prime")
            if getattr(self, name)
        ]
        if needs_file and self.file is None:
            raise ValueError(f"{needs_file[0]} is about what a file holds; give file too")
        return self
