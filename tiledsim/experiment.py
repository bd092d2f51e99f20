"""What a person describes: beam, crystal, rotation, detector, sampling and shots.

Every field carries its unit in its name.  Values are checked when they are set; what depends on
several of them (a geometry, a cell, the sources) is checked where it is computed, by
:func:`tiledsim.build.build_scene`.  Fields left out have the defaults of nanoBragg.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tiledsim.errors import ExperimentError
from tiledsim.quirks import Mode, Quirk, quirks_of
from tiledsim.units import DEFAULT_FLUENCE, energy_to_wavelength_A

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Vector = tuple[Real, Real, Real]
Convention = Literal["mosflm", "denzo", "adxv", "xds", "dials", "custom"]
Pivot = Literal["beam", "sample"]
Shape = Literal["square", "round", "gauss", "tophat"]


class Part(BaseModel):
    """A frozen piece of an experiment that knows its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _axes_are_not_zero(self) -> Self:
        for name, field in type(self).model_fields.items():
            if "axis" in name or name in ("direction", "normal"):
                value = getattr(self, name)
                if value is not None and not any(value):
                    raise ValueError(f"{name} has length 0 ({field.description or 'a direction'})")
        return self


class Spectrum(Part):
    """Explicit wavelengths with their weights, along the beam."""

    wavelengths_A: Annotated[tuple[Positive, ...], Field(min_length=1)]
    weights: tuple[NotNegative, ...] | None = None

    @model_validator(mode="after")
    def _as_many_weights(self) -> Self:
        if self.weights is not None:
            if len(self.weights) != len(self.wavelengths_A):
                raise ValueError(
                    f"{len(self.wavelengths_A)} wavelengths_A and {len(self.weights)} weights; "
                    "give one weight for each wavelength"
                )
            if not sum(self.weights) > 0:
                raise ValueError("the weights of the spectrum sum to 0; at least one must be > 0")
        return self


class Beam(Part):
    """The incident beam."""

    wavelength_A: Positive | None = None
    energy_eV: Positive | None = None
    fluence_photons_per_m2: NotNegative = DEFAULT_FLUENCE
    flux_photons_per_s: NotNegative | None = None
    exposure_s: Positive = 1.0
    beamsize_mm: Positive = 0.1
    polarization: Annotated[float, Field(ge=-1, le=1)] = 0.0
    polarization_correction: bool = True
    direction: Vector | None = None
    polarization_axis: Vector | None = None
    hdiv_range_mrad: Real | None = None
    hdiv_step_mrad: Real | None = None
    hdiv_steps: int | None = None
    vdiv_range_mrad: Real | None = None
    vdiv_step_mrad: Real | None = None
    vdiv_steps: int | None = None
    round_divergence: bool = True
    dispersion_percent: NotNegative = 0.0
    dispersion_steps: int | None = None
    source_file: Path | None = None
    spectrum: Spectrum | None = None

    @model_validator(mode="after")
    def _one_wavelength(self) -> Self:
        if self.wavelength_A is not None and self.energy_eV is not None:
            raise ValueError("wavelength_A and energy_eV are both given; give one")
        if self.wavelength_A is None and self.energy_eV is None and self.spectrum is None:
            raise ValueError("no wavelength: give wavelength_A, energy_eV or a spectrum")
        if self.source_file is not None and self.spectrum is not None:
            raise ValueError("source_file and spectrum are both given; give one")
        return self

    @property
    def central_wavelength_A(self) -> float:
        """Wavelength λ₀ [Å]: as given, or the weighted mean of the spectrum."""
        if self.wavelength_A is not None:
            return self.wavelength_A
        if self.energy_eV is not None:
            return energy_to_wavelength_A(self.energy_eV)
        assert self.spectrum is not None  # by _one_wavelength
        weights = self.spectrum.weights or (1.0,) * len(self.spectrum.wavelengths_A)
        pairs = zip(self.spectrum.wavelengths_A, weights, strict=True)
        return sum(wavelength * w for wavelength, w in pairs) / sum(weights)

    @property
    def fluence(self) -> float:
        """Fluence Φ [photons/m²]: flux·exposure/beamsize² where a flux is given."""
        if self.flux_photons_per_s:
            beamsize_m = self.beamsize_mm / 1000
            return self.flux_photons_per_s * self.exposure_s / beamsize_m / beamsize_m
        return self.fluence_photons_per_m2


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
    misset_deg: Vector | Literal["random"] | None = None
    misset_seed: int = 1
    cells: tuple[int, int, int] = (1, 1, 1)
    size_mm: tuple[NotNegative, NotNegative, NotNegative] = (0.0, 0.0, 0.0)
    shape: Shape = "square"
    fudge: Positive = 1.0
    mosaic: Mosaic = Mosaic()

    @model_validator(mode="after")
    def _has_a_cell(self) -> Self:
        if self.cell_A_deg is None and self.mosflm_matrix_file is None:
            raise ValueError("no unit cell: give cell_A_deg or mosflm_matrix_file")
        if any(n < 1 for n in self.cells):
            raise ValueError(f"cells = {list(self.cells)}: each must be at least 1")
        return self


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


