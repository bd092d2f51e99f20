"""nanoBragg's command line as an experiment, with its aliases, units, order rules and defaults.

What nanoBragg does to the values once they are read is not decided here but by the mode: the
quirks act where the scene is made (docs/physics.md, section 5).
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Experiment
from tiledsim.experiment.sections.part import Pivot
from tiledsim.experiment.validation import explain
from tiledsim.nanobragg.command.flags import Flag, Given, read_flags
from tiledsim.nanobragg.command.header import header_fields
from tiledsim.nanobragg.command.special_flags import SPECIAL
from tiledsim.quirks import Mode, Quirk, quirks_of

DEFAULT_FLOAT_FILE: Final = "floatimage.bin"
DEFAULT_DUMP_FILE: Final = "Fdump.bin"
_SIDE_MM: Final = 102.4
_CUSTOM_KEYS: Final = (
    *("detector.fast_axis", "detector.slow_axis", "detector.normal", "detector.two_theta_axis"),
    *("detector.pix0_mm", "beam.direction", "beam.polarization_axis", "rotation.axis"),
)
_LISTS: Final = {
    "crystal.cells": (1, 1, 1),
    "crystal.size_mm": (0.0, 0.0, 0.0),
    "detector.rotation_deg": (0.0, 0.0, 0.0),
}

_HEADER: Final = "in the header of"
_RIVALS: Final = (
    (("detector.distance_mm",), ("detector.close_distance_mm",)),
    (
        ("detector.beam_x_mm", "detector.beam_y_mm"),
        ("detector.org_x_px", "detector.org_y_px", "detector.near_x_mm", "detector.near_y_mm"),
    ),
)
"""Keys that a header may give twice over, the ones that count first."""
_RANGES: Final = ("beam.hdiv_range_mrad", "beam.vdiv_range_mrad", "rotation.range_deg")
_STEPS: Final = (
    *("beam.hdiv_step_mrad", "beam.vdiv_step_mrad", "rotation.step_deg"),
    *("beam.hdiv_steps", "beam.vdiv_steps", "beam.dispersion_steps", "rotation.steps"),
)


@dataclass(frozen=True)
class NanobraggCommand:
    """A command line of nanoBragg: the experiment it describes and the outputs it asks for."""

    experiment: Experiment
    float_file: Path | None = None
    """Where the float image goes; None if not said (nanoBragg takes ``floatimage.bin``)."""
    int_file: Path | None = None
    pgm_file: Path | None = None
    noise_file: Path | None = None
    """Images asked for by name; None if not."""
    int_scale: float | None = None
    adc_offset: float | None = None
    pgm_scale: float | None = None
    noise_seed: int | None = None
    nonoise: bool = False
    nopgm: bool = False
    dump_file: Path | None = None
    """Where the structure factors are to be written, as an Fdump."""
    trace_pixel: tuple[int, int] | None = None
    """The pixel (slow, fast) to trace."""
    printout: bool = False
    printout_pixel: tuple[int, int] | None = None
    """The pixel (fast, slow) to print."""
    progress: bool = True
    stol_file: Path | None = None
    """A table of an amorphous material; it is looked for and changes nothing."""
    sides_mm: tuple[float, float] | None = None
    """Sides of the detector (fast, slow) as given, where they are not whole pixels."""
    interpolation: bool | None = None
    """What nanoBragg chose before it knew the crystal's size; None where nothing was chosen so."""
    notes: tuple[str, ...] = ()
    """What a person should know about how the flags were taken, a line each."""


def experiment_from_nanobragg(
    argv: Sequence[str],
    mode: Mode = "c-parity",
    base: Path | None = None,
    *,
    quirks: Iterable[Quirk] | None = None,
) -> Experiment:
    """Return the experiment that a command line of nanoBragg describes.

    Parameters
    ----------
    argv
        The flags, without the program's name.
    mode
        ``c-parity`` for nanoBragg's own numbers, ``spec`` for the physics without its quirks.
    base
        The folder that names of files are relative to; the current one by default.
    quirks
        Those in force, in place of the mode's.

    Returns
    -------
    Experiment
        What nanoBragg would have simulated.

    Raises
    ------
    ExperimentError
        In one line that names the flag, for what nanoBragg does not take.
    """
    return parse_nanobragg(argv, mode, base, quirks=quirks).experiment


