"""nanoBragg's flags: how each is spelt, what it takes and which key of an experiment it sets.

nanoBragg compares the start of a word only, so that ``-wave``, ``-wavelength`` and ``-wave_A`` are
one flag; a name that it compares as a whole ends in ``$`` here.  Units are those of the keys.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tiledsim.errors import ExperimentError
from tiledsim.experiment.sections.part import Pivot
from tiledsim.experiment.validation import nearest

LARGEST_SEED: Final = 2**31 - 2
_LONGEST_WORD: Final = 2048
"""Characters of a word of a command line; longer ones are neither numbers nor names of files."""
"""The largest state of nanoBragg's generator."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag with its aliases."""

    names: tuple[str, ...]
    takes: Literal["nothing", "number", "whole number", "file"] = "nothing"
    least: int = 1
    """How many values it takes at least."""
    most: int = 1
    words: tuple[str, ...] = ()
    """Words that stand in place of its numbers."""
    keys: tuple[str, ...] = ()
    """Dotted keys that its values set: one value for all of them, or one key for all values."""
    sets: Mapping[str, Any] = field(default_factory=dict)
    """Keys that it sets whatever its value."""
    minimum: int | None = None
    maximum: int | None = None
    pivot: Pivot | None = None
    """The pivot that it selects by being there."""
    idle: bool = False
    """True if it changes no pixel, in nanoBragg neither."""
    instead: str = ""
    """The flag that does what nanoBragg's documentation says of this one, which is not read."""

    @property
    def name(self) -> str:
        """The name by which messages call it."""
        return self.names[0].removesuffix("$")

    @property
    def wants(self) -> str:
        """What it takes, in words."""
        if self.takes == "nothing":
            return "nothing"
        if self.takes == "file":
            return "the name of a file"
        if self.most == 0:
            return " or ".join(f"'{word}'" for word in self.words)
        count = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        text = f"a {self.takes}" if self.most == 1 else f"{count} {self.takes}s"
        if self.minimum is not None:
            text += f" of at least {self.minimum}" if self.maximum is None else ""
        if self.maximum is not None:
            text += f" from {self.minimum or 0} to {self.maximum}"
        return " or ".join([text, *(f"'{word}'" for word in self.words)])


def _number(*names: str, keys: tuple[str, ...] = (), **more: Any) -> Flag:
    return Flag(names, "number", keys=keys, **more)


def _count(*names: str, keys: tuple[str, ...]) -> Flag:
    return Flag(names, "whole number", keys=keys, minimum=1)


def _seed(name: str, *keys: str) -> Flag:
    return Flag((name,), "whole number", keys=keys, minimum=0, maximum=LARGEST_SEED)


def _vector(name: str, *keys: str) -> Flag:
    return Flag((name,), "number", 3, 3, keys=keys, sets={"detector.convention": "custom"})


def _file(*names: str, key: str, **sets: Any) -> Flag:
    return Flag(names, "file", keys=(key,), sets=sets)


def _switch(*names: str, **sets: Any) -> Flag:
    return Flag(names, sets={key.replace("__", "."): value for key, value in sets.items()})


def _convention(name: str, pivot: Pivot) -> Flag:
    return Flag((f"-{name}",), sets={"detector.convention": name}, pivot=pivot)


def _idle(*names: str, **more: Any) -> Flag:
    return Flag(names, idle=True, **more)


_CELLS = tuple(f"crystal.cells[{i}]" for i in range(3))
_SIZE = tuple(f"crystal.size_mm[{i}]" for i in range(3))
_PIXELS = ("detector.size_px[0]", "detector.size_px[1]")
_SIDES = ("side_f_mm", "side_s_mm")  # resolved into pixels when all is read

