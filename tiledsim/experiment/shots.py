"""Several exposures in one run."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiledsim.experiment.crystal import Vectors, check_volume
from tiledsim.experiment.part import Count, Part, Seed, Vector

ShotCount = Annotated[Count, Field(le=10_000_000)]


class Shots(Part):
    """Several exposures of the same crystal in other orientations."""

    count: ShotCount = 1
    orientation: Literal["same", "random"] = "same"
    seed: Seed = 1
    misset_deg: tuple[Vector, ...] | None = None
    vectors_A: tuple[Vectors, ...] | None = None
    """Direct vectors a, b, c of the crystal of each shot, in place of those of [crystal]."""

    @model_validator(mode="after")
    def _one_crystal_a_shot(self) -> Self:
        if self.vectors_A is not None:
            if self.orientation == "random" or self.misset_deg is not None:
                raise ValueError("vectors_A excludes misset_deg and orientation; give one")
            if len(self.vectors_A) != self.count:
                raise ValueError(
                    f"vectors_A of {len(self.vectors_A)} crystals for count = {self.count} shots; "
                    "give those of one a shot"
                )
            for vectors in self.vectors_A:
                check_volume(vectors)
        return self

    @model_validator(mode="after")
    def _one_misset_a_shot(self) -> Self:
        if self.misset_deg is not None:
            if self.orientation == "random":
                raise ValueError("orientation = 'random' and misset_deg are both given; give one")
            if len(self.misset_deg) != self.count:
                raise ValueError(
                    f"{len(self.misset_deg)} rows of misset_deg for count = {self.count} shots; "
                    "give one row a shot"
                )
        return self