def parse_nanobragg(
    argv: Sequence[str],
    mode: Mode = "c-parity",
    base: Path | None = None,
    *,
    quirks: Iterable[Quirk] | None = None,
) -> NanobraggCommand:
    """Read a command line of nanoBragg; see :func:`experiment_from_nanobragg`."""
    base = (base or Path()).absolute()
    listed = None if quirks is None else tuple(quirks)
    given = read_flags(argv, lenient=mode == "c-parity")
    reading = Reading(mode, base, quirks_of(mode) if listed is None else frozenset(listed))
    reading.headers(given)
    for entry in given:
        reading.take(entry)
    reading.finish()
    return reading.command({"mode": mode, "quirks": listed})


@dataclass
class Reading:
    """The values as the flags set them, in order."""

    mode: Mode
    base: Path
    quirks: frozenset[Quirk]
    values: dict[str, Any] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    """The flag behind each value, as typed."""
    notes: list[str] = field(default_factory=list)
    last_pivot: Pivot = "beam"
    """The pivot of the last flag that sets one."""
    own_pivot: Pivot | None = None
    """The pivot of the last ``-pivot``."""

    @property
    def parity(self) -> bool:
        """Whether nanoBragg's ways of reading are followed."""
        return self.mode == "c-parity"

    def headers(self, given: Sequence[Given]) -> None:
        """Take what the headers of ``-mask`` and then ``-img`` say; every flag overrides it."""
        for name in ("-mask", "-img"):
            files = [entry for entry in given if entry.flag.name == name]
            if files:
                path = self.base / files[-1].values[0]
                found, notes = header_fields(path, name, as_nanobragg=self.parity)
                for key, (value, keyword) in found.items():
                    self.put(key, value, f"{keyword} in the header of {path.name}")
                self.notes += notes

    def put(self, key: str, value: Any, typed: str) -> None:
        """Set a value, and keep which flag set it, as typed."""
        self.values[key] = value
        self.typed[key] = typed

    def take(self, given: Given) -> None:
        """Apply one flag."""
        flag, values = given.flag, given.values
        if flag.idle:
            self.notes.append(
                f"{given.name} has no effect: nanoBragg's documentation lists it, its parser does "
                f"not know it; {flag.instead} does that"
                if flag.instead
                else f"{given.name} has no effect: nanoBragg reads it and uses it for nothing"
            )
        if flag.name == "-curved_det" and given.last and self.parity:
            self.notes.append("-curved_det is ignored, as by nanoBragg where nothing follows it")
            return
        if flag.sets.get("detector.convention") == "custom" and flag.name != "-pix0_vector":
            _check_direction(given)
        for key, value in flag.sets.items():
            self.put(key, value, given.name)
        if flag.takes == "file":
            values = (self.base / values[0],)
        if len(flag.keys) == 1 and len(values) > 1:
            values = (values,)
        if flag.takes == "whole number" and self.parity and flag.keys:
            values = tuple(self._as_read(flag, value, given) for value in values)
        for key in flag.keys:
            self.put(key, values[0], given.name)
        if flag.pivot:
            self.last_pivot = flag.pivot
        special = SPECIAL.get(flag.name)
        if special:
            special(self, given)

    def _as_read(self, flag: Flag, value: Any, given: Given) -> Any:
        """Return what nanoBragg makes of a count below 1 and a seed below 1."""
        key = flag.keys[0]
        taken = value
        if key.startswith("crystal.cells"):
            taken = max(value, 1)
        elif key == "sampling.oversample":
            taken = value if value > 0 else "auto"
        elif key == "rotation.steps":
            taken = 1 if value == 0 else value if value > 0 else None
        elif key.endswith("seed"):
            taken = max(value, 1)
        elif flag.minimum == 1 and (value == 0 or not key.startswith("detector.size_px")):
            taken = value if value > 0 else None
        typed = given.rest[0] if given.rest else ""
        if taken != value or typed.lstrip("+-").rstrip("0").rstrip(".").count("."):
            shown = "as if it was not given" if taken is None else f"as {taken}"
            self.notes.append(f"{given.name} {typed} is taken {shown}, as by nanoBragg")
        return taken

    def finish(self) -> None:
        """Resolve what depends on several flags."""
        self._unset()
        if not self.parity:
            self._one_description()
        self._convention()
        self._size()
        self._structure_factors()
        table: Path | None = self.values.get("stol_file")
        if table is not None and not table.is_file():
            raise InputFileError(
                f"{self.typed['stol_file']} {table}: no such file; it changes nothing, leave it out"
            )
        if self.parity:
            self._as_nanobragg()
        if self.values.get("beam.wavelength_A") is self.values.get("beam.energy_eV") is None:
            self.put("beam.wavelength_A", 1.0, "-lambda")
        if self.values.get("crystal.misset_deg") == "random":
            # nanoBragg's default is the time; as a number it can be repeated.
            self.values.setdefault("crystal.misset_seed", int(time.time()))
        cell = self.values.get("crystal.cell_A_deg")
        matrix = self.values.get("crystal.mosflm_matrix_file")
        if cell is None and matrix is None:
            raise ExperimentError("no unit cell: give -cell a b c alpha beta gamma, or -mat FILE")
        self._distances()
        polarization = self.values.get("beam.polarization", 0.0)
        if not -1.0 <= polarization <= 1.0:
            given = f"{self.typed['beam.polarization']} {polarization:g}"
            if not self.parity:
                raise ExperimentError(f"{given}: must be a number from -1 to 1")
            self.notes.append(
                f"{given} is outside -1 to 1; pixels may be negative, as in nanoBragg"
            )
        if cell is not None and matrix is not None and "cell_cstar" not in self.quirks:
            raise ExperimentError(
                "-cell and -mat are both given; give one (nanoBragg mixes the two, and so does "
                "the mode c-parity)"
            )

    def _distances(self) -> None:
        """Take the distance without its sign, which nanoBragg loses; in spec refuse 0 and below."""
        for key in ("detector.distance_mm", "detector.close_distance_mm"):
            value = self.values.get(key, 1.0)
            if value > 0.0:
                continue
            given = f"{self.typed[key]} {value:g}"
            if not self.parity:
                raise ExperimentError(f"{given}: must be a number above 0")
            if key == "detector.distance_mm" and value < 0.0:
                self.values[key] = -value
                self.notes.append(f"{given} is taken without its sign, as in nanoBragg")

    def _one_description(self) -> None:
        """Of what a header says twice keep one: what flags say too, else the first of each pair.

        Headers carry a distance along the beam and one of the plane, a beam centre and a nearest
        point.  nanoBragg's order among them is that of its flags.
        """
        for first, second in _RIVALS:
            given = [[key for key in keys if key in self.values] for keys in (first, second)]
            if not all(given):
                continue
            by_flag = [any(_HEADER not in self.typed[key] for key in keys) for keys in given]
            for key in given[0] if by_flag[1] and not by_flag[0] else given[1]:
                if _HEADER in self.typed[key]:
                    del self.values[key]

    def _unset(self) -> None:
        """Leave out sweeps that are none.

        nanoBragg takes a negative range, and a step or a count of 0 or less, for not given.
        """
        for keys, least in ((_RANGES, 0.0), (_STEPS, math.ulp(0.0))):
            for key in keys:
                value = self.values.get(key)
                if value is not None and value < least:
                    self.notes.append(
                        f"{self.typed[key]} {value:g} stands for none given, as in nanoBragg"
                    )
                    del self.values[key]

    def _convention(self) -> None:
        """Settle convention and pivot: the last flag that sets one decides."""
        convention = self.values.get("detector.convention", "mosflm")
        lost = [key for key in _CUSTOM_KEYS if key in self.values and convention != "custom"]
        for key in lost:
            self.notes.append(f"-{convention} after {self.typed[key]} replaces it")
            del self.values[key]
        pivot: Pivot | None = self.own_pivot
        if convention == "custom":
            if self.parity or pivot is None:
                pivot = self.last_pivot
        elif pivot is not None and "pivot_override" in self.quirks:
            table: Pivot = "sample" if convention in ("xds", "dials") else "beam"
            if pivot != table:
                self.notes.append(
                    f"-pivot {pivot} has no effect: the convention {convention} sets the pivot to "
                    f"{table}, as in nanoBragg (quirk pivot_override)"
                )
        if pivot is not None:
            self.put("detector.pivot", pivot, "-pivot")

    def _size(self) -> None:
        """Settle the size in pixels; a count of pixels wins over a length."""
        pixel = self.values.get("detector.pixel_mm", 0.1)
        if not 0 < pixel < math.inf:
            return  # told by the validation of detector.pixel_mm
        size: list[int] = []
        sides: list[float] = []
        for axis, side_key in enumerate(("side_f_mm", "side_s_mm")):
            side = self.values.get(side_key, _SIDE_MM)
            count = self.values.get(f"detector.size_px[{axis}]")
            if count is None:
                count = math.ceil(side / 1000.0 / (pixel / 1000.0) - 0.5) if side < math.inf else 0
                if count < 1:
                    raise ExperimentError(
                        f"{self.typed.get(side_key, '-detsize')} {side:g}: must be at least half a "
                        f"pixel ({pixel:g} mm)"
                    )
            else:
                side = pixel * count
            size.append(count)
            sides.append(side)
        self.put("detector.size_px", tuple(size), "-detpixels")
        if any(abs(side - pixel * n) > 1e-9 * pixel for side, n in zip(sides, size, strict=True)):
            self.values["sides_mm"] = tuple(sides)
            self._broken_sides(pixel, sides, size)
        if "roi" in self.values:
            limits = self.values["roi"]
            taken = self._clipped if self.parity else self._inside
            whole = [0, size[0] - 1, 0, size[1] - 1]
            limits = taken(limits, size)
            self.put("detector.roi", None if limits == whole else tuple(limits), "-roi")

    def _inside(self, values: Sequence[int], size: Sequence[int]) -> list[int]:
        """Return inclusive limits of a region; −1, or one pixel past the end, is the edge.

        Raises ExperimentError for one that is not inside the detector.
        """
        limits = []
        for axis, count in enumerate(size):
            low, high = values[2 * axis : 2 * axis + 2]
            low = 0 if low == -1 else low
            high = count - 1 if high in (-1, count) else high
            if not 0 <= low <= high < count:
                raise ExperimentError(
                    f"{self.typed['roi']}: fast_min fast_max slow_min slow_max (inclusive) must "
                    f"rise and lie inside the detector of {size[0]} x {size[1]} pixels (fast x "
                    "slow)"
                )
            limits += [low, high]
        return limits

    def _clipped(self, limits: Sequence[int], size: Sequence[int]) -> list[int]:
        """Clip the region of interest at the detector's edge, as nanoBragg; below 0 is the edge."""
        clipped = []
        for axis, count in enumerate(size):
            low, high = limits[2 * axis : 2 * axis + 2]
            clipped += [max(low, 0), count - 1 if high < 0 else min(high, count - 1)]
        if any(high > count for high, count in zip(limits[1::2], size, strict=True)):
            self.notes.append(f"{self.typed['roi']} is clipped at the detector's edge")
        if clipped[0] > clipped[1] or clipped[2] > clipped[3]:
            self.notes.append(
                f"{self.typed['roi']} holds no pixel; the image is zeros, as in nanoBragg"
            )
        return clipped

    def _broken_sides(self, pixel: float, sides: list[float], size: list[int]) -> None:
        """Say where the beam is on a detector whose sides are not whole pixels.

        nanoBragg's defaults are the middle of the sides as given, an experiment's the middle of
        its pixels; here the first are written out.
        """
        convention = self.values.get("detector.convention", "mosflm")
        side_f, side_s = sides
        seen = [f"detector.{name}_mm" for name in ("beam_x", "beam_y", "near_x", "near_y")]
        heard = not self.parity and any(key in self.values for key in seen)
        if not heard:
            for key, side in (("detector.org_x_px", side_f), ("detector.org_y_px", side_s)):
                self.values.setdefault(key, side / 2.0 / pixel + 0.5)
        shift = 0.0
        if convention == "adxv":
            centre = ((side_f + pixel) / 2.0, (side_s - pixel) / 2.0)
            shift = pixel * size[1] - side_s  # Ybeam counts from the far edge
        elif convention in ("mosflm", "denzo"):
            centre = ((side_s + pixel) / 2.0, (side_f + pixel) / 2.0)
        else:
            return
        self.values.setdefault("detector.beam_x_mm", centre[0])
        self.values["detector.beam_y_mm"] = self.values.get("detector.beam_y_mm", centre[1]) + shift

    def _structure_factors(self) -> None:
        """Read the Fdump that is named where there is no hkl file; say which one is passed over."""
        dump: Path | None = self.values.get("dump")
        if "structure_factors.hkl_file" in self.values:
            self.values["dump_file"] = dump
            return
        forgotten = self.base / DEFAULT_DUMP_FILE
        if dump is None and self.parity and forgotten.exists():
            self.notes.append(
                f"{forgotten.name} is here and is not read, as nanoBragg would without -hkl; "
                f"-dump {forgotten.name} asks for it"
            )
        if dump is not None and dump.exists():
            self.put("structure_factors.fdump_file", dump, "-dump")
            self.notes.append(f"structure factors are read from {dump}, for want of -hkl")
        elif self.values.get("structure_factors.default_F", 0.0) == 0.0:
            also = f" ({dump} does not exist)" if dump else ""
            if not dump and forgotten.exists():
                also = f" (-dump {forgotten.name} for the one that is here)"
            raise ExperimentError(
                f"no structure factors: give -hkl FILE, -dump FILE{also} or -default_F above 0"
            )

    def _as_nanobragg(self) -> None:
        """Follow nanoBragg where flags meet in ways that no quirk describes."""
        thickness = self.values.get("detector.sensor.thickness_um", 0.0)
        transparent = thickness > 0 and self.values.get("detector.sensor.depth_um") == 0.0
        if transparent or (thickness <= 0 and "sampling.oversample_thick" in self.values):
            self.notes.append(
                ("-detector_abs inf before" if transparent else "-oversample_thick without")
                + " -detector_thick: nothing is captured and every pixel is 0, as in nanoBragg; "
                "leave one out, or use the mode spec"
            )
        switched_off = self.values.get("beam.polarization_correction") is False
        if switched_off and "sampling.oversample_polar" in self.values:
            self.put("beam.polarization_correction", True, "-oversample_polar")
            self.notes.append("-nopolar has no effect with -oversample_polar, as in nanoBragg")
        sized = any(self.values.get(f"crystal.size_mm[{i}]", 0.0) > 0 for i in range(3))
        if sized and "structure_factors.interpolate" not in self.values:
            # nanoBragg decides on interpolation before it turns the size into cells.
            cells = [self.values.get(f"crystal.cells[{i}]", 1) for i in range(3)]
            self.put("structure_factors.interpolate", min(cells) <= 2, "-xtalsize")
            self.values["interpolation"] = min(cells) <= 2

    def command(self, fixed: Mapping[str, Any]) -> NanobraggCommand:
        """Make the experiment, or raise ExperimentError that names the flag."""
        outputs = {
            key: self.values[key]
            for key in NanobraggCommand.__dataclass_fields__
            if key in self.values
        }
        try:
            experiment = Experiment(**fixed, **self._nested())
        except ValidationError as error:
            raise ExperimentError(explain(Experiment, error, self.typed)) from None
        return NanobraggCommand(experiment, notes=tuple(self.notes), **outputs)

    def _nested(self) -> dict[str, Any]:
        """Return the dotted keys as nested tables; numbered ones become lists."""
        dotted = {key: value for key, value in self.values.items() if "." in key and "[" not in key}
        for key, default in _LISTS.items():
            if any(f"{key}[{i}]" in self.values for i in range(3)):
                dotted[key] = tuple(self.values.get(f"{key}[{i}]", default[i]) for i in range(3))
        tables: dict[str, Any] = {}
        for key, value in dotted.items():
            table = tables
            *sections, name = key.split(".")
            for section in sections:
                table = table.setdefault(section, {})
            table[name] = value
        return tables


def _check_direction(given: Given) -> None:
    if not any(given.values):
        raise ExperimentError(f"{given}: a direction must not have length 0")