FLAGS: Final[tuple[Flag, ...]] = (
    # crystal
    _file("-mat", key="crystal.mosflm_matrix_file"),
    Flag(("-cell",), "number", 1, 6),
    Flag(("-misset",), "number", 3, 3, words=("random",), keys=("crystal.misset_deg",)),
    _seed("-misset_seed", "crystal.misset_seed"),
    _count("-N$", keys=_CELLS),
    _count("-Na", keys=_CELLS[:1]),
    _count("-Nb", keys=_CELLS[1:2]),
    _count("-Nc", keys=_CELLS[2:]),
    _number("-xtalsize", "-xtal_size", "-samplesize", "-sample_size", keys=_SIZE),
    _number("-xtal_x", "-xtal_thick", "-sample_x", "-sample_thick", keys=_SIZE[:1]),
    _number("-xtal_y", "-xtal_width", "-sample_y", "-sample_width", "-width", keys=_SIZE[1:2]),
    _number("-xtal_z", "-xtal_heigh", "-sample_z", "-sample_heigh", "-heigh", keys=_SIZE[2:]),
    _switch("-square_xtal", crystal__shape="square"),
    _switch("-round_xtal", crystal__shape="round"),
    _switch("-gauss_xtal", crystal__shape="gauss"),
    _switch("-tophat_spots", "-binary_spots", crystal__shape="tophat"),
    _number("-fudge", keys=("crystal.fudge",)),
    _number("-mosaic$", "-mosaici", "-mosaic_spr", keys=("crystal.mosaic.spread_deg",)),
    _count("-mosaic_domains", "-mosaic_dom", keys=("crystal.mosaic.domains",)),
    _seed("-mosaic_seed", "crystal.mosaic.seed"),
    # structure factors
    _file("-hkl", key="structure_factors.hkl_file"),
    _number("-default_F", keys=("structure_factors.default_F",)),
    _file("-dump", key="dump"),
    _switch("-interpolate", structure_factors__interpolate=True),
    _switch("-nointerpolate", structure_factors__interpolate=False),
    # beam
    _number("-lambda", "-wave", keys=("beam.wavelength_A",), sets={"beam.energy_eV": None}),
    _number("-energy", keys=("beam.energy_eV",), sets={"beam.wavelength_A": None}),
    _number("-fluence", keys=("beam.fluence_photons_per_m2",)),
    _number("-flux", keys=("beam.flux_photons_per_s",)),
    _number("-exposure", keys=("beam.exposure_s",)),
    _number("-beamsize", keys=("beam.beamsize_mm",)),
    _number("-polar$", keys=("beam.polarization",), sets={"beam.polarization_correction": True}),
    _switch("-nopolar", beam__polarization_correction=False),
    _number("-dispersion", keys=("beam.dispersion_percent",)),
    _count("-dispsteps", keys=("beam.dispersion_steps",)),
    _number("-divergence", keys=("beam.hdiv_range_mrad", "beam.vdiv_range_mrad")),
    _count("-divsteps", keys=("beam.hdiv_steps", "beam.vdiv_steps")),
    _number("-hdivrange", keys=("beam.hdiv_range_mrad",)),
    _number("-hdivstep$", keys=("beam.hdiv_step_mrad",)),
    _count("-hdivsteps", keys=("beam.hdiv_steps",)),
    _number("-vdivrange", keys=("beam.vdiv_range_mrad",)),
    _number("-vdivstep$", keys=("beam.vdiv_step_mrad",)),
    _count("-vdivsteps", keys=("beam.vdiv_steps",)),
    _switch("-round_div", beam__round_divergence=True),
    _switch("-square_div", beam__round_divergence=False),
    _file("-sourcefile", key="beam.source_file"),
    # rotation
    _number("-phi$", keys=("rotation.start_deg",)),
    _number("-osc", keys=("rotation.range_deg",)),
    _number("-phistep$", keys=("rotation.step_deg",)),
    _count("-phisteps", keys=("rotation.steps",)),
    # detector
    _convention("mosflm", "beam"),
    _convention("denzo", "beam"),
    _convention("adxv", "beam"),
    _convention("xds", "sample"),
    _convention("dials", "beam"),
    _vector("-fdet_vector", "detector.fast_axis"),
    _vector("-sdet_vector", "detector.slow_axis"),
    _vector("-odet_vector", "detector.normal"),
    _vector("-beam_vector", "beam.direction"),
    _vector("-polar_vector", "beam.polarization_axis"),
    _vector("-spindle_axis", "rotation.axis"),
    _vector("-twotheta_axis", "detector.two_theta_axis"),
    _vector("-pix0_vector"),  # metres
    _vector("-pix0_vector_mm", "detector.pix0_mm"),
    _number("-pixel", keys=("detector.pixel_mm",)),
    _number("-detsize$", keys=_SIDES),
    _number("-detsize_f", keys=_SIDES[:1]),
    _number("-detsize_s", keys=_SIDES[1:]),
    _count("-detpixels$", keys=_PIXELS),
    _count("-detpixels_x", "-detpixels_f", keys=_PIXELS[:1]),
    _count("-detpixels_y", "-detpixels_s", keys=_PIXELS[1:]),
    _number("-distance", keys=("detector.distance_mm",), pivot="beam"),
    _number("-close_distance", keys=("detector.close_distance_mm",), pivot="sample"),
    _number("-Xbeam", keys=("detector.beam_x_mm",), pivot="beam"),
    _number("-Ybeam", keys=("detector.beam_y_mm",), pivot="beam"),
    _number("-Xclose", keys=("detector.near_x_mm",), pivot="sample"),
    _number("-Yclose", keys=("detector.near_y_mm",), pivot="sample"),
    _number("-ORGX", keys=("detector.org_x_px",), pivot="sample"),
    _number("-ORGY", keys=("detector.org_y_px",), pivot="sample"),
    Flag(("-pivot",), "number", 0, 0, words=("beam", "sample")),
    _number("-detector_rotx", keys=("detector.rotation_deg[0]",)),
    _number("-detector_roty", keys=("detector.rotation_deg[1]",)),
    _number("-detector_rotz", keys=("detector.rotation_deg[2]",)),
    _number("-twotheta", keys=("detector.two_theta_deg",), pivot="sample"),
    _switch("-curved_det", detector__curved=True),
    _switch("-point_pixel", detector__point_pixel=True),
    _number("-detector_abs", words=("inf",), keys=("detector.sensor.depth_um",)),
    _number("-detector_thick$", keys=("detector.sensor.thickness_um",)),
    _count("-detector_thicksteps", "-thicksteps", keys=("detector.sensor.layers",)),
    Flag(("-roi",), "whole number", 4, 4),
    _file("-mask", key="detector.mask_file"),
    _file("-img", key="img"),
    # sampling and background
    _count("-oversample", keys=("sampling.oversample",)),
    _switch("-oversample_thick", sampling__oversample_thick=True),
    _switch("-oversample_polar", sampling__oversample_polar=True),
    _switch("-oversample_omega", sampling__oversample_omega=True),
    _number("-dmin", keys=("sampling.dmin_A",)),
    _number("-water", keys=("background.water_um",)),
    # what is written and said
    _file("-floatfile", "-floatimage", key="float_file"),
    _file("-intfile", "-intimage", key="int_file"),
    _file("-pgmfile", "-pgmimage", key="pgm_file", nopgm=False),
    _file("-noisefile", "-noiseimage", key="noise_file", nonoise=False),
    _number("-scale", keys=("int_scale",)),
    _number("-adc", keys=("adc_offset",)),
    _number("-pgmscale", keys=("pgm_scale",), sets={"nopgm": False}),
    _seed("-seed", "noise_seed"),
    _switch("-nonoise", nonoise=True),
    _switch("-nopgm", nopgm=True),
    _switch("-progress", progress=True),
    _switch("-noprogress", progress=False),
    _switch("-printout", printout=True),
    Flag(
        ("-printout_pixel",),
        "whole number",
        2,
        2,
        keys=("printout_pixel",),
        minimum=0,
        sets={"printout": True},
    ),
    Flag(("-trace_pixel",), "whole number", 2, 2, keys=("trace_pixel",), minimum=0),
    # read by nanoBragg and then used for nothing
    _idle("-coherent"),
    _idle("-stol$", takes="file", keys=("stol_file",)),
    _idle("-4stol$", takes="file", keys=("stol_file",)),
    _idle("-Q$", takes="file", keys=("stol_file",)),
    _idle("-stolout", takes="file"),
    _idle("-density", "-sample_den", takes="number"),
    _idle("-MW$", "-molec", takes="number"),
    # in nanoBragg's documentation, and unknown to its parser
    _idle("-hdiv$", takes="number", instead="-hdivrange"),
    _idle("-vdiv$", takes="number", instead="-vdivrange"),
    _idle("-dispstep$", takes="number", instead="-dispsteps"),
    _idle("-detsize_x$", takes="number", instead="-detsize_f"),
    _idle("-detsize_y$", takes="number", instead="-detsize_s"),
)

