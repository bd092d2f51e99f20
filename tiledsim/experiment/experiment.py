"""Everything that determines the images of a run, read from TOML and written to it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from tiledsim.errors import ExperimentError
from tiledsim.experiment.consistency import contradictions, given_values, notes
from tiledsim.experiment.sections.background import Background
from tiledsim.experiment.sections.beam import Beam
from tiledsim.experiment.sections.crystal import Crystal
from tiledsim.experiment.sections.detector import Detector
from tiledsim.experiment.sections.noise import Noise
from tiledsim.experiment.sections.part import Part, not_true
from tiledsim.experiment.sections.rotation import Rotation
from tiledsim.experiment.sections.sampling import Sampling
from tiledsim.experiment.sections.shots import Shots
from tiledsim.experiment.sections.structure_factors import StructureFactors
from tiledsim.quirks import Mode, Quirk, quirks_of

Preset = bool | int | float | str
"""A value of the ``[run]`` table, whatever TOML has."""


def _as_given(part: Any) -> Any:
    """Return the keys that were given, of a section that is made already."""
    return part.model_dump(exclude_unset=True) if isinstance(part, Part) else part


class Experiment(Part):
    """Everything that determines the images of a run.  Dimensions: (shot, panel, slow, fast)."""

    version: Annotated[Literal[1], BeforeValidator(not_true)] = 1
    """Of the format of experiment files."""
    title: str = ""
    """For people."""
    mode: Mode = "spec"
    """`spec`: the formulas of docs/physics.md; `c-parity`: what nanoBragg.c computes."""
    quirks: tuple[Quirk, ...] | None = None
    """Departures of nanoBragg.c that are in force, by name, in place of those of the mode."""
    beam: Beam
    """The incident beam."""
    crystal: Crystal = Crystal()
    """The crystal."""
    structure_factors: StructureFactors
    """Where structure factors come from."""
    detector: Detector = Detector()
    """The detector."""
    rotation: Rotation = Rotation()
    """How the crystal turns during the exposure."""
    sampling: Sampling = Sampling()
    """How finely pixels are sampled."""
    background: Background = Background()
    """What scatters besides the crystal."""
    noise: Noise | None = None
    """Counts in place of photons, where the section is given."""
    shots: Shots = Shots()
    """Several exposures."""
    run: dict[str, Preset | list[Preset] | dict[str, Preset | list[Preset]]] = Field(
        default_factory=dict
    )
    """Options of a run that the file presets, as they were written; no image depends on them, and
    :mod:`tiledsim.scheduler.presets` says what they may be."""

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, given: Any) -> Any:
        """Put what a geometry file or a detector's name says in their place."""
        if not isinstance(given, Mapping):
            return given
        detector = _as_given(given.get("detector"))
        if not isinstance(detector, Mapping) or not (
            detector.get("geometry") or detector.get("model")
        ):
            return given
        from tiledsim.geometry_files.expand import expand

        return expand({name: _as_given(value) for name, value in given.items()})

    @model_validator(mode="after")
    def _has_a_cell(self) -> Self:
        if not self.crystal.has_cell and self.structure_factors.file is None:
            raise ValueError(
                "[crystal] no unit cell: give cell_A_deg or mosflm_matrix_file, or "
                "structure_factors.file of a kind that has one"
            )
        return self

    @model_validator(mode="after")
    def _polarization_is_one(self) -> Self:
        if self.mode == "spec" and abs(self.beam.polarization) > 1.0:
            raise ValueError(
                f"beam.polarization = {self.beam.polarization:g}: must be a number from -1 to 1"
            )
        return self

    @model_validator(mode="after")
    def _distances_are_above_zero(self) -> Self:
        detector, close = self.detector, self.detector.close_distance_mm
        if detector.distance_mm < 0.0 or (self.mode == "spec" and detector.distance_mm == 0.0):
            raise ValueError(f"detector.distance_mm = {detector.distance_mm:g}: must be above 0")
        if self.mode == "spec" and close is not None and close <= 0.0:
            raise ValueError(f"detector.close_distance_mm = {close:g}: must be above 0")
        return self

    @model_validator(mode="after")
    def _roi_holds_pixels(self) -> Self:
        if self.mode == "spec" and self.detector.roi_is_empty:
            raise ValueError(
                f"[detector] roi = {list(self.detector.roi or ())} (fast_min, fast_max, slow_min, "
                "slow_max, inclusive) holds no pixel"
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_shots(self) -> Self:
        if self.rotation.frames is not None:
            if self.shots != Shots():
                raise ValueError(
                    "rotation.frames and [shots] are both given; the frames of a series are shots"
                )
            if "phi_carryover" in self.active_quirks:
                raise ValueError(
                    "rotation.frames is not for the quirk phi_carryover (mode c-parity), which is "
                    "that of a single exposure; render the frames one by one, or in mode spec"
                )
        return self

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        found = contradictions(given_values(self))
        if found:
            raise ValueError("; ".join(found))
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What was given and changes nothing, a line each, with the condition."""
        return tuple(notes(given_values(self)))

    def with_shots(self, table: Any, count: int | None = None) -> Self:
        """Return a copy whose shots have the rows of a table.

        Parameters
        ----------
        table
            A dict of columns, a DataFrame or a structured array; columns as docs/campaigns.md
            names them, any other being a label.
        count
            Number of shots, the first rows; all rows by default.

        Returns
        -------
        Experiment
            Another experiment; this one stays as it is.

        Raises
        ------
        ExperimentError
            For a table that cannot be used.
        """
        from tiledsim.campaign.rows import rows_of

        return self.replace(shots=self.shots.with_rows(rows_of(table), count))

    @property
    def shot_count(self) -> int:
        """Images in a run: the frames of a series, or the shots."""
        return self.rotation.frames or self.shots.count

    @property
    def active_quirks(self) -> frozenset[Quirk]:
        """The quirks in force: those listed, or else those of the mode."""
        return quirks_of(self.mode) if self.quirks is None else frozenset(self.quirks)

    @classmethod
    def from_toml(cls, text: str, base: Path, changes: Sequence[str] = ()) -> Self:
        """Read an experiment from TOML.

        Parameters
        ----------
        text
            An experiment file's text.
        base
            The folder that names of files in it are relative to.
        changes
            ``key=value`` each, such as ``rotation.start_deg=90``; the value is TOML, and a key
            without one is removed.  Names of files in them are relative to the current folder.

        Returns
        -------
        Experiment
            Checked as a whole.

        Raises
        ------
        ExperimentError
            For anything not understood, with a sentence for each mistake that names its key.
        """
        from tiledsim.experiment.toml import experiment_error, parse_experiment

        fields = parse_experiment(text, base, changes)
        try:
            return cls(**fields)
        except ValidationError as error:
            raise experiment_error(cls, error, fields) from None

    def to_toml(self) -> str:
        """Write the experiment as TOML.

        Returns
        -------
        str
            What :meth:`from_toml` reads back as an equal experiment; fields that have their
            default are left out, and names of files are absolute.

        Raises
        ------
        ExperimentError
            Where a text or a name of a file holds characters that TOML cannot.
        """
        from tiledsim.experiment.toml import format_experiment

        return format_experiment(self)

    def replace(self, **fields: Any) -> Self:
        """Return a checked copy with some top-level fields replaced.

        Parameters
        ----------
        **fields
            Sections by name, such as ``beam=experiment.beam.model_copy(update={...})``.

        Returns
        -------
        Experiment
            Another experiment; this one stays as it is.

        Raises
        ------
        pydantic.ValidationError
            For values that an experiment cannot have.
        """
        return type(self)(
            **{name: getattr(self, name) for name in type(self).model_fields} | fields
        )


def load(path: str | Path, changes: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a TOML file, with some of its keys given another value.

    Parameters
    ----------
    path
        The file; names of files in it are relative to its folder.
    changes
        ``key=value`` each, such as ``rotation.start_deg=90``; the value is TOML, and a key without
        one is removed.  Names of files in them are relative to the current folder.

    Returns
    -------
    Experiment
        Checked as a whole; no file that it names is read yet but those of geometry.

    Raises
    ------
    InputFileError
        For a file that cannot be read.
    ExperimentError
        For one that cannot be understood, with a sentence for each mistake that names its key.
    """
    from tiledsim.experiment.toml import LARGEST_EXPERIMENT
    from tiledsim.io.paths import user_path
    from tiledsim.io.text import read_text

    path = user_path(path)
    text = read_text(path, "experiment", LARGEST_EXPERIMENT)
    try:
        return Experiment.from_toml(text, path.parent, changes)
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from None