class Rotation(Part):
    """The rotation of the crystal about the spindle during the exposure."""

    start_deg: Real = 0.0
    range_deg: Real | None = None
    step_deg: Real | None = None
    steps: int | None = None
    axis: Vector | None = None


class Sensor(Part):
    """Absorption in a sensor of some thickness, in layers."""

    depth_um: NotNegative | None = None
    thickness_um: NotNegative = 0.0
    layers: int | None = None


class Panel(Part):
    """One panel of a detector of several: the corner of its pixel 0,0 and its axes, in the lab."""

    origin_mm: Vector
    fast_axis: Vector
    slow_axis: Vector


class Detector(Part):
    """The detector: its pixels, where it stands and how it is turned."""

    convention: Convention = "mosflm"
    pixel_mm: Positive = 0.1
    size_px: tuple[Count, Count] = (1024, 1024)
    distance_mm: Positive = 100.0
    close_distance_mm: Positive | None = None
    beam_x_mm: Real | None = None
    beam_y_mm: Real | None = None
    near_x_mm: Real | None = None
    near_y_mm: Real | None = None
    org_x_px: Real | None = None
    org_y_px: Real | None = None
    pivot: Pivot | None = None
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    two_theta_deg: Real = 0.0
    fast_axis: Vector | None = None
    slow_axis: Vector | None = None
    normal: Vector | None = None
    two_theta_axis: Vector | None = None
    pix0_mm: Vector | None = None
    panels: tuple[Panel, ...] = ()
    curved: bool = False
    point_pixel: bool = False
    sensor: Sensor = Sensor()
    roi: tuple[int, int, int, int] | None = None
    mask_file: Path | None = None

    @model_validator(mode="after")
    def _roi_inside(self) -> Self:
        if self.roi is not None:
            fast_min, fast_max, slow_min, slow_max = self.roi
            fast, slow = self.size_px
            if not (0 <= fast_min <= fast_max < fast and 0 <= slow_min <= slow_max < slow):
                raise ValueError(
                    f"roi = {list(self.roi)} (fast_min, fast_max, slow_min, slow_max, inclusive) "
                    f"is not inside a detector of {fast} x {slow} pixels (fast x slow)"
                )
        return self


class Sampling(Part):
    """How finely pixels are sampled, and nanoBragg's switches for the corrections."""

    oversample: Count | Literal["auto"] = "auto"
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    dmin_A: NotNegative = 0.0


class Background(Part):
    """Scattering from a drop of water."""

    water_um: NotNegative = 0.0


class Shots(Part):
    """Several exposures of the same crystal in other orientations."""

    count: Count = 1
    orientation: Literal["same", "random"] = "same"
    seed: int = 1
    misset_deg: tuple[Vector, ...] | None = None

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


class Experiment(Part):
    """Everything that determines the images of a run.  Dimensions: (shot, panel, slow, fast)."""

    version: Literal[1] = 1
    title: str = ""
    mode: Mode = "spec"
    quirks: tuple[Quirk, ...] | None = None
    beam: Beam
    crystal: Crystal
    structure_factors: StructureFactors
    detector: Detector = Detector()
    rotation: Rotation = Rotation()
    sampling: Sampling = Sampling()
    background: Background = Background()
    shots: Shots = Shots()

    @property
    def active_quirks(self) -> frozenset[Quirk]:
        """The quirks in force: those listed, or else those of the mode."""
        return quirks_of(self.mode) if self.quirks is None else frozenset(self.quirks)

    @classmethod
    def from_toml(cls, text: str, base: Path) -> Self:
        """Read an experiment from TOML; file names are relative to the folder ``base``.

        Raises ExperimentError, in one line that names the key, for anything not understood.
        """
        from tiledsim.io.toml import experiment_error, parse_experiment

        try:
            return cls(**parse_experiment(text, base))
        except ValidationError as error:
            raise experiment_error(cls, error) from None

    def to_toml(self) -> str:
        """Write the experiment as TOML, without the fields that have their default."""
        from tiledsim.io.toml import format_experiment

        return format_experiment(self)

    def replace(self, **fields: Any) -> Self:
        """Return a checked copy with some top-level fields replaced."""
        return type(self)(
            **{name: getattr(self, name) for name in type(self).model_fields} | fields
        )


def load(path: str | Path) -> Experiment:
    """Read an experiment from a TOML file.

    Raises InputFileError if it cannot be read and ExperimentError if it cannot be understood.
    """
    from tiledsim.io.text import read_text

    path = Path(path)
    text = read_text(path, "experiment")
    try:
        return Experiment.from_toml(text, path.parent)
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from None