FlagTable = Mapping[str, Flag]
"""Flags by each of their names."""


def by_name(flags: Sequence[Flag]) -> FlagTable:
    """Return the table of some flags."""
    return {name: flag for flag in flags for name in flag.names}


_BY_NAME: Final = by_name(FLAGS)
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Given:
    """A flag as somebody gave it."""

    flag: Flag
    name: str
    """Its name as typed."""
    values: tuple[Any, ...]
    rest: tuple[str, ...]
    """The words that follow its name, its values among them."""

    @property
    def last(self) -> bool:
        """Whether nothing follows it and its values."""
        return len(self.rest) == len(self.values)

    def __str__(self) -> str:
        shown = (f"{v:.15g}" if isinstance(v, float) else str(v) for v in self.values)
        return " ".join([self.name, *shown])


def find_flag(word: str, table: FlagTable = _BY_NAME) -> Flag | None:
    """Return the flag that nanoBragg takes a word for: the longest name that it starts with."""
    if word + "$" in table:
        return table[word + "$"]
    starts = (name for name in table if not name.endswith("$") and word.startswith(name))
    return table.get(max(starts, key=len, default=""))


def read_flags(
    argv: Sequence[str], table: FlagTable = _BY_NAME, *, lenient: bool = False
) -> list[Given]:
    """Split a command line of nanoBragg into its flags, in order, with their values.

    ``lenient`` takes counts and seeds as C's ``atoi`` does: whole parts, of any sign.
    Raises ExperimentError for a flag that does not exist, naming the nearest one, for a word that
    belongs to no flag, and for a flag without the values it takes.
    """
    longest = max(argv, key=len, default="")
    if len(longest) > _LONGEST_WORD:
        raise ExperimentError(
            f"{longest[:40]}…: a word of {len(longest):,} characters; at most {_LONGEST_WORD:,}"
        )
    given: list[Given] = []
    at = 0
    while at < len(argv):
        word = argv[at]
        flag = find_flag(word, table) if "=" not in word else None
        if flag is None:
            raise ExperimentError(_unknown(word, given[-1] if given else None, table))
        rest = tuple(argv[at + 1 :])
        values = _values(flag, word, rest, table, lenient=lenient)
        at += 1 + len(values)
        if flag.name == "-curved_det" and at < len(argv) and not argv[at].startswith("-"):
            at += 1  # nanoBragg wants some word here, and does not read it
        given.append(Given(flag, word, values, rest))
    return given


