"""Where structure factors come from."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from tiledsim.experiment.part import Part, Real


class StructureFactors(Part):
    """Structure factors: a text table, a dump of nanoBragg, or one value for all."""

    hkl_file: Path | None = None
    fdump_file: Path | None = None
    default_F: Real = 0.0
    interpolate: bool | Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _something_scatters(self) -> Self:
        if self.hkl_file is not None and self.fdump_file is not None:
            raise ValueError("hkl_file and fdump_file are both given; give one")
        if self.hkl_file is None and self.fdump_file is None and self.default_F == 0.0:
            raise ValueError("nothing scatters: give hkl_file, fdump_file or a default_F above 0")
        return self
