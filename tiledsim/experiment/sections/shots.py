"""Several exposures in one run, and what differs between them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from tiledsim.experiment.sections.crystal import Vectors, check_volume
from tiledsim.experiment.sections.part import (
    Brightness,
    Count,
    NotNegative,
    Part,
    Positive,
    Real,
    Seed,
    Value,
    Vector,
)

if TYPE_CHECKING:
    from tiledsim.campaign.rows import Rows

ShotCount = Annotated[Count, Field(le=10_000_000)]


class Column(Part):
    """How the values of one column are made: one key, and what belongs to it."""

    uniform: tuple[Value, Value] | None = None
    """Lowest and highest."""
    normal: tuple[Value, Brightness] | None = None
    """Mean and standard deviation."""
    lognormal: tuple[Annotated[Brightness, Field(gt=0)], NotNegative] | None = None
    """Median, and standard deviation of the natural logarithm."""
    choice: Annotated[tuple[Value | str, ...], Field(min_length=1)] | None = None
    """Values that are drawn from."""
    weights: tuple[NotNegative, ...] | None = None
    """Of the choices."""
    linspace: tuple[Value, Value, Count] | None = None
    """First, last and number of values."""
    list: Annotated[tuple[Value | str, ...], Field(min_length=1)] | None = None
    """Values, one a shot."""
    repeat: bool = False
    """Whether a list or linspace starts again after its last value."""

    @model_validator(mode="after")
    def _one_distribution(self) -> Self:
        kinds = ("uniform", "normal", "lognormal", "choice", "linspace", "list")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            what = f"{' and '.join(given)} are given" if given else "nothing is given"
            raise ValueError(f"{what}; give one of {', '.join(kinds)}")
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise ValueError(f"uniform = {list(self.uniform)}: the lowest value comes first")
        if self.repeat and given[0] not in ("linspace", "list"):
            raise ValueError(f"repeat belongs to linspace and list, not to {given[0]}")
        if self.weights is not None:
            if self.choice is None or len(self.weights) != len(self.choice):
                raise ValueError("weights belong to choice: give one for each of its values")
            if not sum(self.weights) > 0:
                raise ValueError("the weights sum to 0; at least one must be > 0")
        return self


class Sase(Part):
    """Spectra of a free-electron laser: a Gaussian envelope filled with random spikes."""

    bandwidth_eV: Positive
    """Full width at half maximum of the mean spectrum."""
    spike_eV: Positive
    """Full width at half maximum of the correlation of intensities: that of a spike."""
    channels: Annotated[int, Field(ge=2, le=10_000)] = 100
    """Wavelengths of a spectrum."""
    span_eV: Positive | None = None
    """Width of all channels together; three bandwidths by default."""


class Shots(Part):
    """Several exposures of a crystal, and what differs from one to the next."""

    count: ShotCount = 1
    """Number of exposures."""
    orientation: Literal["same", "random", "about_axis", "spread"] = "same"
    """The same in all; uniform in SO(3); about an axis; or within a spread."""
    seed: Seed = 1
    """With the shot's number, of all that is drawn."""
    misset_deg: tuple[Vector, ...] | None = None
    """Three angles a shot."""
    vectors_A: tuple[Vectors, ...] | None = None
    """Direct vectors a, b, c of the crystal of each shot, in place of those of [crystal]."""
    axis: Vector | None = None
    """Of `about_axis`."""
    range_deg: tuple[Real, Real] = (0.0, 360.0)
    """Lowest and highest angle of `about_axis`."""
    spread_deg: NotNegative | None = None
    """σ of each component of the rotation vector of `spread`."""
    columns: dict[str, Column] = Field(default_factory=dict)
    """What else differs, by the column's name."""
    table: Path | None = None
    """Rows from a file: CSV, Parquet or .npz."""
    labels: tuple[str, ...] = ()
    """Columns that no image depends on, though their names resemble those of others."""
    sase: Sase | None = None
    """A spectrum of its own for each shot."""
    spectra_file: Path | None = None
    """Spectra that rows choose from."""
    rows_sha256: str | None = None
    """Of rows that were given in Python (:meth:`tiledsim.Experiment.with_shots`)."""
    _rows: "Rows | None" = PrivateAttr(default=None)

    @property
    def rows(self) -> "Rows | None":
        """The rows that were given in Python."""
        return self._rows

    def with_rows(self, rows: "Rows", count: int | None) -> Self:
        """Return a checked copy with rows that were given in Python."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        made = type(self)(
            **fields | {"rows_sha256": rows.sha256, "count": len(rows) if count is None else count}
        )
        made._rows = rows
        return made

    @property
    def is_campaign(self) -> bool:
        """Whether shots differ in more than the orientations of one list or one seed."""
        drawn = self.orientation in ("about_axis", "spread")
        given = self.table is not None or self.rows_sha256 is not None
        spectra = self.sase is not None or self.spectra_file is not None
        return bool(self.columns) or drawn or given or spectra

    @model_validator(mode="after")
    def _one_crystal_a_shot(self) -> Self:
        if self.vectors_A is not None:
            if self.orientation != "same" or self.misset_deg is not None:
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
            if self.orientation != "same":
                raise ValueError(
                    f"orientation = '{self.orientation}' and misset_deg are both given; give one"
                )
            if len(self.misset_deg) != self.count:
                raise ValueError(
                    f"{len(self.misset_deg)} rows of misset_deg for count = {self.count} shots; "
                    "give one row a shot"
                )
        return self

    @model_validator(mode="after")
    def _orientation_is_whole(self) -> Self:
        needs = {"axis": "about_axis", "spread_deg": "spread"}
        for name, kind in needs.items():
            if (getattr(self, name) is not None) != (self.orientation == kind):
                raise ValueError(
                    f"{name} and orientation = '{kind}' belong together; give both or neither"
                )
        if "range_deg" in self.model_fields_set and self.orientation != "about_axis":
            raise ValueError("range_deg and orientation = 'about_axis' belong together")
        return self

    @model_validator(mode="after")
    def _one_kind_of_spectrum(self) -> Self:
        if self.sase is not None and self.spectra_file is not None:
            raise ValueError("sase and spectra_file are both given; give one")
        return self
