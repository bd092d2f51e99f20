"""noisify: photon counting, calibration, flicker, point spread and readout of a float image.

What the program does (James Holton; docs/nanobragg.md), in its order and with its one serial
generator.  Each of its departures from its own description is a quirk that can be switched off.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiledsim.detector_model.counts import count_photons
from tiledsim.detector_model.serial.counts import wrapped
from tiledsim.detector_model.serial.detector import LARGEST, NoisifyDetector, NoisifyDraws
from tiledsim.detector_model.serial.point_spread import SerialPsf, Spread, apply_serial_psf
from tiledsim.errors import ExperimentError, InputFileError
from tiledsim.experiment import Detector, Noise, PointSpread
from tiledsim.image_files.pgm import pgm_header
from tiledsim.image_files.smv.header import read_smv_header, smv_block
from tiledsim.io.text import read_bytes
from tiledsim.nanobragg.command.flags import read_flags
from tiledsim.nanobragg.command.header import header_number
from tiledsim.nanobragg.images.files import OutputFiles, check_outputs
from tiledsim.nanobragg.images.smv_text import CLOSING, exposure, opening
from tiledsim.nanobragg.noisify.flags import NOISIFY_TABLE
from tiledsim.nanobragg.program_quirks import NOISIFY_QUIRKS
from tiledsim.quirks import Mode
from tiledsim.scene.detector.noise import build_noise
from tiledsim.tile import Tile
from tiledsim.units import DEFAULT_FLUENCE, THOMSON_RADIUS_SQUARED_M2

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
TITLE: Final = "noisify - add noise to pixels - James Holton 3-19-16"
_DEFAULT_INPUT: Final = "floatimage.bin"
_DEFAULT_CALIBRATION_SEED: Final = 123456789
_DEFAULTS: Final[dict[str, Any]] = {
    "int_file": Path("intimage.img"), "pgm_file": Path("image.pgm"),
    "noise_file": Path("noiseimage.img"), "header_file": None, "nonoise": False, "nopgm": False,
    "bits": 16, "fluence": DEFAULT_FLUENCE, "scale": 1.0, "gain": 1.0, "adc": 40.0,
    "readout": 0.0, "flicker": 0.0, "calibration": 0.03, "seed": None, "calibration_seed": None,
    "psf": None, "psf_fwhm_um": 46.0, "psf_radius_px": 0.0, "distance_mm": 100.0,
    "side_x_mm": None, "side_y_mm": None, "pixels_x": None, "pixels_y": None, "pixel_mm": 0.1,
    "beam_x_mm": None, "beam_y_mm": None, "wavelength_A": 1.0, "phi_deg": 0.0, "osc_deg": 1.0,
}  # fmt: skip


class _Size(NamedTuple):
    fast: int
    slow: int
    guessed: bool


@dataclass(frozen=True)
class NoisifyCommand:
    """A command line of noisify, read and checked."""

    values: dict[str, Any]
    float_file: Path
    quirks: frozenset[str]
    mode: Mode
    notes: tuple[str, ...]


def parse_noisify(
    argv: Sequence[str], base: Path | None = None, quirks: frozenset[str] | None = None, *,
    mode: Mode = "c-parity",
) -> NoisifyCommand:  # fmt: skip
    """Read a command line of noisify; file names are relative to ``base``.

    Without ``quirks`` the mode c-parity has all of them, spec none.

    Raises ExperimentError for flags that are not understood or contradict each other, StoreError
    where an output cannot be written.
    """
    base = (base or Path()).absolute()
    values: dict[str, Any] = {}
    notes = []
    for given in read_flags(_with_input_flag(argv), NOISIFY_TABLE):
        flag = given.flag
        values |= flag.sets
        word = base / given.values[0] if flag.takes == "file" else (given.values or (None,))[0]
        values |= dict.fromkeys(flag.keys, word)
        if flag.idle:
            notes.append(f"{given.name} has no effect: noisify reads it and uses it for nothing")
    if "float_file" not in values:
        raise ExperimentError("no float image: give -floatfile FILE (or -bin FILE)")
    values = _DEFAULTS | values
    if values["bits"] not in LARGEST:
        raise ExperimentError(f"-bits {values['bits']}: must be 16 or 32")
    for key, flag_name in {"pixel_mm": "-pixel", "psf_fwhm_um": "-psf_fwhm"}.items():
        if not values[key] > 0:
            raise ExperimentError(f"{flag_name} {values[key]:g}: must be above 0")
    if values["psf_radius_px"] < 0:
        raise ExperimentError(f"-psf_radius {values['psf_radius_px']:g}: must not be below 0")
    if values["nonoise"]:
        idle = [f"-{name}" for name in ("readout", "flicker") if values[name] > 0]
        if idle:
            notes.append(f"-nonoise: {', '.join(idle)} and the noise image are left out")
        values |= {"readout": 0.0, "flicker": 0.0, "calibration": 0.0, "noise_file": None}
    if values["nopgm"]:
        values["pgm_file"] = None
    check_outputs({f"-{name}file": values[f"{name}_file"] for name in ("int", "pgm", "noise")})
    if quirks is None:
        quirks = frozenset(NOISIFY_QUIRKS if mode == "c-parity" else ())
    return NoisifyCommand(values, values["float_file"], quirks, mode, tuple(notes))


def _with_input_flag(argv: Sequence[str]) -> list[str]:
    """A word with ``floatimage.bin`` in it is the input, wherever it stands."""
    words: list[str] = []
    for word in argv:
        if _DEFAULT_INPUT in word and not (words and words[-1].startswith("-")):
            words.append("-floatfile")
        words.append(word)
    return words


def run_noisify(command: NoisifyCommand) -> list[str]:
    """Do what the command says, write its images, and return what noisify prints.

    The images appear all together or not at all.  Raises InputFileError for an input that is
    missing or of another size.
    """
    values = dict(command.values)
    header = _take_header(values)
    content = read_bytes(command.float_file, "float image")
    size = _size(values, len(content) // 4)
    if len(content) < 4 * size.fast * size.slow:
        raise InputFileError(
            f"{command.float_file}: {len(content) // 4} pixels of 4 bytes, and {size.fast} x "
            f"{size.slow} are needed; give -detpixels_x and -detpixels_y"
        )
    image = np.frombuffer(content, "<f4", size.fast * size.slow).reshape(size.slow, size.fast)
    if not np.isfinite(image).all():
        raise InputFileError(f"{command.float_file}: holds a pixel that is no finite number")
    return _Run(command, values, size, header).all(image)


def _take_header(values: dict[str, Any]) -> bytes | None:
    """Take sizes and distances from the header that is to be copied, and return its bytes."""
    path: Path | None = values["header_file"]
    if path is None:
        return None
    header = read_smv_header(path, "header")
    size = [header_number(path, header, key, as_nanobragg=True) for key in ("SIZE1", "SIZE2")]
    if any(n is None or n < 1 or not n.is_integer() for n in size):
        raise InputFileError(f"{path}: SIZE1 and SIZE2 in its header must be whole numbers above 0")
    values["pixels_x"], values["pixels_y"] = (int(n) for n in size if n is not None)
    for keyword, key in {
        "PIXEL_SIZE": "pixel_mm", "DISTANCE": "distance_mm", "BEAM_CENTER_X": "beam_x_mm",
    }.items():  # fmt: skip
        found = header_number(path, header, keyword, as_nanobragg=True)
        if found is not None:
            values[key] = found
    y = header_number(path, header, "BEAM_CENTER_Y", as_nanobragg=True)
    if y is not None:
        values["beam_y_mm"] = values["pixel_mm"] * values["pixels_y"] - y
    return read_bytes(path, "header")[: int(header["HEADER_BYTES"])]


def _size(values: dict[str, Any], pixels: int) -> _Size:
    """Settle the size of the image: as given, or by the number of pixels in the file."""
    fast, slow = values["pixels_x"], values["pixels_y"]
    if fast is None and slow is None:
        fast = int(np.sqrt(pixels))
        while fast > 1 and pixels % fast:
            fast -= 1
        return _Size(max(fast, 1), pixels // max(fast, 1), True)
    if slow is None:
        slow = pixels // fast
    elif fast is None:
        fast = pixels // slow
    return _Size(max(fast, 1), max(slow, 1), False)


class _Run:
    """One run: the stages share what is printed and the generator."""

    def __init__(
        self, command: NoisifyCommand, values: dict[str, Any], size: _Size, header: bytes | None
    ) -> None:
        self.values, self.size, self.quirks = values, size, command.quirks
        self.command = command
        self.detector = NoisifyDetector(
            flicker=values["flicker"],
            calibration=values["calibration"],
            gain=values["gain"],
            adc=values["adc"],
            readout=values["readout"],
            bits=values["bits"],
            calibration_shared="calibration_shared" in self.quirks,
            flicker_per_pixel="flicker_per_pixel" in self.quirks,
            adu_wraps="adu_wraps" in self.quirks,
        )
        self.header = header or self._own_header()
        self.seed = -(int(time.time()) if values["seed"] is None else values["seed"])
        given = values["calibration_seed"]
        asked = _DEFAULT_CALIBRATION_SEED if given is None else given
        defective = given is None and "calibration_default" in self.quirks
        self.calibration_seed = asked if defective else -asked
        self.lines: list[str] = [TITLE]

    def _own_header(self) -> bytes:
        v, (fast, slow, _) = self.values, self.size
        p = v["pixel_mm"] / 1000.0
        x = p * fast / 2.0 if v["beam_x_mm"] is None else v["beam_x_mm"] / 1000.0
        y = p * slow / 2.0 if v["beam_y_mm"] is None else v["beam_y_mm"] / 1000.0
        self.beam = (x, y)
        return smv_block(
            opening((fast, slow), p, v["distance_mm"] / 1000.0, bits=v["bits"])
            + f"WAVELENGTH={v['wavelength_A']:.6g};\nBEAM_CENTER_X={x * 1000.0:.6g};\n"
            f"BEAM_CENTER_Y={(p * slow - y) * 1000:.6g};\n"
            + exposure(v["phi_deg"], v["osc_deg"])
            + CLOSING
        )

    def all(self, image: Float32) -> list[str]:
        """Run every stage."""
        v = self.values
        self._announce(image)
        factor = v["fluence"] * THOMSON_RADIUS_SQUARED_M2 * v["scale"]
        photons = (factor * image.astype(np.float64)).astype(np.float32)
        largest = max(float(image.max()), 0.0)
        onto = largest * v["scale"] * v["fluence"] * THOMSON_RADIUS_SQUARED_M2
        self.lines.append(
            f"maximum value in input file: {largest:.6g} ( {onto:.6g} on photon scale)"
        )
        psf = self._psf()
        if v["nonoise"] and psf is not None:
            self.lines.append(f"  applying PSF to noiseless image width = {psf.fwhm_px:.6g} pixels")
            photons = self._spread(photons, psf)
        with OutputFiles() as files:
            self._write_noiseless(photons, files)
            if not v["nonoise"] and self.command.mode == "spec":
                self._write_counts(photons, files)
            elif not v["nonoise"]:
                self._write_noise(photons, psf, files)
        return self.lines

    def _announce(self, image: Float32) -> None:
        v, (fast, slow, guessed) = self.values, self.size
        p = v["pixel_mm"] / 1000.0
        if guessed:
            self.lines.append("WARNING: guessing xy pixel dimensions.")
        self.lines += [
            f"importing {image.size} pixel intensites: {self.command.float_file}",
            f"  distance={v['distance_mm'] / 1000:.6g} detsize={p * fast:.6g}x{p * slow:.6g}  "
            f"pixel={p:.6g} meters ({fast}x{slow} pixels)",
        ]
        if v["header_file"] is None:
            self.lines.append(f"  Xbeam={self.beam[0]:.6g} Ybeam={self.beam[1]:.6g}")
        if v["psf"] is not None:
            name = {"gauss": "Gaussian", "fiber": "fiber"}[v["psf"]]
            radius = int(v["psf_radius_px"])
            how = (
                "with automatic rendering radius"
                if radius == 0
                else (f"with rendering radius: {radius}")
            )
            self.lines.append(f"  {name} PSF fwhm = {v['psf_fwhm_um']:.6g} um   {how}")
        self.lines += [
            f"  seed: {self.seed}",
            f"  calibration noise seed: {self.calibration_seed}",
            f"  calibration_noise = {v['calibration'] * 100:.6g} %",
            f"  input file scale = {v['scale']:.6g}",
            f"  readout_noise = {v['readout']:.6g} ADU",
            f"  flicker_noise = {v['flicker'] * 100:.6g} %",
            f"  quantum_gain = {v['gain']:.6g} ADU/photon",
            f"  adc_offset = {v['adc']:.6g} ADU",
            "",
        ]
        if (image < 0).any():
            self.lines.append(f"WARNING: negative intensity in {int((image < 0).sum())} pixels")

    def _psf(self) -> SerialPsf | None:
        v = self.values
        if v["psf"] is None:
            return None
        fwhm = float(np.float32(v["psf_fwhm_um"] / 1e6)) / (v["pixel_mm"] / 1000.0)
        return SerialPsf(
            shape=v["psf"],
            fwhm_px=fwhm,
            radius_px=int(v["psf_radius_px"]),
            wraps="psf_wraps" in self.quirks,
            spread_evenly="psf_lost_evenly" in self.quirks,
            radius_by_value="psf_radius_by_value" in self.quirks,
            dark_crash="psf_dark_crash" in self.quirks,
        )

    def _spread(self, photons: Float32, psf: SerialPsf) -> Float32:
        spread: Spread = apply_serial_psf(photons, psf)
        if psf.radius_px == 0:
            self.lines.append(f"  maximum input photon/pixel: {spread.largest:.6g}")
            if spread.largest > 0:
                self.lines.append(f"  auto-selected psf_radius = {spread.radius_px} pixels")
        if spread.largest <= 0:
            self.lines.append("WARNING: no photons, PSF skipped")
        elif psf.spread_evenly:
            self.lines.append(f"adding back {spread.lost:.6g} lost photons")
        return spread.image

    def _stored(self, values: NDArray[np.int64]) -> bytes:
        """Pixel values as the bytes of a file."""
        return values.astype("<u4" if self.values["bits"] == 32 else "<u2").tobytes()

    def _write_noiseless(self, photons: Float32, files: OutputFiles) -> None:
        v = self.values
        most = LARGEST[16] if "int32_clipped_16" in self.quirks else None
        adu = photons.astype(np.float64) * v["gain"] + v["adc"]
        with files.open(v["int_file"]) as out:
            out.write(self.header)
            out.write(self._stored(self.detector.values(adu, most)))
        self.lines.append(
            f"writing {v['int_file']} as {photons.size} {v['bits'] // 8}-byte integers"
        )
        if v["pgm_file"] is not None:
            if "adu_wraps" not in self.quirks:
                adu = np.maximum(adu, 0.0)
            grey = np.minimum(wrapped(np.minimum(adu, LARGEST[16]), 16), 255)
            with files.open(v["pgm_file"]) as out:
                out.write(pgm_header(self.size.fast, self.size.slow, "pixels scaled by 1"))
                out.write(grey.astype("u1").tobytes())
            self.lines.append(f"writing {v['pgm_file']} as 1-byte integers")

    def _write_noise(self, photons: Float32, psf: SerialPsf | None, files: OutputFiles) -> None:
        v = self.values
        draws = NoisifyDraws(self.detector, self.seed, self.calibration_seed)
        photons = draws.detect(photons)
        if psf is not None:
            total = float(photons.sum(dtype=np.float64))
            self.lines.append(f"{total:.0f} photons on noise image before PSF")
            self.lines.append(f"  applying PSF width = {v['psf_fwhm_um']:.6g} um")
            photons = self._spread(photons, psf)
        counts, overloads = draws.read_out(photons)
        with files.open(v["noise_file"]) as out:
            out.write(self.header)
            out.write(self._stored(counts))
        total = float(photons.sum(dtype=np.float64))
        self.lines.append(f"{total:.0f} photons on noise image ({overloads} overloads)")
        self.lines.append(f"writing {v['noise_file']} as {v['bits'] // 8}-byte integers")

    def _write_counts(self, photons: Float32, files: OutputFiles) -> None:
        """Write the noise image of the mode spec: that of a noise section with the same numbers."""
        v, (fast, slow, _) = self.values, self.size
        seed, kind = v["calibration_seed"], v["psf"]
        noise = Noise(
            seed=-self.seed,
            flicker_percent=100.0 * v["flicker"],
            calibration_percent=100.0 * v["calibration"],
            calibration_seed=_DEFAULT_CALIBRATION_SEED if seed is None else seed,
            gain_adu_per_photon=v["gain"],
            adc_adu=v["adc"],
            readout_adu=v["readout"],
            bits=v["bits"],
            saturation_adu=int(LARGEST[v["bits"]]),
            point_spread=PointSpread(
                kind="gaussian" if kind == "gauss" else kind,
                fwhm_um=v["psf_fwhm_um"],
                radius_px=int(v["psf_radius_px"]) or None,
            ),
        )
        parts = build_noise(noise, Detector(size_px=(fast, slow), pixel_mm=v["pixel_mm"]))
        assert parts.model is not None
        tile = Tile(0, 0, 0, slow, 0, fast)
        counted = count_photons(parts.model, photons, tile, (1, 1, slow, fast), spread=parts.spread)
        with files.open(v["noise_file"]) as out:
            out.write(self.header)
            out.write(self._stored(counted.pixels.astype(np.int64)))
        total = float((counted.pixels - v["adc"]).sum()) / v["gain"]
        self.lines.append(f"{total:.0f} photons on noise image ({counted.overloads} overloads)")
        self.lines.append(f"writing {v['noise_file']} as {v['bits'] // 8}-byte integers")