def _unknown(word: str, before: Given | None, table: FlagTable) -> str:
    name, equals, value = word.partition("=")
    if equals and find_flag(name, table):
        return f"{word}: write {name} {value}, with a blank"
    if not word.startswith("-") or _NUMBER.fullmatch(word):
        return f"'{word}' belongs to no flag" + (
            f"; {before.name} before it takes {before.flag.wants}" if before else ""
        )
    if word.startswith("--"):
        one = f"; did you mean {word[1:]}?" if find_flag(word[1:], table) else ""
        return f"{word}: no such flag, nanoBragg's have one dash{one}"
    found = nearest(word, [known.removesuffix("$") for known in table])
    return f"{word}: no such flag" + (f"; did you mean {found}?" if found else "")


def _values(
    flag: Flag, name: str, rest: Sequence[str], table: FlagTable, *, lenient: bool
) -> tuple[Any, ...]:
    if flag.takes == "nothing":
        return ()
    if flag.takes == "file":
        if not rest or not rest[0] or (rest[0].startswith("-") and find_flag(rest[0], table)):
            raise ExperimentError(f"{name} takes {flag.wants}, and got {_got(rest[:1])}")
        return (rest[0],)
    for word in flag.words:  # "rand" is enough for "random"
        if rest and rest[0].startswith(word[:4]):
            return (word,)
    numbers = []
    for word in rest[: flag.most]:
        if not _NUMBER.fullmatch(word):
            break
        numbers.append(float(word))
    count = len(numbers)
    stray = rest[count : count + 1] if count < flag.most else ()
    if count < max(flag.least, 1) or (stray and not stray[0].startswith("-")):
        raise ExperimentError(f"{name} takes {flag.wants}, and got {_got(rest[: count + 1])}")
    if flag.takes == "number":
        return tuple(numbers)
    if lenient and all(abs(number) < 2**31 for number in numbers):
        return tuple(int(number) for number in numbers)
    for number in numbers:
        out = (flag.minimum is not None and number < flag.minimum) or (
            flag.maximum is not None and number > flag.maximum
        )
        if out or not number.is_integer():
            raise ExperimentError(f"{name} {number:.15g}: must be {flag.wants}")
    return tuple(int(number) for number in numbers)


def _got(words: Sequence[str]) -> str:
    return f"'{' '.join(words)}'" if words else "nothing"
